"""The plan: clusters and the typed edges between them. Every later decision reads the plan alone."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from fleet.names import DISCOVERY_JOB, THANOS, Tier
from fleet.page import (
    Alerting,
    Alertmanager,
    Auth,
    Authority,
    Chart,
    Destination,
    ExtraMatch,
    GlobalRule,
    Kind,
    Maintenance,
    NetworkPolicies,
    ObjectStorage,
    ParentRef,
    Password,
    Reading,
    RegionRule,
    Resources,
    Rule,
    Storage,
    Thanos,
    Tls,
    Waves,
)
from fleet.promql import Selector
from fleet.queues import Queue

NEARLY = 0.8
"""Of a budget: where a warning is given before the fleet is deployed, and an alert fires after."""

BYTES_PER_SAMPLE = 512
"""Of a sample on `/federate`, labels included: more than any recorded series takes."""


FLEET = "fleet"
"""The fleet's own authorities."""
PUBLIC = "public"
"""Those that everybody trusts: no file says which."""


@dataclass(frozen=True, slots=True)
class Key:
    """What opens one edge: the caller's password and certificate, whichever `auth` needs."""

    auth: Auth = "basic"
    generation: int = 1
    """The caller's own. A generation is one password and one certificate, and never comes back."""
    brought: Password | None = None
    """Where a password comes from that somebody brings; it has no generations."""

    @property
    def accepted(self) -> tuple[int, ...]:
        """Generations that the callee accepts: no two clusters ever change at the same moment."""
        if self.brought is not None:
            return (self.generation,)
        return tuple(range(max(1, self.generation - 1), self.generation + 2))

    @property
    def has_password(self) -> bool:
        return self.auth != "mtls"

    @property
    def has_certificate(self) -> bool:
        return self.auth != "basic"


@dataclass(frozen=True, slots=True)
class Identity:
    """By what a caller knows that it reached the right gateway."""

    name: str
    """That the certificate is for, whatever address was dialled."""
    ca: str
    """Authorities that may have signed it: `FLEET`, `PUBLIC`, or certificates as PEM."""


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
    records: Literal["cluster", "region"]
    """Prefix of the recorded series that go up."""
    extra: tuple[ExtraMatch, ...]
    interval: timedelta
    timeout: timedelta
    server: Identity | None
    """The gateway's; None where the child is called without TLS."""
    budget: int
    """Series that the child may serve."""
    estimate: int
    """Series that it is expected to serve."""
    key: Key

    @property
    def labels(self) -> Mapping[str, str]:
        """What the parent asserts about the child: it knows better than the child may say."""
        labels = {"region": self.region} if self.region is not None else {}
        return {"cluster": self.child, **labels} if self.asserts_cluster else labels

    @property
    def matches(self) -> tuple[str, ...]:
        return (f'{{__name__=~"{self.records}:.*"}}', *(extra.match for extra in self.extra))

    def carries(self, metric: str) -> bool:
        """Whether series of this name go up by it."""
        asked = (Selector.parse(each.match) for each in self.extra)
        return metric.startswith(f"{self.records}:") or any(match.selects(metric) for match in asked)

    @property
    def sample_limit(self) -> int:
        """Beyond it the whole scrape fails, so it lies well above the budget: an alert must come first."""
        return 2 * self.budget

    @property
    def body_size_limit(self) -> int:
        """Bytes, a whole number of MiB."""
        return -(-self.sample_limit * BYTES_PER_SAMPLE // 2**20) * 2**20

    @property
    def job(self) -> str:
        return f"federate-{self.child}"

    @property
    def target(self) -> str:
        """Label matchers, as PromQL has them, of the target that the parent scrapes."""
        return f'job="{self.job}"'

    @property
    def caller(self) -> str:
        return self.parent

    @property
    def callee(self) -> str:
        return self.child

    @property
    def known_as(self) -> str:
        """By which the parent's keys for it are called."""
        return self.child

    @property
    def lower(self) -> str:
        return self.child

    @property
    def upper(self) -> str:
        return self.parent

    @property
    def id(self) -> str:
        return f"{self.parent}-federates-{self.child}"


@dataclass(frozen=True, slots=True)
class DiscoveredEdge(FederationEdge):
    """`parent` scrapes a child that somebody else has put into the parent's own cluster."""

    namespace: str
    """Where the child's Service is looked for."""
    port: str
    """Name of the Service's port."""

    @property
    def job(self) -> str:
        """Its label `job` is `DISCOVERY_JOB`, for all of them; no cluster's job has a slash."""
        return f"{DISCOVERY_JOB}/{self.child}"

    @property
    def target(self) -> str:
        return f'job="{DISCOVERY_JOB}",cluster="{self.child}"'


@dataclass(frozen=True, slots=True)
class Discovery:
    """All that `parent` finds in its own cluster. One credential opens it, and nothing else."""

    parent: str
    edges: tuple[DiscoveredEdge, ...]
    key: Key = Key()

    @property
    def caller(self) -> str:
        return self.parent

    @property
    def lower(self) -> str:
        """Whoever is discovered is in the parent's own cluster."""
        return self.parent

    @property
    def id(self) -> str:
        return f"{self.parent}-discovers"


@dataclass(frozen=True, slots=True)
class _SendingEdge:
    """`sender` posts to `receiver`."""

    sender: str
    receiver: str
    region: str | None
    server: Identity
    """The receiver's gateway."""
    across_stacks: bool
    key: Key

    @property
    def caller(self) -> str:
        return self.sender

    @property
    def callee(self) -> str:
        return self.receiver

    @property
    def known_as(self) -> str:
        """By which the sender's keys for it are called."""
        return self.receiver

    @property
    def lower(self) -> str:
        return self.sender

    @property
    def upper(self) -> str:
        return self.receiver


@dataclass(frozen=True, slots=True)
class Address:
    """As others dial it."""

    host: str | None
    """None where only the Service of a LoadBalancer will know it."""
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Replica:
    """One Prometheus that a sender writes to."""

    name: str
    """The sender's queue: its metrics have it as `remote_name`."""
    address: Address
    server: str
    """In the certificate that it shows."""


@dataclass(frozen=True, slots=True)
class RemoteWriteEdge(_SendingEdge):
    """Samples, to the receiver's Prometheus."""

    keep: tuple[str, ...]
    """Metric names that may leave the sender."""
    rate: float | None
    """Samples per second that are expected; None of an edge of which the page does not say how many series it has."""
    queue: Queue
    replicas: tuple[Replica, ...]
    """Of the receiver: a sample that one of them lacks is missing in half of the answers."""

    @property
    def path(self) -> str:
        return "/api/v1/write"

    def carries(self, metric: str) -> bool:
        """Whether series of this name go up by it."""
        return metric in self.keep

    @property
    def labels(self) -> Mapping[str, str]:
        """Forced onto every sample, since external labels never override a label that a series has."""
        return {"cluster": self.sender} | ({"region": self.region} if self.region is not None else {})

    @property
    def id(self) -> str:
        return f"{self.sender}-writes-{self.receiver}"


@dataclass(frozen=True, slots=True)
class AlertEdge(_SendingEdge):
    """Alerts, to the Alertmanager beside `receiver`, at `/api/v2/alerts`."""

    clusters: tuple[str, ...]
    """`cluster` label values that the sender may speak for: its own, or those of its region's leaves."""
    asserts_cluster: bool
    """Whether every alert has the sender's own `cluster`: a leaf speaks for itself alone, a region for several."""

    @property
    def labels(self) -> Mapping[str, str]:
        """What every alert has, whatever its rule says."""
        labels = {"region": self.region} if self.region is not None else {}
        return {"cluster": self.sender, **labels} if self.asserts_cluster else labels

    @property
    def id(self) -> str:
        return f"{self.sender}-alerts-{self.receiver}"


@dataclass(frozen=True, slots=True)
class StoreEdge(_SendingEdge):
    """Samples, to the Thanos beside `receiver`."""

    keep: tuple[str, ...]
    """Names and patterns of the metrics that may leave the sender; empty for all."""
    asserts_cluster: bool
    """Whether every sample has the sender's own `cluster`: a leaf or an edge speaks for itself alone."""
    replica_label: str | None
    """By which Thanos tells the sender's replicas apart; None where there is one."""
    rate: float | None
    """Samples per second that are expected; None where raw series are sent and the page does not say how many."""
    queue: Queue
    address: Address

    @property
    def name(self) -> str:
        """The sender's queue: its metrics have it as `remote_name`."""
        return THANOS

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """Receivers share samples among themselves: to a sender they are one."""
        return (Replica(self.name, self.address, self.server.name),)

    @property
    def path(self) -> str:
        return "/api/v1/receive"

    @property
    def known_as(self) -> str:
        """No cluster's name has a dot."""
        return f"{self.receiver}.{THANOS}"

    def carries(self, metric: str) -> bool:
        return keeps(self.keep, metric)

    @property
    def store(self) -> tuple[str, str | None]:
        """As a destination's."""
        return THANOS, None

    @property
    def labels(self) -> Mapping[str, str]:
        """Forced onto every sample, since external labels never override a label that a series has."""
        return _asserted(self)

    @property
    def id(self) -> str:
        return f"{self.sender}-stores-{self.receiver}"


@dataclass(frozen=True, slots=True)
class Upload:
    """Of all that `sender` holds, block by block, into the bucket of the fleet's Thanos: no way over any gateway."""

    sender: str

    @property
    def name(self) -> str:
        return THANOS

    @property
    def store(self) -> tuple[str, str | None]:
        """As a `StoreEdge`'s."""
        return THANOS, None

    def carries(self, metric: str) -> bool:  # noqa: ARG002 (a block is laid down whole)
        return True


Edge = FederationEdge | RemoteWriteEdge | StoreEdge | AlertEdge
OwnWriteEdge = RemoteWriteEdge | StoreEdge
"""Along which samples go through a gateway of the fleet."""


@dataclass(frozen=True, slots=True)
class DestinationEdge:
    """`sender` writes to a receiver outside of the fleet."""

    sender: str
    name: str
    """The destination's, and that of the sender's queue: its metrics have it as `remote_name`."""
    destination: Destination
    asserts_cluster: bool
    """Whether every sample has the sender's own `cluster`: a leaf or an edge speaks for itself alone."""
    region: str | None
    replica_label: str | None
    """By which the destination tells the sender's replicas apart; None where there is one."""
    rate: float | None
    """Samples per second that are expected; None where raw series are sent and the page does not say how many."""
    queue: Queue

    @property
    def keep(self) -> tuple[str, ...]:
        """Names and patterns of the metrics that may leave the sender; empty for all."""
        return self.destination.keep

    def carries(self, metric: str) -> bool:
        return keeps(self.keep, metric)

    @property
    def id(self) -> str:
        return f"{self.sender}-writes-{self.name}"

    @property
    def labels(self) -> Mapping[str, str]:
        """Forced onto every sample, since external labels never override a label that a series has."""
        return _asserted(self)

    @property
    def store(self) -> tuple[str, str | None]:
        """What two of them have in common that lead to one and the same store."""
        return self.destination.store_of(self.sender)


def _asserted(edge: StoreEdge | DestinationEdge) -> Mapping[str, str]:
    if not edge.asserts_cluster:
        return {}
    return {"cluster": edge.sender} | ({"region": edge.region} if edge.region is not None else {})


WriteEdge = OwnWriteEdge | DestinationEdge
"""Along which samples leave a cluster: to the fleet's own global Prometheus or Thanos, or to somebody else."""


def keeps(keep: Sequence[str], metric: str) -> bool:
    """Whether a keep list, names and patterns of them, lets series of this name through; an empty one keeps all."""
    return not keep or Selector.parse(f'{{__name__=~"{"|".join(keep)}"}}').selects(metric)


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody outside of the fleet who may query `cluster`."""

    name: str
    cluster: str
    key: Key

    @property
    def caller(self) -> str:
        return self.name

    @property
    def lower(self) -> str:
        return self.cluster

    @property
    def id(self) -> str:
        return f"{self.name}-reads-{self.cluster}"


Call = Edge | Discovery | Reader
"""Along which somebody shows a key."""


def password_path(call: Call) -> tuple[str, ...]:
    """Where the page says of it that somebody brings its password."""
    return ("readers", call.name, "password") if isinstance(call, Reader) else ("keys", "edges", call.id, "password")


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    type: Literal["LoadBalancer", "NodePort", "Host", "HTTPRoute"]
    host: str | None
    """None where only the Service of a LoadBalancer will know it."""
    port: int
    """As others dial it."""
    parent_ref: ParentRef | None
    """Of an HTTPRoute."""
    passthrough: bool
    """Whether callers' TLS ends at the gateway itself, which alone can see their certificates."""
    tls: Tls
    """Where its certificate comes from."""
    tls_path: tuple[str, ...]
    """Where the page says so."""
    certified: str
    """The name in its certificate."""
    server: Identity
    """By what callers know it: by that name, or by whatever ends TLS before it."""
    replicas: tuple[Address, ...]
    """Where senders write to, each of them to each; empty where there is one replica, or nobody writes."""

    @property
    def address(self) -> Address:
        return Address(self.host, self.port)

    @property
    def dialled(self) -> tuple[Address, ...]:
        """All of its addresses."""
        return (self.address, *self.replicas)

    @property
    def written_to(self) -> tuple[Address, ...]:
        """Each has every sample."""
        return self.replicas or (self.address,)


@dataclass(frozen=True, slots=True)
class DataSource:
    """A store outside of the fleet, as a Grafana asks it."""

    name: str
    kind: Kind
    headers: Mapping[str, str]
    reading: Reading


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    name: str
    tier: Tier
    region: str | None
    namespace: str
    protect: bool
    """Whether its namespace refuses to be deleted."""
    wave: int
    """Its release waits for those of lower numbers."""
    kubeconfig: Path | None
    kubeconfig_secret: str | None
    context: str | None
    external_labels: Mapping[str, str]
    gateway: GatewayPlan | None
    """How others reach it; None where nobody calls."""
    readers: tuple[Reader, ...]
    """Who queries it from outside of the fleet."""
    callees: tuple[GatewayPlan, ...]
    """The gateways that its Prometheus calls."""
    scrape_interval: timedelta
    scrape_timeout: timedelta | None
    rule_interval: timedelta
    rules: tuple[Rule, ...]
    """What leaves record; what this cluster records follows from it."""
    added_rules: tuple[GlobalRule | RegionRule, ...]
    """What the page has this tier record beside that."""
    reporters: Mapping[str | None, tuple[str, ...]]
    """Clusters whose heartbeats should be here, by region."""
    retention: timedelta | None
    """None for an edge, which keeps nothing."""
    storage: Storage | None
    replicas: int
    resources: Resources | None
    receives_writes: bool
    receives_edges: bool
    """Whether raw series of edges arrive here, which makes it the place of their `cluster:*` rules."""
    destinations: tuple[DestinationEdge, ...]
    """Receivers outside of the fleet that it writes to."""
    maintenance: Maintenance | None
    alerting: Alerting | None
    """Of the global cluster, for the whole fleet."""
    alertmanager: Alertmanager | None
    """What runs beside its Prometheus; the global cluster's is its `alerting`."""
    hears_alerts: bool
    """Whether its Alertmanager hears of other clusters' alerts."""
    sends_alerts: bool
    """Whether another cluster's Alertmanager hears of its alerts."""
    grafana: bool
    """Whether a Grafana runs beside its Prometheus."""
    data_sources: tuple[DataSource, ...]
    """What this Grafana asks beside that Prometheus."""
    thanos: Thanos | None
    """What runs beside its Prometheus for others to write to."""
    bucket: ObjectStorage | None
    """Where a sidecar of its Prometheus lays its blocks; None where it has none."""
    discovery: Discovery | None
    """Children outside of the fleet that it federates; None where the page allows none."""
    network_policies: NetworkPolicies | None
    """None where the page switches them off."""
    pod_security: Literal["baseline", "privileged"] | None
    """What its namespace has to admit beside the release; None for nothing more."""
    chart: Chart
    overlays: tuple[Mapping[str, JsonValue], ...]
    """The page's own chart values, to be laid over the program's in this order."""

    @property
    def discovered(self) -> tuple[DiscoveredEdge, ...]:
        return self.discovery.edges if self.discovery is not None else ()


@dataclass(frozen=True, slots=True)
class Plan:
    clusters: Mapping[str, ClusterPlan]
    federation: tuple[FederationEdge, ...]
    remote_write: tuple[RemoteWriteEdge, ...]
    stores: tuple[StoreEdge, ...]
    alerts: tuple[AlertEdge, ...]
    authority: Authority
    dashboards: bool
    """Whether Grafana's dashboards lie beside the global cluster's release."""
    waves: Waves
    warnings: tuple[str, ...]
    """What is no mistake and yet worth a look."""
    stacks: Mapping[str, str] = field(default_factory=dict[str, str])
    """Which stack deploys each cluster of the fleet; empty where one deploys them all."""
    outside: Mapping[str, ClusterPlan] = field(default_factory=dict[str, ClusterPlan])
    """Of a part: the clusters that other stacks deploy."""

    def part(self, stack: str) -> "Plan":
        """What `stack` deploys, with every edge that begins or ends there."""
        own = {name: cluster for name, cluster in self.clusters.items() if self.stacks.get(name, stack) == stack}

        def touched(edge: Edge) -> bool:
            return edge.caller in own or edge.callee in own

        return replace(
            self,
            clusters=own,
            federation=tuple(filter(touched, self.federation)),
            remote_write=tuple(filter(touched, self.remote_write)),
            stores=tuple(filter(touched, self.stores)),
            alerts=tuple(filter(touched, self.alerts)),
            outside={name: cluster for name, cluster in self.clusters.items() if name not in own},
        )

    def without(self, names: Collection[str]) -> "Plan":
        """As if some of its clusters, and every edge that begins or ends there, were not on the page."""

        def stays(edge: Edge) -> bool:
            return edge.caller not in names and edge.callee not in names

        return replace(
            self,
            clusters={name: cluster for name, cluster in self.clusters.items() if name not in names},
            federation=tuple(filter(stays, self.federation)),
            remote_write=tuple(filter(stays, self.remote_write)),
            stores=tuple(filter(stays, self.stores)),
            alerts=tuple(filter(stays, self.alerts)),
        )

    @property
    def everywhere(self) -> Mapping[str, ClusterPlan]:
        """Every cluster of the fleet, whichever stack deploys it."""
        return {**self.clusters, **self.outside}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What every leaf records."""
        return next(iter(self.everywhere.values())).rules

    def cluster(self, name: str) -> ClusterPlan:
        """An end of an edge, whichever stack deploys it."""
        return self.clusters[name] if name in self.clusters else self.outside[name]

    @property
    def edges(self) -> tuple[Edge, ...]:
        return (*self.federation, *self.own_writes, *self.alerts)

    @property
    def own_writes(self) -> tuple[OwnWriteEdge, ...]:
        return (*self.remote_write, *self.stores)

    @property
    def keyed(self) -> tuple[Edge | Discovery, ...]:
        """Whatever a key of its own opens."""
        discoveries = (cluster.discovery for cluster in self.clusters.values())
        return (*self.edges, *(each for each in discoveries if each is not None))

    @property
    def discovered(self) -> tuple[DiscoveredEdge, ...]:
        return tuple(edge for cluster in self.clusters.values() for edge in cluster.discovered)

    @property
    def scraped(self) -> tuple[FederationEdge, ...]:
        """Every `/federate` that is scraped, in the fleet and beside it, those below before those above."""
        return (*self.discovered, *self.federation)

    def tier(self, tier: Tier) -> Iterator[ClusterPlan]:
        return (cluster for cluster in self.clusters.values() if cluster.tier is tier)

    def federated_by(self, parent: str) -> tuple[FederationEdge, ...]:
        return tuple(edge for edge in self.federation if edge.parent == parent)

    def federations_of(self, child: str) -> tuple[FederationEdge, ...]:
        """One per parent: none for a cluster that goes up by remote write alone."""
        return tuple(edge for edge in self.federation if edge.child == child)

    def written_by(self, sender: str) -> tuple[RemoteWriteEdge, ...]:
        return tuple(edge for edge in self.remote_write if edge.sender == sender)

    def own_writes_of(self, sender: str) -> tuple[OwnWriteEdge, ...]:
        return tuple(edge for edge in self.own_writes if edge.sender == sender)

    def alerts_of(self, sender: str) -> tuple[AlertEdge, ...]:
        return tuple(edge for edge in self.alerts if edge.sender == sender)

    def calls_to(self, callee: str) -> tuple[Edge, ...]:
        return tuple(edge for edge in self.edges if edge.callee == callee)
