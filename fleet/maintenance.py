"""Maintenance for people to read. What it does is an alert's business; here it meets the clock."""

from collections.abc import Iterator
from datetime import datetime

from fleet.names import Tier
from fleet.plan import Plan


def maintenance_lines(plan: Plan, now: datetime) -> Iterator[str]:
    """What is muted at `now`, by whom and until when."""
    for cluster in plan.clusters.values():
        if (maintenance := cluster.maintenance) is not None and maintenance.until > now:
            whose = f"region {cluster.region}" if cluster.tier is Tier.REGIONAL else cluster.name
            once = "" if any(plan.tier(Tier.GLOBAL)) else ", once the stack of the global cluster is deployed"
            yield f"alerts of {whose} are muted until {_written(maintenance.until)}{once}: {maintenance.reason}"


def ended_maintenance(plan: Plan, now: datetime) -> Iterator[str]:
    for name, cluster in plan.clusters.items():
        if (maintenance := cluster.maintenance) is not None and maintenance.until <= now:
            yield f"maintenance of {name} ended {_written(maintenance.until)}: remove clusters.{name}.maintenance"


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
