"""What works: each edge of the fleet, judged by what has arrived at its upper end."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from fleet.duration import Duration
from fleet.names import THANOS
from fleet.prometheus import Prometheus, Series, Unreachable, reached
from fleet.promql import by_name

Way = Literal["federation", "discovery", "remote write"]


class _Arrivals(BaseModel):
    metrics: list[str]
    labels: dict[str, str]
    fresh_within: float


class FederationOutput(_Arrivals):
    parent: str
    child: str
    job: str
    timeout: Duration | None = None
    """Of a scrape; None of a stack deployed before this was told."""
    budget: int | None = None
    """Series; None likewise."""

    @property
    def lower(self) -> str:
        return self.child

    @property
    def upper(self) -> str:
        return self.parent

    @property
    def asked(self) -> str:
        """The cluster that can tell what has arrived."""
        return self.parent

    @property
    def way(self) -> Way:
        return "federation"

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
    def way(self) -> Way:
        return "discovery"

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

    @property
    def lower(self) -> str:
        return self.sender

    @property
    def upper(self) -> str:
        return self.receiver

    @property
    def asked(self) -> str:
        return self.receiver

    @property
    def way(self) -> Way:
        return "remote write"


class StoreOutput(_Arrivals):
    """Into the Thanos beside the receiver's Prometheus."""

    sender: str
    receiver: str

    @property
    def lower(self) -> str:
        return self.sender

    @property
    def upper(self) -> str:
        return f"{THANOS} at {self.receiver}"

    @property
    def asked(self) -> str:
        return self.receiver

    @property
    def way(self) -> Way:
        return "remote write"


EdgeOutput = FederationOutput | RemoteWriteOutput | StoreOutput
Clients = Mapping[str, Prometheus | Unreachable]
"""By cluster name."""


class GatewayOutput(BaseModel):
    url: str
    replicas: list[str] = []
    """URLs of those that others write to each."""


class ClusterOutput(BaseModel):
    namespace: str
    gateway: GatewayOutput | None = None


class FleetOutput(BaseModel):
    """What this module needs of stack output `fleet` (docs/outputs.md)."""

    clusters: dict[str, ClusterOutput]
    federation: list[FederationOutput]
    discovery: list[DiscoveryOutput] = []
    """Of a stack deployed before there was discovery: nothing."""
    remote_write: list[RemoteWriteOutput]
    stores: list[StoreOutput] = []
    """Of a stack deployed before there was a Thanos: nothing."""

    @property
    def upward(self) -> Sequence[FederationOutput | RemoteWriteOutput]:
        """What brings a cluster's samples to the global one's Prometheus."""
        return (*self.federation, *self.discovery, *self.remote_write)

    @property
    def edges(self) -> Sequence[EdgeOutput]:
        return (*self.upward, *self.stores)


@dataclass(frozen=True, slots=True)
class EdgeStatus:
    kind: Way
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
    up: bool | None = None
    """Whether the newest scrape worked or, of remote write, whether samples arrive; None where that is not known."""
    duration: float | None = None
    """Seconds that the newest scrape took; None for remote write."""
    lag: float | None = None
    """Seconds by which what a remote writer has sent is behind what it has scraped, as it says itself; None where it
    cannot be asked, and for federation."""


async def edge_statuses(fleet: FleetOutput, clients: Clients) -> Sequence[EdgeStatus]:
    """Every edge of the fleet."""
    return await asyncio.gather(*(edge_status(edge, clients) for edge in fleet.edges))


async def edge_status(edge: EdgeOutput, clients: Clients) -> EdgeStatus:
    match edge:
        case RemoteWriteOutput():
            return await _remote_write(edge, clients)
        case StoreOutput():
            return await _stored(edge, clients)
        case _:
            return await _federation(edge, clients)


async def _federation(edge: FederationOutput, clients: Clients) -> EdgeStatus:
    scrape, age = _Scrape(), None
    missing = tuple(edge.metrics)
    try:
        parent = reached(clients[edge.parent])
        scrape = await _newest_scrape(parent, edge)
        ages = await _ages(parent.query, edge)
        age = min(ages.values(), default=None)
        missing = tuple(name for name in edge.metrics if name not in ages)
        fault = await _federation_fault(parent, edge, scrape.samples, age)
    except Unreachable as error:
        fault = f"unreachable: {error}"
    return EdgeStatus(
        edge.way, edge.child, edge.parent, fault, scrape.samples, age, missing, scrape.up, scrape.duration
    )


@dataclass(frozen=True, slots=True)
class _Scrape:
    """What a parent has noted of its newest scrape of a child."""

    up: bool | None = None
    duration: float | None = None
    samples: float | None = None


async def _newest_scrape(parent: Prometheus, edge: FederationOutput) -> _Scrape:
    noted = ("up", "scrape_duration_seconds", "scrape_samples_post_metric_relabeling")
    told = await parent.query(f'{{__name__=~"{"|".join(noted)}",job="{edge.job}",{_matchers(edge.labels)}}}')
    # A Service that was discovered may have several addresses, each of them a target.
    ups, durations, samples = (
        [series.value[1] for series in told if series.metric["__name__"] == name] for name in noted
    )
    return _Scrape(all(ups) if ups else None, max(durations, default=None), sum(samples) if samples else None)


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


async def _remote_write(edge: RemoteWriteOutput, clients: Clients) -> EdgeStatus:
    rate = age = up = None
    # Another stack's sender is not this stack's to ask. What it says is not waited for where the receiver is slow.
    lag = asyncio.create_task(_lag(clients[edge.sender], edge.receiver)) if edge.sender in clients else None
    try:
        receiver = reached(clients[edge.receiver])
        arrived = by_name(edge.metrics, lambda name: f"count_over_time({name}{{{_matchers(edge.labels)}}}[1m])")
        rate = await _single(receiver, f"sum({arrived}) / 60")
        age = min((await _ages(receiver.query, edge)).values(), default=None)
        fault = _staleness(edge, age)
        up = fault is None
    except Unreachable as error:
        fault = f"unreachable: {error}"
    else:
        if fault is not None and edge.sender in clients:
            fault = await _sender_fault(clients[edge.sender]) or fault
    behind = await lag if lag is not None else None
    return EdgeStatus(edge.way, edge.sender, edge.receiver, fault, rate, age, up=up, lag=behind)


async def _stored(edge: StoreOutput, clients: Clients) -> EdgeStatus:
    age = up = None
    lag = asyncio.create_task(_lag(clients[edge.sender], THANOS)) if edge.sender in clients else None
    try:
        receiver = reached(clients[edge.receiver])
        age = min((await _ages(receiver.query_thanos, edge)).values(), default=None) if edge.metrics else None
        fault = _staleness(edge, age) if edge.metrics else None
        up = fault is None if edge.metrics else None
    except Unreachable as error:
        fault = f"unreachable: {error}"
    else:
        if fault is not None and edge.sender in clients:
            fault = await _sender_fault(clients[edge.sender]) or fault
    behind = await lag if lag is not None else None
    return EdgeStatus(edge.way, edge.lower, edge.upper, fault, None, age, up=up, lag=behind)


async def _lag(sender: Prometheus | Unreachable, queue: str) -> float | None:
    """To the receiver's replica that is furthest behind, of the sender's that is."""
    # Not `…_queue_highest_timestamp_seconds`: that stands still while a full queue takes nothing in.
    scraped = r"^prometheus_remote_storage_highest_timestamp_in_seconds (\S+)$"
    sent = (
        rf'^prometheus_remote_storage_queue_highest_sent_timestamp_seconds{{remote_name="{queue}(?:/\d+)?",.*}} (\S+)$'
    )
    try:
        told = (await reached(sender).metrics()).values()
    except Unreachable:
        return None
    ends = [(re.findall(scraped, text, re.MULTILINE), re.findall(sent, text, re.MULTILINE)) for text in told]
    # 0 of a queue that has sent nothing yet.
    lags = (float(last) - float(at) for newest, of_queues in ends for last in newest for at in of_queues if float(at))
    return max(lags, default=None)


async def _sender_fault(sender: Prometheus | Unreachable) -> str | None:
    """An agent answers no queries: what it last failed at stands in its log."""
    try:
        lines = await reached(sender).log(lines=200)
    except Unreachable as error:
        return f"unreachable: {error}"
    errors = [line for line in lines if "remote" in line and "err=" in line]
    return _explain(errors[-1].split("err=", 1)[1].strip('"')) if errors else None


def _explain(error: str) -> str:
    # Whom it asked is known, and would stand before all that is not.
    error = re.sub(r'^(Get|Post) \\?"[^"]*": ', "", error)
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


async def _ages(query: Callable[[str], Awaitable[list[Series]]], edge: _Arrivals) -> Mapping[str, float]:
    """Seconds since the newest sample, by metric; without those of which none is left."""
    # timestamp() drops the metric's name, so that a match over several names would collide with itself.
    each = (
        f'label_replace(max(timestamp({{__name__="{name}",{_matchers(edge.labels)}}})), "of", "{name}", "", "")'
        for name in edge.metrics
    )
    ages = await query(f"time() - ({' or '.join(each)})")
    return {series.metric["of"]: series.value[1] for series in ages}


async def _single(client: Prometheus, promql: str) -> float | None:
    return next((series.value[1] for series in await client.query(promql)), None)


def _matchers(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels.items())
