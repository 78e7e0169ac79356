"""The page that a user writes, `prometheus-fleet:fleet` in `Pulumi.STACK.yaml`, as a validated model."""

from fleet.page.model import (
    Alerting,
    Chart,
    Cluster,
    Destination,
    Discovered,
    Expected,
    ExtraMatch,
    Gateway,
    Intervals,
    Maintenance,
    Page,
    ParentRef,
    Resources,
    Settings,
    Storage,
    UrlSecret,
    Waves,
)
from fleet.page.reading import read_page, read_stack
from fleet.page.stacks import FleetPage, read_fleet, whole_fleet

__all__ = [
    "Alerting",
    "Chart",
    "Cluster",
    "Destination",
    "Discovered",
    "Expected",
    "ExtraMatch",
    "FleetPage",
    "Gateway",
    "Intervals",
    "Maintenance",
    "Page",
    "ParentRef",
    "Resources",
    "Settings",
    "Storage",
    "UrlSecret",
    "Waves",
    "read_fleet",
    "read_page",
    "read_stack",
    "whole_fleet",
]
