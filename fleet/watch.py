"""The live fleet, asked again and again: each edge for itself, so that one that does not answer holds up no other."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

from fleet.names import Tier
from fleet.plan import NEARLY, Plan
from fleet.prometheus import FiringAlert, Prometheus, Unreachable, reached
from fleet.status import EdgeOutput, EdgeStatus, FederationOutput, FleetOutput, edge_status

Connect = Callable[[str], Awaitable[Prometheus | Unreachable]]
"""By cluster name."""


class Worry(IntEnum):
    """What to look at first."""

    FAULT = 0
    ALERT = 1
    NEARLY = 2
    UNKNOWN = 3
    NONE = 4


@dataclass(frozen=True, slots=True)
class Row:
    edge: EdgeOutput
    status: EdgeStatus | None
    """None until it has been asked."""
    alerts: tuple[str, ...]
    """Names of those that fire about it."""

    @property
    def region(self) -> str:
        """Empty for an edge that belongs to none."""
        return self.edge.labels.get("region", "")

    @property
    def worry(self) -> Worry:
        if self.status is not None and self.status.fault is not None:
            return Worry.FAULT
        if self.alerts:
            return Worry.ALERT
        if self.status is None:
            return Worry.UNKNOWN
        return Worry.NEARLY if _used(self.edge, self.status) > NEARLY else Worry.NONE


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known at one moment."""

    rows: Sequence[Row]
    """The worst first."""
    planned: Mapping[str, str]
    """The region of every cluster that has something of its own to report; empty for none."""
    reporting: frozenset[str]
    """Those of them of which fresh samples reach the top, over whichever edges."""
    alerts: tuple[str, ...]
    """Names of those that fire about no edge."""
    deaf: str | None
    """Why it is not known what fires."""


def picture(
    plan: Plan,
    fleet: FleetOutput,
    statuses: Sequence[EdgeStatus | None],
    firing: Sequence[FiringAlert] | Unreachable,
) -> Picture:
    """`statuses` of each of the fleet's edges; None for one that has not answered so far."""
    heard = (
        [] if isinstance(firing, Unreachable) else [each for each in firing if each.labels.get("severity") != "none"]
    )
    jobs = {edge.job for edge in (*fleet.federation, *fleet.discovery)}
    about = [[each for each in heard if _is_about(each, edge, jobs)] for edge in fleet.edges]
    rows = [Row(*each) for each in zip(fleet.edges, statuses, map(_names, about), strict=True)]
    planned = _planned(plan, fleet)
    return Picture(
        rows=sorted(rows, key=lambda row: (row.worry, row.region, row.edge.lower, row.edge.upper)),
        planned=planned,
        reporting=_reporting(fleet, statuses) & planned.keys(),
        alerts=_names(each for each in heard if not any(each in of_edge for of_edge in about)),
        deaf=str(firing) if isinstance(firing, Unreachable) else None,
    )


def _used(edge: EdgeOutput, status: EdgeStatus) -> float:
    """The largest share of what it may have of age, of series, and of time for a scrape."""
    shares = [(status.age or 0) / edge.fresh_within]
    if isinstance(edge, FederationOutput):
        if edge.budget is not None:
            shares.append((status.samples or 0) / edge.budget)
        if edge.timeout is not None:
            shares.append((status.duration or 0) / edge.timeout.total_seconds())
    return max(shares)


def _is_about(alert: FiringAlert, edge: EdgeOutput, jobs: set[str]) -> bool:
    """By the labels that tell edges apart: the parent's job, or else the cluster or region below."""
    cluster, below = alert.labels.get("cluster"), edge.labels.get("cluster")
    if (job := alert.labels.get("job")) in jobs:
        # All that one parent discovers has one job.
        return isinstance(edge, FederationOutput) and edge.job == job and cluster in {None, below}
    if cluster is not None:
        return cluster == below
    return below is None and "region" in alert.labels and alert.labels["region"] == edge.labels.get("region")


def _names(alerts: Iterable[FiringAlert]) -> tuple[str, ...]:
    """Each once, critical ones first, and of those the newest: it is what has just happened."""

    def order(alert: FiringAlert) -> tuple[bool, float, str]:
        return alert.labels.get("severity") != "critical", -alert.startsAt.timestamp(), alert.labels["alertname"]

    return tuple(dict.fromkeys(each.labels["alertname"] for each in sorted(alerts, key=order)))


def _planned(plan: Plan, fleet: FleetOutput) -> Mapping[str, str]:
    """Those of the page, deployed or not; children that are discovered; and of another stack, whom this one sees."""
    above = {edge.upper for edge in fleet.upward}
    seen = {edge.lower: edge.labels.get("region", "") for edge in fleet.upward if edge.lower not in above}
    own = {
        name: cluster.region or "" for name, cluster in plan.clusters.items() if cluster.tier in {Tier.LEAF, Tier.EDGE}
    }
    return {**seen, **own}


def _reporting(fleet: FleetOutput, statuses: Sequence[EdgeStatus | None]) -> frozenset[str]:
    # Those that go up come first; whatever is stored beside the global Prometheus is not known to it.
    well = [edge for edge, status in zip(fleet.upward, statuses, strict=False) if status and status.fault is None]
    found = {edge.upper for edge in fleet.upward} - {edge.lower for edge in fleet.upward}
    while more := {edge.lower for edge in well if edge.upper in found} - found:
        found |= more
    return frozenset(found)


class Watch:
    """Asks each edge every so many seconds, over connections that stay open."""

    def __init__(self, plan: Plan, fleet: FleetOutput, every: float, connect: Connect) -> None:
        self._plan, self._fleet, self._every, self._connect = plan, fleet, every, connect
        self._statuses: list[EdgeStatus | None] = [None] * len(fleet.edges)
        self._hubs = [
            name for name, each in plan.clusters.items() if each.alerting is not None and name in fleet.clusters
        ]
        self._firing: Sequence[FiringAlert] | Unreachable = []
        wanted = {*(name for edge in fleet.edges for name in (edge.lower, edge.asked)), *self._hubs}
        self._clients: dict[str, Prometheus | Unreachable] = {
            name: Unreachable(f"{name} has not answered yet") for name in wanted if name in fleet.clusters
        }
        self._tried = {name: asyncio.Event() for name in self._clients}

    def picture(self) -> Picture:
        return picture(self._plan, self._fleet, self._statuses, self._firing)

    async def ask(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as asked:
            for name in self._clients:
                asked.create_task(self._keep_connected(name))
            for number, edge in enumerate(self._fleet.edges):
                asked.create_task(self._keep_asking(number, edge))
            asked.create_task(self._keep_listening())

    async def _keep_connected(self, name: str) -> None:
        # Once connected, the client itself dials again as often as it takes.
        while isinstance(self._clients[name], Unreachable):
            self._clients[name] = await self._connect(name)
            self._tried[name].set()
            await asyncio.sleep(self._every)

    async def _keep_asking(self, number: int, edge: EdgeOutput) -> None:
        await self._tried[edge.asked].wait()
        while True:
            self._statuses[number] = await edge_status(edge, self._clients)
            await asyncio.sleep(self._every)

    async def _keep_listening(self) -> None:
        await asyncio.gather(*(self._tried[name].wait() for name in self._hubs))
        while self._hubs:
            try:
                told = await asyncio.gather(*(reached(self._clients[name]).alerts() for name in self._hubs))
                self._firing = [alert for of_hub in told for alert in of_hub]
            except Unreachable as error:
                self._firing = error
            await asyncio.sleep(self._every)


async def until_interrupted(work: Coroutine[object, object, None]) -> None:
    """SIGINT and SIGTERM are how what never ends by itself ends well."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
