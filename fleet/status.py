"""What works: each edge of the fleet, judged by what has arrived at its upper end."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from fleet.prometheus import Prometheus, Unreachable, reached


class _Arrivals(BaseModel):
    metrics: list[str]
    labels: dict[str, str]
    fresh_within: float


class FederationOutput(_Arrivals):
    parent: str
    child: str
    job: str

    @property
    def pool(self) -> str:
        """What the parent calls the job's targets."""
        return self.job

    @property
    def unfound(self) -> str:
        """Why it has no target."""
        return f"{self.parent} has no target for it"


class DiscoveryOutput(FederationOutput):
    scrape_pool: str
    namespace: str
    port: str
    service_labels: dict[str, str]

    @property
    def pool(self) -> str:
        return self.scrape_pool

    @property
    def unfound(self) -> str:
        labels = ",".join(f"{label}={value}" for label, value in self.service_labels.items())
        return f"not found: namespace {self.namespace} has no Service {labels} with an address and a port {self.port}"


class RemoteWriteOutput(_Arrivals):
    sender: str
    receiver: str


class ClusterOutput(BaseModel):
    namespace: str


class FleetOutput(BaseModel):
    """What this module needs of stack output `fleet` (docs/outputs.md)."""

    clusters: dict[str, ClusterOutput]
    federation: list[FederationOutput]
    discovery: list[DiscoveryOutput] = []
    """Of a stack deployed before there was discovery: nothing."""
    remote_write: list[RemoteWriteOutput]


@dataclass(frozen=True, slots=True)
class EdgeStatus:
    kind: Literal["federation", "discovery", "remote write"]
    lower: str
    upper: str
    fault: str | None
    """Why no fresh samples arrive; None where they do."""
    samples: float | None
    """Per scrape for federation and discovery, per second for remote write."""
    age: float | None
    """Seconds since the newest sample that arrived."""
    missing: tuple[str, ...] = ()
    """Metrics of a federation edge that have not arrived: their rules found nothing to record, so far or at all."""


async def edge_statuses(fleet: FleetOutput, clients: Mapping[str, Prometheus | Unreachable]) -> Sequence[EdgeStatus]:
    """Every edge of the fleet; `clients` by cluster name."""
    return await asyncio.gather(
        *(_federation(edge, clients) for edge in (*fleet.federation, *fleet.discovery)),
        *(_remote_write(edge, clients) for edge in fleet.remote_write),
    )


async def _federation(edge: FederationOutput, clients: Mapping[str, Prometheus | Unreachable]) -> EdgeStatus:
    samples = age = None
    missing = tuple(edge.metrics)
    try:
        parent = reached(clients[edge.parent])
        job = f'job="{edge.job}",{_matchers(edge.labels)}'
        samples = await _single(parent, f"sum(scrape_samples_post_metric_relabeling{{{job}}})")
        ages = await _ages(parent, edge)
        age = min(ages.values(), default=None)
        missing = tuple(name for name in edge.metrics if name not in ages)
        fault = await _federation_fault(parent, edge, samples, age)
    except Unreachable as error:
        fault = f"unreachable: {error}"
    kind = "discovery" if isinstance(edge, DiscoveryOutput) else "federation"
    return EdgeStatus(kind, edge.child, edge.parent, fault, samples, age, missing)


async def _federation_fault(
    parent: Prometheus, edge: FederationOutput, samples: float | None, age: float | None
) -> str | None:
    targets = await parent.targets(edge.pool)
    if not targets:
        return edge.unfound
    failed = next((target for target in targets if target.health == "down"), None)
    if failed is not None:
        return _explain(failed.lastError)
    if samples is None:
        return "not scraped yet"
    if not samples:
        return "no match: the child serves nothing that the match asks for"
    return _staleness(edge, age)


async def _remote_write(edge: RemoteWriteOutput, clients: Mapping[str, Prometheus | Unreachable]) -> EdgeStatus:
    rate = age = None
    try:
        receiver = reached(clients[edge.receiver])
        names = "|".join(edge.metrics)
        arrived = f'{{__name__=~"{names}",{_matchers(edge.labels)}}}'
        rate = await _single(receiver, f"sum(count_over_time({arrived}[1m])) / 60")
        age = min((await _ages(receiver, edge)).values(), default=None)
        fault = _staleness(edge, age)
    except Unreachable as error:
        fault = f"unreachable: {error}"
    else:
        # Another stack's sender is not this stack's to ask.
        if fault is not None and edge.sender in clients:
            fault = await _sender_fault(clients[edge.sender]) or fault
    return EdgeStatus("remote write", edge.sender, edge.receiver, fault, rate, age)


async def _sender_fault(sender: Prometheus | Unreachable) -> str | None:
    """An agent answers no queries: what it last failed at stands in its log."""
    try:
        lines = await reached(sender).log(lines=200)
    except Unreachable as error:
        return f"unreachable: {error}"
    errors = [line for line in lines if "remote" in line and "err=" in line]
    return _explain(errors[-1].split("err=", 1)[1].strip('"')) if errors else None


def _explain(error: str) -> str:
    if status := re.search(r"\b(401|403|404)\b", error):
        meaning = {"401": "wrong credential", "403": "forbidden", "404": "the gateway has no such path"}
        return f"{status[0]}: {meaning[status[0]]}"
    if re.search(r"refused|no route|deadline exceeded|i/o timeout|unreachable|EOF|reset", error):
        return f"unreachable: {error}"
    return error


def _staleness(edge: _Arrivals, age: float | None) -> str | None:
    if age is None:
        return "no samples have arrived"
    if age > edge.fresh_within:
        return f"stale: newest sample is {age:.0f} s old, fresh means {edge.fresh_within:.0f} s"
    return None


async def _ages(client: Prometheus, edge: _Arrivals) -> Mapping[str, float]:
    """Seconds since the newest sample, by metric; without those of which none is left."""
    # timestamp() drops the metric's name, so that a match over several names would collide with itself.
    each = (
        f'label_replace(max(timestamp({{__name__="{name}",{_matchers(edge.labels)}}})), "of", "{name}", "", "")'
        for name in edge.metrics
    )
    ages = await client.query(f"time() - ({' or '.join(each)})")
    return {series.metric["of"]: series.value[1] for series in ages}


async def _single(client: Prometheus, promql: str) -> float | None:
    return next((series.value[1] for series in await client.query(promql)), None)


def _matchers(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels.items())
