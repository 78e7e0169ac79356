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
)
from fleet.page.reading import read_page, read_stack
from fleet.page.stacks import FleetPage, read_fleet, whole_fleet

__all__ = [
    "Chart",
    "Cluster",
    "Destination",
    "Expected",
    "ExtraMatch",
    "FleetPage",
    "Gateway",
    "Intervals",
    "Page",
    "ParentRef",
    "Resources",
    "Settings",
    "Storage",
    "read_fleet",
    "read_page",
    "read_stack",
    "whole_fleet",
]
