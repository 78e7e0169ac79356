"""The page that a user writes, `prometheus-fleet:fleet` in `Pulumi.STACK.yaml`, as a validated model."""

from fleet.page.model import (
    Chart,
    Cluster,
    Destination,
    Expected,
    ExtraMatch,
    Gateway,
    Intervals,
    Page,
    ParentRef,
    Resources,
    Settings,
    Storage,
    Waves,
)
from fleet.page.reading import read_page, read_stack

__all__ = [
    "Chart",
    "Cluster",
    "Destination",
    "Expected",
    "ExtraMatch",
    "Gateway",
    "Intervals",
    "Page",
    "ParentRef",
    "Resources",
    "Settings",
    "Storage",
    "Waves",
    "read_page",
    "read_stack",
]
