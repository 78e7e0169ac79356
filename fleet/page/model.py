"""The page's shape. A key that is here has an effect; what spans several clusters is the compiler's to judge."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel

from fleet import versions
from fleet.duration import Duration, format_duration
from fleet.names import Tier
from fleet.page.destinations import Count, Destination, QueueSettings
from fleet.page.fields import (
    Blocks,
    Host,
    LabelName,
    LabelValue,
    Matcher,
    MetricName,
    Moment,
    Name,
    Names,
    Pem,
    PortName,
    SecretKey,
    SecretName,
    StackName,
    Url,
)
from fleet.page.recording import GlobalRule, RegionRule, Rule
from fleet.page.shape import Strict as _Strict
from fleet.page.shape import wrong
from fleet.page.sizes import Resources, Storage
from fleet.page.thanos import Thanos

Auth = Literal["basic", "mtls", "both"]
Generation = Annotated[int, Field(ge=1, strict=True)]


class Chart(_Strict):
    source: str = versions.CHART_SOURCE
    """An `oci://` reference, or a path relative to Pulumi.yaml's folder."""
    version: str | None = Field(default=None, examples=[versions.CHART])
    """Exact version; required for `oci://`, without meaning for a path."""
    registry: str | None = Field(default=None, pattern=r"^[a-z0-9.:/-]+$", examples=["mirror.example.com"])
    """Mirror that every image comes from, for sites without internet."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if self.source.startswith("oci://") and self.version is None:
            raise wrong("version", "a chart from a registry needs an exact version", versions.CHART)
        return self


class FederationIntervals(_Strict):
    """How often each parent scrapes its children's `/federate`, by the parent's tier."""

    regional: Duration = timedelta(seconds=60)
    global_: Duration = Field(default=timedelta(seconds=120), alias="global")
    floor: Duration = timedelta(seconds=60)
    """Below which no federation interval may lie; only a fleet to try things on should lower it."""
    timeout: Duration | None = Field(default=None, examples=["45s"])
    """Of one scrape; 80 % of its interval where absent."""


class Intervals(_Strict):
    scrape: Duration = timedelta(seconds=30)
    """Between two scrapes of a target inside its own cluster."""
    timeout: Duration | None = Field(default=None, examples=["10s"])
    """Of such a scrape; Prometheus's own default where absent."""
    rules: Duration = timedelta(seconds=30)
    """Between two evaluations of the recording rules, at every tier."""
    federation: FederationIntervals = FederationIntervals()


class ParentRef(_Strict):
    """The Gateway (of the Gateway API) that a route attaches to."""

    name: Name = Field(examples=["public"])
    namespace: Name = Field(examples=["gateways"])


class ReplicaAddress(_Strict):
    """Where one of several replicas is dialled by itself; what is absent is the gateway's own."""

    host: Host | None = Field(default=None, examples=["hub-0.example.com"])
    port: int | None = Field(default=None, ge=1, le=65535, examples=[30444])


class Gateway(_Strict):
    """How a cluster's gateway is reached from the other clusters. A cluster's own fields go before the fleet's.

    A cluster with another type takes nothing from the fleet's.
    """

    type: Literal["LoadBalancer", "NodePort", "Host", "HTTPRoute"] = "LoadBalancer"
    """Host: something that is there already brings calls for `host` to the Service `prometheus-gateway`."""
    host: Host | None = Field(default=None, examples=["prometheus.eu-1.example.com"])
    """Address that others dial. Every type but LoadBalancer needs it; that takes it from the Service where absent."""
    port: int | None = Field(default=None, ge=1, le=65535, examples=[9443])
    """Port that others dial. Where absent: 9443, 30443 for NodePort, 443 for Host and HTTPRoute."""
    passthrough: bool | None = Field(default=None, strict=True, examples=[False])
    """Of a Host: whether TLS reaches the gateway as the caller began it; true where absent. With false, something ends
    TLS with a certificate that everybody trusts, and begins it anew towards the gateway, as an HTTPRoute does."""
    parent_ref: ParentRef | None = Field(default=None, examples=[{"name": "public", "namespace": "gateways"}])
    """For HTTPRoute alone."""


class OwnGateway(Gateway):
    """Of one cluster."""

    replicas: tuple[ReplicaAddress, ...] | None = Field(default=None, examples=[[{"port": 30444}, {"port": 30445}]])
    """Of a global cluster with several replicas that others write to: every sender writes to each of them. A
    LoadBalancer without host has an address for each by itself."""


class Issuer(_Strict):
    """Of cert-manager."""

    name: Name = Field(examples=["internal-ca"])
    kind: Literal["Issuer", "ClusterIssuer"] = "ClusterIssuer"


class Tls(_Strict):
    """Where the certificate that a gateway shows comes from. A cluster's own goes before the fleet's."""

    mode: Literal["generated", "cert-manager", "existing"] = "generated"
    """By the fleet's own authority, by cert-manager in the cluster, or as a Secret that somebody else keeps."""
    issuer: Issuer | None = Field(default=None, examples=[{"name": "internal-ca"}])
    """For cert-manager."""
    secret: SecretName | None = Field(default=None, examples=["gateway-certificate"])
    """For existing: a Secret of type kubernetes.io/tls in the monitoring namespace."""
    ca: Pem | None = None
    """Certificates of the authorities by which callers know the gateway, as PEM; those that everybody trusts where
    absent. In mode generated it is the fleet's own."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        for name, mode, right in (("issuer", "cert-manager", {"name": "internal-ca"}), ("secret", "existing", "tls")):
            if (getattr(self, name) is None) == (self.mode == mode):
                message = f"mode {mode} needs it" if self.mode == mode else f"has no meaning for mode {self.mode}"
                raise wrong(name, message, right if self.mode == mode else None)
        if self.mode == "generated" and self.ca is not None:
            raise wrong("ca", "has no meaning for mode generated: callers trust the fleet's own authority")
        return self


class Authority(_Strict):
    """The fleet's own certificate authorities, by number: they sign what gateways show, and what callers do."""

    trust: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(1,), min_length=1, max_length=2)
    """Whose certificates every cluster accepts; a second one while the first is replaced."""
    issue: int = 1
    """Which of them signs."""
    valid_for: Duration = timedelta(days=180)
    """How long a certificate is valid. Authorities themselves are for ten years."""
    renew_before: Duration = timedelta(days=60)
    """From how long before its end on `pulumi up` renews a certificate."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if len(set(self.trust)) < len(self.trust):
            raise wrong("trust", "names an authority twice", sorted(set(self.trust)))
        if self.issue not in self.trust:
            raise wrong("issue", f"nobody trusts authority {self.issue}", self.trust[0])
        if not timedelta(hours=3) <= self.valid_for <= timedelta(days=3650):
            raise wrong("validFor", "a certificate lives from three hours to the ten years of its authority", "180d")
        # The provider counts whole hours.
        if self.renew_before > self.valid_for - timedelta(hours=1):
            right = format_duration(self.valid_for / 3)
            message = "must be at least an hour shorter than validFor, or each run would renew everything"
            raise wrong("renewBefore", message, right)
        return self


class Password(_Strict):
    """Where a password lies that you bring yourself: in the stack's config, or in a Secret that is there already."""

    config: str | None = Field(default=None, min_length=1, examples=["hub-federates-eu"])
    """Name of another config key, a Pulumi secret, that holds it."""
    secret: SecretName | None = Field(default=None, examples=["prometheus-password"])
    """A Secret in the cluster whose metrics it opens: that of the child, the sender, or what a reader queries."""
    namespace: Name | None = Field(default=None, examples=["credentials"])
    """Of that Secret. The monitoring namespace of a new cluster is only made by `pulumi up`, which needs it before."""
    key: SecretKey = "password"
    """Of that Secret."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.config is None and self.secret is None:
            raise wrong("secret", "is missing, or config instead of it", "prometheus-password")
        for name in ("secret", "namespace", "key"):
            if self.config is not None and name in self.model_fields_set:
                raise wrong(name, "has no meaning beside config: a password comes from one place")
        if self.secret is not None and self.namespace is None:
            raise wrong("namespace", "is missing: a Secret lies in one", "credentials")
        return self


class EdgeKey(_Strict):
    """What differs for one edge of the fleet."""

    auth: Auth | None = Field(default=None, examples=["both"])
    generation: Generation | None = Field(default=None, examples=[2])
    password: Password | None = Field(default=None, examples=[{"config": "hub-federates-eu"}])
    """One that you bring yourself; the program makes one where absent."""

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        _refuse_generations(self.password, self.generation)
        return self


def _refuse_generations(password: Password | None, generation: int | None) -> None:
    if password is not None and generation is not None:
        raise wrong("generation", "has no meaning beside password: whoever brings a password renews it")


class Keys(_Strict):
    """How callers show who they are: one key for each edge of the fleet."""

    auth: Auth = "basic"
    """With a password, with a certificate of the fleet's authority, or with both; always over TLS."""
    generation: Generation = 1
    """One more makes every key anew: gateways accept the one before, this one and the next."""
    edges: dict[str, EdgeKey] = Field(default={}, examples=[{"hub-federates-eu": {"generation": 2}}])
    """By the edge's name: `PARENT-federates-CHILD`, `PARENT-discovers`, `SENDER-writes-RECEIVER`,
    `SENDER-alerts-RECEIVER`, `SENDER-stores-RECEIVER` (into its Thanos)."""


class Reader(_Strict):
    """Somebody outside of the fleet who may query it, such as a Grafana, with a key of their own."""

    clusters: Names = Field(min_length=1, examples=["hub"])
    """Whose Prometheus they query, through its gateway."""
    generation: Generation | None = Field(default=None, examples=[2])
    """1 where absent; one more makes their passwords anew; the ones before are accepted until the next time."""
    password: Password | None = Field(
        default=None, examples=[{"secret": "grafana-reads-prometheus", "namespace": "credentials"}]
    )
    """One that you bring yourself; the program makes one for each cluster where absent."""

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        _refuse_generations(self.password, self.generation)
        return self


class Sized(_Strict):
    """What one Prometheus is given. A cluster's own fields go before those of its tier."""

    storage: Storage | None = Field(default=None, examples=[{"size": "50Gi"}])
    """A volume per replica; without one, a restarted pod starts empty."""
    resources: Resources | None = Field(default=None, examples=[{"requests": {"cpu": "500m", "memory": "2Gi"}}])


class Server(Sized):
    retention: Duration | None = Field(default=None, examples=["15d"])
    replicas: int | None = Field(default=None, ge=1, le=8, examples=[2])


class Federated(Server):
    budget: int | None = Field(default=None, ge=1, examples=[2000])
    """Series that may be federated for each cluster that this one speaks for: itself, or each leaf of its region."""


class Agent(Sized):
    series: Count | None = Field(default=None, examples=[10000])
    """That it is expected to scrape. Its log has them all, and its queues are made as if they were all sent."""
    queue: QueueSettings | None = Field(default=None, examples=[{"maxShards": 20}])
    """To the global cluster; what is absent follows from `series`."""


class Settings(Federated, Agent):
    """Of a cluster of any tier."""


class Tiers(_Strict):
    leaf: Federated = Federated()
    regional: Federated = Federated()
    global_: Server = Field(default=Server(), alias="global")
    edge: Agent = Agent()


class Expected(_Strict):
    """How large a cluster is expected to be; the series that go up are estimated from it."""

    namespaces: int = Field(default=30, ge=1)
    services: int = Field(default=10, ge=1)
    """In each namespace."""
    nodes: int = Field(default=20, ge=1)


class LeafRules(_Strict):
    files: tuple[Path, ...] = Field(default=(), examples=[["rules/shop.yaml"]])
    """Relative to Pulumi.yaml's folder; each holds a list of rules, as `inline` is one."""
    inline: tuple[Rule, ...] = ()


class RegionalRules(_Strict):
    files: tuple[Path, ...] = Field(default=(), examples=[["rules/shop.regional.yaml"]])
    inline: tuple[RegionRule, ...] = ()


class GlobalRules(_Strict):
    files: tuple[Path, ...] = Field(default=(), examples=[["rules/shop.global.yaml"]])
    inline: tuple[GlobalRule, ...] = ()


class Rules(_Strict):
    """Recording rules beside those of the program, by the tier that evaluates them."""

    leaf: LeafRules = LeafRules()
    """`cluster:*`: regions and the global cluster have their counterparts, and edges send what they read."""
    regional: RegionalRules = RegionalRules()
    """`region:*`, of what the region's leaves have sent."""
    global_: GlobalRules = Field(default=GlobalRules(), alias="global")
    """`global:*`, of whatever reaches the global cluster."""


class ExtraMatch(_Strict):
    """Series that go up beside the recorded ones."""

    match: str = Field(examples=['{__name__="kube_pod_info",namespace="payments"}'])
    """A PromQL selector that names its metrics."""
    reason: str = Field(min_length=1, examples=["which pods of payments run where"])
    """Why it is worth its price, for whoever finds it next."""
    series: int = Field(ge=1, examples=[100])
    """How many each child is expected to serve; `python -m fleet try-match` asks a live one."""
    of: Literal["leaf", "regional"] = "leaf"
    """The tier whose clusters are asked for it."""


class UrlSecret(_Strict):
    """A URL that is a secret: whoever knows it may write there. It stands in the stack's config, or in a Secret."""

    config: str | None = Field(default=None, min_length=1, examples=["alert-webhook"])
    """Name of another config key, a Pulumi secret, that holds it."""
    secret: SecretName | None = Field(default=None, examples=["team-shop"])
    """A Secret in the monitoring namespace of the Alertmanager's own cluster, which waits until it is there."""
    key: SecretKey = "url"
    """Of that Secret."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.config is None and self.secret is None:
            raise wrong("config", "is missing, or secret instead of it", "alert-webhook")
        for name in ("secret", "key"):
            if self.config is not None and name in self.model_fields_set:
                raise wrong(name, "has no meaning beside config: a URL comes from one place")
        return self


class Route(_Strict):
    """Alerts that go elsewhere than the others."""

    matchers: tuple[Matcher, ...] = Field(min_length=1, examples=[['team="shop"', 'severity="critical"']])
    """All of which an alert has to fit."""
    webhook: UrlSecret | None = Field(default=None, examples=[{"secret": "team-shop"}])
    """Where it is posted to; nowhere where absent."""


class Alertmanager(_Strict):
    """Who hears of what."""

    webhook: UrlSecret | None = Field(default=None, examples=[{"config": "alert-webhook"}])
    """Where alerts are posted to; nowhere where absent."""
    routes: tuple[Route, ...] = Field(
        default=(), examples=[[{"matchers": ['team="shop"'], "webhook": {"secret": "team-shop"}}]]
    )
    """The first that an alert fits decides, before `webhook` does."""
    storage: Storage | None = Field(default=None, examples=[{"size": "1Gi"}])
    """A volume for silences, and for what was told to whom; without one, a restarted pod forgets both."""


class Alerting(Alertmanager):
    """The Alertmanager beside the global Prometheus, and what holds for every cluster's alerts."""

    after: Duration = timedelta(minutes=5)
    """How long something has to be wrong before it is an alert."""
    dead_mans_switch: UrlSecret | None = Field(default=None, examples=[{"config": "dead-mans-switch"}])
    """Where the Watchdog is posted to every minute; whoever listens there raises the alarm when that ends."""
    runbooks: Url | None = Field(default=None, examples=["https://git.example.com/monitoring/tree/main/docs/runbooks"])
    """Where your people read docs/runbooks/; alerts name the path in the repository where absent."""


class Maintenance(_Strict):
    """Work on a cluster, or on a whole region where the cluster is regional: nobody is called for its alerts."""

    until: Moment = Field(examples=["2026-12-01T06:00:00Z"])
    """When its alerts are heard again, whether this key is taken away or not."""
    reason: str = Field(min_length=1, examples=["nodes are replaced"])
    """For whoever looks at a silenced alert."""


class Discovered(_Strict):
    """A Prometheus of somebody else in the parent's own cluster, federated as if it were a leaf."""

    namespace: Name = Field(examples=["shop"])
    """Where its Service lies: whoever makes Services in another namespace cannot take its name."""
    port: PortName = "http-web"
    """Name of the Service's port: as the chart names Prometheus itself, or that of a gateway before it."""
    budget: int | None = Field(default=None, ge=1, examples=[500])
    """Series that it may serve; `tiers.leaf.budget` where absent."""
    expect: Expected | None = Field(default=None, examples=[{"namespaces": 3}])


class NetworkPolicies(_Strict):
    """Addresses that NetworkPolicies can know only from here. A cluster's own fields go before the fleet's."""

    api_server: Blocks | None = Field(default=None, examples=[["192.0.2.0/28"]])
    """Of the API server, as pods see it. Where absent, pods reach 443 and 6443 anywhere, anybody reaches the operator's
    webhook, and `python -m fleet status` is refused."""
    nodes: Blocks | None = Field(default=None, examples=[["10.0.0.0/16"]])
    """Of the cluster's nodes. Where absent, Prometheus reaches the ports of kubelets and the like anywhere."""
    callers: Blocks | None = Field(default=None, examples=[["198.51.100.0/24"]])
    """Who may reach the gateway, as pods see them: behind a load balancer, often its nodes. Anybody where absent."""


def _switch(given: object) -> object:
    if given is None:
        # An empty key must not switch anything off.
        msg = "there is nothing here: it is true, false, or addresses"
        raise ValueError(msg)
    if isinstance(given, bool):
        return {} if given else None
    return given


def _switched(policies: NetworkPolicies | None) -> NetworkPolicies | Literal[False]:
    return False if policies is None else policies


Switchable = Annotated[
    NetworkPolicies | None,
    BeforeValidator(_switch, json_schema_input_type=bool | NetworkPolicies),
    PlainSerializer(_switched),
]
"""`true` stands for no addresses; `false` becomes None."""


class Cluster(Settings):
    tier: Tier = Field(examples=["leaf"])
    region: LabelValue | None = Field(default=None, examples=["eu"])
    """Leaves go up through the aggregator of their region, or straight to the global tier without one."""
    datacenter: LabelValue | None = Field(default=None, examples=["fra"])
    environment: LabelValue | None = Field(default=None, examples=["production"])
    """With `production` or `prod` on any cluster, the fleet needs `alerting.deadMansSwitch`."""
    labels: dict[LabelName, LabelValue] = Field(default={})
    """Further external labels of a leaf or an edge."""
    kubeconfig: Path | None = Field(default=None, examples=["kubeconfigs/eu-1.yaml"])
    """Relative to Pulumi.yaml's folder. Absent: `$KUBECONFIG`, then `~/.kube/config`."""
    kubeconfig_secret: str | None = Field(default=None, min_length=1, examples=["eu-1-kubeconfig"])
    """Name of another config key, a Pulumi secret, that holds the kubeconfig's contents."""
    context: str | None = Field(default=None, min_length=1, examples=["eu-1"])
    namespace: Name | None = Field(default=None, examples=["monitoring"])
    wave: int = Field(default=1, ge=1)
    """Its release is not touched until every cluster of an earlier wave is healthy."""
    up: Literal["federation", "remote_write", "both"] | None = None
    """How a leaf's aggregates go up; `federation` where absent. By `remote_write` alone it needs no gateway."""
    parent: Names | None = Field(default=None, examples=["hub"])
    """Who federates it, where that is not its region's aggregator or else the global cluster."""
    several_parents: Literal[True] | None = None
    """Says that more than one parent is on purpose."""
    discover: dict[Name, Discovered] = Field(default={}, min_length=1, examples=[{"team-a": {"namespace": "shop"}}])
    """Children in this cluster that are no part of the fleet, by the value of their Service's label `cluster`."""
    gateway: OwnGateway | None = Field(default=None, examples=[{"type": "LoadBalancer"}])
    expect: Expected | None = Field(default=None, examples=[{"namespaces": 100}])
    maintenance: Maintenance | None = Field(
        default=None, examples=[{"until": "2026-12-01T06:00:00Z", "reason": "nodes are replaced"}]
    )
    alertmanager: Alertmanager | None = Field(default=None, examples=[{"webhook": {"secret": "alert-webhook"}}])
    """One of its own, that hears of what this cluster's Prometheus notices; the global one hears of it as well."""
    network_policies: Switchable = Field(default=None, examples=[True])
    """As the fleet's; `false` switches them off."""
    tls: Tls | None = Field(default=None, examples=[{"mode": "existing", "secret": "gateway-certificate"}])
    pod_security: Literal["baseline", "privileged"] | None = Field(default=None, examples=["baseline"])
    """Pod Security Standard for other pods in its namespace; where absent, the strictest that its release meets."""
    values: dict[str, JsonValue] = Field(default={})
    """Chart values on top of everything else, for this cluster alone."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.tier is Tier.REGIONAL and self.region is None:
            raise wrong("region", "a regional cluster needs the region whose leaves it federates", "eu")
        if self.kubeconfig is not None and self.kubeconfig_secret is not None:
            raise wrong("kubeconfigSecret", "kubeconfig and kubeconfigSecret exclude each other")
        for name, tiers, why in _BELONGS:
            if name in self.model_fields_set and self.tier not in tiers:
                allowed = " or ".join(tiers)
                raise wrong(to_camel(name), f"has no meaning for tier {self.tier}, only for {allowed}: {why}")
        return self


_SERVERS = (Tier.LEAF, Tier.REGIONAL, Tier.GLOBAL)
_FEDERATED = (Tier.LEAF, Tier.REGIONAL)
_BELONGS = (
    ("region", (Tier.LEAF, Tier.REGIONAL, Tier.EDGE), "the global cluster speaks for all regions"),
    ("gateway", _SERVERS, "an edge writes upward and is never called"),
    ("tls", _SERVERS, "an edge has no gateway"),
    ("retention", _SERVERS, "an edge keeps nothing"),
    ("replicas", _SERVERS, "two agents would send every sample twice"),
    ("budget", _FEDERATED, "nobody federates the others"),
    ("series", (Tier.EDGE,), "the others' queues follow from their rules, and no agent keeps a log there"),
    ("queue", (Tier.EDGE,), "the others' queues follow from their rules"),
    ("parent", _FEDERATED, "an edge writes upward, and nothing is above the global cluster"),
    ("several_parents", _FEDERATED, "nobody federates the others"),
    ("discover", (Tier.REGIONAL, Tier.GLOBAL), "the others federate nobody"),
    ("up", (Tier.LEAF,), "the others have one way up"),
    ("alertmanager", _FEDERATED, "the global one's is `alerting`, and an edge evaluates no alerts"),
    ("expect", (Tier.LEAF,), "what the others send up follows from their leaves"),
    ("environment", (Tier.LEAF, Tier.EDGE), "the others speak for several clusters"),
    ("datacenter", (Tier.LEAF, Tier.EDGE), "the others speak for several clusters"),
    ("labels", (Tier.LEAF, Tier.EDGE), "the others speak for several clusters"),
    (
        "maintenance",
        (Tier.LEAF, Tier.REGIONAL, Tier.EDGE),
        "the global cluster speaks of the others and of no own alert",
    ),
)
"""Fields that only some tiers have: a key without an effect is a mistake."""


class Waves(_Strict):
    """When a wave counts as done, so that the next one begins."""

    healthy_for: Duration = timedelta(seconds=90)
    """How long a release must have been healthy since it was deployed; kubelets carry a configuration within it."""
    timeout: Duration = timedelta(minutes=10)
    """After which a cluster that is not healthy ends the update."""

    @model_validator(mode="after")
    def _attainable(self) -> Self:
        if self.healthy_for >= self.timeout:
            message = "must be longer than healthyFor, or no wave would ever be done"
            raise wrong("timeout", message, format_duration(2 * self.healthy_for))
        return self


class Page(_Strict):
    parent_stack: StackName | None = Field(default=None, examples=["global"])
    """The stack whose page has the global cluster and all settings of the fleet. This one then names clusters alone."""
    child_stacks: tuple[StackName, ...] = Field(default=(), examples=[["eu", "us"]])
    """Stacks that deploy further clusters of this fleet. Their pages lie beside this one, and name it."""
    chart: Chart = Chart(version=versions.CHART)
    namespace: Name = "monitoring"
    intervals: Intervals = Intervals()
    gateway: Gateway = Gateway()
    tls: Tls = Tls()
    authority: Authority = Authority()
    keys: Keys = Keys()
    readers: dict[Name, Reader] = Field(default={}, examples=[{"grafana": {"clusters": "hub"}}])
    """Who may query, and nothing else. Their passwords lie in the Secret `gateway-readers` of each cluster."""
    network_policies: Switchable = Field(default=NetworkPolicies(), examples=[True])
    """Whether every cluster has NetworkPolicies that deny whatever the plan does not need, and their addresses."""
    regions: tuple[LabelValue, ...] | None = Field(default=None, examples=[["eu", "us"]])
    """Every region there is; where given, a cluster in any other is a mistake."""
    tiers: Tiers = Tiers()
    expect: Expected = Expected()
    keep: tuple[MetricName, ...] = ()
    """Raw metrics that edges send, and that extra matches may name, beside those which the `cluster:*` rules read."""
    rules: Rules = Rules()
    """What is recorded beside what the program records."""
    federate: tuple[ExtraMatch, ...] = ()
    """What goes up beside the recorded series."""
    destinations: dict[Name, Destination] = Field(default={})
    """Remote-write receivers outside of the fleet: docs/destinations.md has an example of each kind."""
    thanos: Thanos | None = Field(
        default=None, examples=[{"objectStorage": {"config": "thanos-objects"}, "senders": ["leaf", "edge"]}]
    )
    """A store of the fleet's own in the global cluster, for what one Prometheus cannot hold: docs/thanos.md."""
    alerting: Alerting = Alerting()
    dashboards: bool = Field(default=True, strict=True, examples=[False])
    """ConfigMaps in the global cluster from which a Grafana's sidecar loads the fleet's dashboards."""
    grafana: bool = Field(default=False, strict=True, examples=[True])
    """Whether the chart's Grafana runs in the global cluster; its password lies in the Secret `grafana-admin`."""
    values: dict[str, JsonValue] = Field(default={})
    """Chart values on top of the program's, for every cluster."""
    waves: Waves = Waves()
    protect: bool = True
    """Whether the deletion of a cluster's namespace is refused, and with it of all that lies there."""
    clusters: dict[Name, Cluster] = Field(
        min_length=1,
        examples=[{"hub": {"tier": "global", "context": "hub"}, "eu-1": {"tier": "leaf", "context": "eu-1"}}],
    )

    @model_validator(mode="after")
    def _of_one_fleet(self) -> Self:
        beside = self.model_fields_set - {"parent_stack", "clusters"}
        if self.parent_stack is None or not beside:
            return self
        name = to_camel(next(field for field in type(self).model_fields if field in beside).rstrip("_"))
        if name == "childStacks":
            raise wrong(name, f"this stack is below {self.parent_stack}, and no stack is below it")
        message = f"the settings of the fleet stand on the page of its parentStack: Pulumi.{self.parent_stack}.yaml"
        raise wrong(name, message)
