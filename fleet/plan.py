"""The compiler: from a page to a plan of clusters and typed edges. Every later decision reads the plan alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import JsonValue

from fleet.errors import FleetError, Problem
from fleet.names import Tier
from fleet.page import Chart, Cluster, Gateway, Page

_PREFIX = {Tier.LEAF: "cluster", Tier.REGIONAL: "region"}
_LEVEL = {Tier.LEAF: "cluster", Tier.REGIONAL: "regional", Tier.GLOBAL: "global"}


@dataclass(frozen=True, slots=True)
class FederationEdge:
    """`parent` scrapes `child`'s `/federate`."""

    parent: str
    child: str
    region: str | None
    clusters: tuple[str, ...]
    """`cluster` label values that the child may speak for: its own, or those of its region's leaves."""
    asserts_cluster: bool
    """Whether the parent overwrites `cluster`: a leaf speaks for itself alone, a region for several."""
    matches: tuple[str, ...]
    interval: timedelta
    timeout: timedelta

    @property
    def labels(self) -> Mapping[str, str]:
        """What the parent asserts about the child: it knows better than the child may say."""
        labels = {"region": self.region} if self.region is not None else {}
        return {"cluster": self.child, **labels} if self.asserts_cluster else labels

    @property
    def job(self) -> str:
        return f"federate-{self.child}"

    @property
    def caller(self) -> str:
        return self.parent

    @property
    def callee(self) -> str:
        return self.child

    @property
    def id(self) -> str:
        return f"{self.parent}-federates-{self.child}"


@dataclass(frozen=True, slots=True)
class RemoteWriteEdge:
    """`sender` pushes to `receiver`'s `/api/v1/write`."""

    sender: str
    receiver: str
    region: str | None
    keep: tuple[str, ...]
    """Metric names that may leave the sender."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Forced onto every sample, since external labels never override a label that a series has."""
        return {"cluster": self.sender} | ({"region": self.region} if self.region is not None else {})

    @property
    def caller(self) -> str:
        return self.sender

    @property
    def callee(self) -> str:
        return self.receiver

    @property
    def id(self) -> str:
        return f"{self.sender}-writes-{self.receiver}"


Edge = FederationEdge | RemoteWriteEdge


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    name: str
    tier: Tier
    region: str | None
    namespace: str
    kubeconfig: Path | None
    kubeconfig_secret: str | None
    context: str | None
    external_labels: Mapping[str, str]
    gateway: Gateway | None
    """How others reach it; None where nobody calls."""
    scrape_interval: timedelta
    rule_interval: timedelta
    receives_edges: bool
    """Whether raw series of edges arrive here, which makes it the place of their `cluster:*` rules."""
    chart: Chart
    overlays: tuple[Mapping[str, JsonValue], ...]
    """The page's own chart values, to be laid over the program's in this order."""


@dataclass(frozen=True, slots=True)
class Plan:
    clusters: Mapping[str, ClusterPlan]
    federation: tuple[FederationEdge, ...]
    remote_write: tuple[RemoteWriteEdge, ...]

    @property
    def edges(self) -> tuple[Edge, ...]:
        return (*self.federation, *self.remote_write)

    def tier(self, tier: Tier) -> Iterator[ClusterPlan]:
        return (cluster for cluster in self.clusters.values() if cluster.tier is tier)

    def federated_by(self, parent: str) -> tuple[FederationEdge, ...]:
        return tuple(edge for edge in self.federation if edge.parent == parent)

    def way_up(self, child: str) -> FederationEdge:
        (edge,) = (edge for edge in self.federation if edge.child == child)
        return edge

    def written_by(self, sender: str) -> tuple[RemoteWriteEdge, ...]:
        return tuple(edge for edge in self.remote_write if edge.sender == sender)

    def calls_to(self, callee: str) -> tuple[Edge, ...]:
        return tuple(edge for edge in self.edges if edge.callee == callee)


def compile_page(page: Page, edge_metrics: tuple[str, ...]) -> Plan:
    """Derives the plan; `edge_metrics` are the raw metrics that the rules read (`fleet.rules.source_metrics`).

    Raises FleetError where the clusters do not form a fleet.
    """
    problems = [*_topology_problems(page)]
    if problems:
        raise FleetError(problems)
    federation = tuple(_federation(page))
    remote_write = tuple(_remote_write(page, edge_metrics))
    called = {edge.callee for edge in (*federation, *remote_write)}
    receivers = {edge.receiver for edge in remote_write}
    clusters = {
        name: ClusterPlan(
            name=name,
            tier=cluster.tier,
            region=cluster.region,
            namespace=cluster.namespace or page.namespace,
            kubeconfig=cluster.kubeconfig,
            kubeconfig_secret=cluster.kubeconfig_secret,
            context=cluster.context,
            external_labels=_external_labels(name, cluster),
            gateway=(cluster.gateway or page.gateway) if name in called else None,
            scrape_interval=page.intervals.scrape,
            rule_interval=page.intervals.rules,
            receives_edges=name in receivers,
            chart=page.chart,
            overlays=(page.values, cluster.values),
        )
        for name, cluster in page.clusters.items()
    }
    return Plan(clusters, federation, remote_write)


def _named(page: Page, tier: Tier) -> list[str]:
    return [name for name, cluster in page.clusters.items() if cluster.tier is tier]


def _topology_problems(page: Page) -> Iterator[Problem]:
    top = _named(page, Tier.GLOBAL)
    if not top:
        yield Problem("clusters", "no cluster has tier global, so nothing answers for the fleet", "hub: {tier: global}")
    for extra in top[1:]:
        yield Problem(f"clusters.{extra}.tier", f"a fleet has one global tier, and {top[0]} is it already")
    aggregators: dict[str, str] = {}
    for name in _named(page, Tier.REGIONAL):
        region = page.clusters[name].region or ""
        if region in aggregators:
            taken = f"region {region!r} is aggregated by {aggregators[region]} already"
            yield Problem(f"clusters.{name}.region", taken)
        aggregators.setdefault(region, name)
    regions = {page.clusters[name].region for name in _named(page, Tier.LEAF)}
    for region, name in aggregators.items():
        if region not in regions:
            fix = f"eu-1: {{tier: leaf, region: {region}}}"
            yield Problem(f"clusters.{name}.region", f"no leaf lies in region {region!r}", fix)


def _aggregators(page: Page) -> dict[str | None, str]:
    return {page.clusters[name].region: name for name in _named(page, Tier.REGIONAL)}


def _federation(page: Page) -> Iterator[FederationEdge]:
    (top,) = _named(page, Tier.GLOBAL)
    aggregators = _aggregators(page)
    leaves = _named(page, Tier.LEAF)
    for leaf in leaves:
        region = page.clusters[leaf].region
        yield _federation_edge(page, aggregators.get(region, top), leaf, (leaf,))
    for region, aggregator in aggregators.items():
        below = tuple(leaf for leaf in leaves if page.clusters[leaf].region == region)
        yield _federation_edge(page, top, aggregator, below)


def _federation_edge(page: Page, parent: str, child: str, clusters: tuple[str, ...]) -> FederationEdge:
    intervals = page.intervals.federation
    is_regional = page.clusters[parent].tier is Tier.REGIONAL
    interval = intervals.regional if is_regional else intervals.global_
    tier = page.clusters[child].tier
    return FederationEdge(
        parent=parent,
        child=child,
        region=page.clusters[child].region,
        clusters=clusters,
        asserts_cluster=tier is Tier.LEAF,
        matches=(f'{{__name__=~"{_PREFIX[tier]}:.*"}}',),
        interval=interval,
        # A scrape that overruns its interval delays the next one; Prometheus's own default of 10 s is too
        # short for a far cluster and too long for a fast one.
        timeout=interval * 0.8,
    )


def _remote_write(page: Page, edge_metrics: tuple[str, ...]) -> Iterator[RemoteWriteEdge]:
    (top,) = _named(page, Tier.GLOBAL)
    keep = tuple(sorted({*edge_metrics, *page.keep}))
    for name in _named(page, Tier.EDGE):
        yield RemoteWriteEdge(name, top, page.clusters[name].region, keep)


def _external_labels(name: str, cluster: Cluster) -> dict[str, str]:
    """What `/federate` stamps on series that lack it: a region or the global tier must not claim a cluster."""
    labels: dict[str, str | None] = {"region": cluster.region, "level": _LEVEL.get(cluster.tier)}
    match cluster.tier:
        case Tier.LEAF:
            labels |= {"cluster": name, "datacenter": cluster.datacenter}
        case Tier.EDGE:
            labels |= {"cluster": name, "datacenter": cluster.datacenter, "level": "edge"}
        case Tier.REGIONAL:
            pass
        case Tier.GLOBAL:
            labels = {"level": "global"}
    return {label: value for label, value in sorted(labels.items()) if value is not None}
