"""What a match would cost, asked of a live child before anyone deploys it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from fleet.errors import FleetError, Problem
from fleet.names import Tier
from fleet.page.problems import did_you_mean
from fleet.plan import Plan
from fleet.promql import Selector


@dataclass(frozen=True, slots=True)
class Price:
    series: int
    size: int
    """Bytes of one scrape, uncompressed."""


class Federating(Protocol):
    async def federate(self, match: str) -> str:
        """The answer of `/federate` in Prometheus's text format."""
        ...


async def price(child: Federating, match: str) -> Price:
    answer = await child.federate(match)
    series = sum(1 for line in answer.splitlines() if line and not line.startswith("#"))
    return Price(series, len(answer.encode()))


def refuse_unaskable(plan: Plan, name: str, match: str) -> None:
    """Raises FleetError where the question makes no sense; asks nobody."""
    cluster = plan.clusters.get(name)
    if cluster is None:
        raise FleetError([Problem("CLUSTER", f"there is no cluster {name!r}{did_you_mean(name, plan.clusters)}")])
    if cluster.tier is Tier.EDGE:
        raise FleetError([Problem("CLUSTER", f"{name} is an edge: its agent answers no queries")])
    try:
        Selector.parse(match)
    except ValueError as error:
        fix = f"python -m fleet try-match {name} '{{__name__=~\"cluster:.*\"}}'"
        raise FleetError([Problem("MATCH", str(error), fix)]) from None


def verdict(plan: Plan, name: str, found: Price) -> Iterator[str]:
    yield f"{name} serves {found.series} series for it, {found.size} bytes per scrape"
    for edge in plan.federations_of(name):
        total = edge.estimate + found.series
        within = "within" if total <= edge.budget else "above"
        yield (
            f"{edge.child} → {edge.parent}: {edge.estimate} expected + {found.series} = {total}, "
            f"{within} its budget of {edge.budget}"
        )
