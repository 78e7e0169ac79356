"""The page that a user writes, `prometheus-fleet:fleet` in `Pulumi.STACK.yaml`, as a validated model."""

from fleet.page.model import (
    Chart,
    Cluster,
    Destination,
    Expected,
    ExtraMatch,
    Gateway,
    Intervals,
    NetworkPolicies,
    Page,
    ParentRef,
    Resources,
    Settings,
    Storage,
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
    "NetworkPolicies",
    "Page",
    "ParentRef",
    "Resources",
    "Settings",
    "Storage",
    "read_page",
    "read_stack",
]
