"""NetworkPolicies: in the monitoring namespace nothing moves but what the plan needs.

A policy knows pods by their labels and everything else by its address. API servers and kubelets are no pods, and load
balancers may hide who calls: what only the page can know is open by port until the page names it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from fleet import manifests
from fleet.manifests import Manifest
from fleet.names import (
    ALERTMANAGER,
    ALERTMANAGER_PORT,
    GATEWAY_PORT,
    OPERATOR,
    PROMETHEUS,
    PROMETHEUS_PORT,
    RELEASE,
    THANOS_GRPC_PORT,
    THANOS_HTTP_PORT,
    THANOS_WRITE_PORT,
    ThanosPart,
    thanos_labels,
    thanos_url,
    thanos_workload,
)
from fleet.page import NetworkPolicies, WriterAuth, is_in_cluster
from fleet.plan import ClusterPlan
from fleet.values import chart_values, is_on

Rule = Mapping[str, object]
Peer = Mapping[str, object]

# Pods as the chart and the operator label them; those of Jobs, which it may leave bare, as Kubernetes itself does.
_PROMETHEUS = {"matchLabels": {"operator.prometheus.io/name": PROMETHEUS}}
_ALERTMANAGER = {"matchLabels": {"alertmanager": ALERTMANAGER}}
_OPERATOR = {"matchLabels": {"app": OPERATOR}}
_KUBE_STATE_METRICS = {
    "matchLabels": {"app.kubernetes.io/name": "kube-state-metrics", "app.kubernetes.io/instance": RELEASE}
}
_ANY_POD: Peer = {"namespaceSelector": {}}
_ANYBODY: Rule = {"ports": [{"protocol": "TCP"}]}
"""Where a bucket is, the page need not say, nor whom an Alertmanager notifies."""
_GRAFANA = {"matchLabels": {"app.kubernetes.io/name": "grafana", "app.kubernetes.io/instance": RELEASE}}
_JOBS = [f"{RELEASE}-{job}" for job in ("admission-create", "admission-patch", "crds-upgrade")]
_CHART_JOBS = {"matchExpressions": [{"key": "batch.kubernetes.io/job-name", "operator": "In", "values": _JOBS}]}

_ALERTMANAGER_PEERS_PORT = 9094
_RELOADER_PORT = 8080
_GRAFANA_PORT = 3000
_API_SERVER_PORTS = (443, 6443)
"""Of the Service, and of what is behind it on most clusters: which one a policy sees is up to who enforces it."""
_HOST_PORTS = {
    "kubelet": 10250,
    "kubeControllerManager": 10257,
    "kubeEtcd": 2381,
    "kubeProxy": 10249,
    "kubeScheduler": 10259,
    "nodeExporter": 9100,
}
"""What Prometheus scrapes on the nodes' own network, by the chart's value that switches it on."""

UNCOVERED = ("thanosRuler", "prometheusOperator.admissionWebhooks.deployment")
"""Parts of the chart that the program leaves off and has no policy for."""


def network_policies(cluster: ClusterPlan) -> Sequence[Manifest]:
    """Those of `cluster`, one for each component that it runs; none where the page switches them off."""
    if cluster.network_policies is None:
        return ()
    known, values = cluster.network_policies, chart_values(cluster)
    specs = {
        "default-deny": _spec({}),
        "prometheus": _prometheus(cluster, known),
        "prometheus-operator": _operator(known),
        "chart-jobs": _spec(_CHART_JOBS, egress=[_dns(), _api_server(known)]),
    }
    if is_on(values, "kubeStateMetrics"):
        specs["kube-state-metrics"] = _kube_state_metrics(known)
    if is_on(values, "alertmanager"):
        specs["alertmanager"] = _alertmanager(known, with_grafana=is_on(values, "grafana"))
    if is_on(values, "grafana"):
        specs["grafana"] = _grafana(cluster, known)
    return tuple(manifests.network_policy(cluster, name, spec) for name, spec in specs.items())


def thanos_policies(cluster: ClusterPlan) -> Sequence[Manifest]:
    """Those of the Thanos beside it, one for each of its parts; none where the page switches them off."""
    if cluster.network_policies is None or cluster.thanos is None:
        return ()
    known = cluster.network_policies
    scraped = _rule("from", [_pods(_PROMETHEUS)], [THANOS_HTTP_PORT])
    asked = [scraped, *_through_api_server(known, THANOS_HTTP_PORT)]
    if cluster.grafana:
        asked.append(_rule("from", [_pods(_GRAFANA)], [THANOS_HTTP_PORT]))
    # The gateway is beside Prometheus.
    written = _rule("from", [_pods(_PROMETHEUS)], [THANOS_WRITE_PORT])
    receiver, store = (_rule("to", [_thanos(part)], [THANOS_GRPC_PORT]) for part in ("receiver", "store"))
    bucket: list[Rule] = [] if cluster.thanos.object_storage.volume is not None else [_dns(), _ANYBODY]
    specs: Mapping[ThanosPart, tuple[list[Rule], list[Rule]]] = {
        "router": ([written, scraped], [receiver]),
        "receiver": ([_asked_by("router", "query"), scraped], bucket),
        "query": (asked, [receiver, store]),
        "store": ([_asked_by("query"), scraped], bucket),
        "compactor": ([scraped], bucket),
    }
    return tuple(
        manifests.network_policy(
            cluster, thanos_workload(part), _spec({"matchLabels": thanos_labels(part)}, ingress, egress)
        )
        for part, (ingress, egress) in specs.items()
    )


def _asked_by(*parts: ThanosPart) -> Rule:
    return _rule("from", [_thanos(part) for part in parts], [THANOS_GRPC_PORT])


def _thanos(part: ThanosPart) -> Peer:
    return _pods({"matchLabels": thanos_labels(part)})


def _through_api_server(known: NetworkPolicies, port: int) -> list[Rule]:
    """Through it ask `fleet status` and whoever else may use the Service's proxy."""
    return [_rule("from", _blocks(known.api_server), [port])] if known.api_server is not None else []


def host_ports(cluster: ClusterPlan) -> list[int]:
    """What its Prometheus scrapes on the nodes' own network, where no pod selector reaches."""
    values = chart_values(cluster)
    return [port for part, port in _HOST_PORTS.items() if is_on(values, part)]


def _prometheus(cluster: ClusterPlan, known: NetworkPolicies) -> Rule:
    ingress = [
        _rule("from", [_pods({})], [PROMETHEUS_PORT, _RELOADER_PORT]),
        *_through_api_server(known, PROMETHEUS_PORT),
    ]
    if cluster.gateway is not None:
        ingress.append(_rule("from", _blocks(known.callers), [GATEWAY_PORT]))
        if cluster.gateway in cluster.callees:
            # It writes to the Thanos beside it by the same way as others.
            ingress.append(_rule("from", [_pods(_PROMETHEUS)], [GATEWAY_PORT]))
    # Any pod may ask to be scraped, by a ServiceMonitor or an annotation, at any port.
    egress: list[Rule] = [_dns(), _api_server(known), {"to": [_ANY_POD]}]
    if ports := host_ports(cluster):
        egress.append(_rule("to", _blocks(known.nodes), ports))
    egress += _outward(_addresses(cluster))
    if cluster.bucket is not None:
        egress.append(_ANYBODY)
    return _spec(_PROMETHEUS, ingress, egress)


def _operator(known: NetworkPolicies) -> Rule:
    # Its port is called https where it serves the webhook, and http where it serves only its metrics.
    metrics = _rule("from", [_pods(_PROMETHEUS)], ["http", "https"])
    webhook = _rule("from", _blocks(known.api_server), ["https"])
    return _spec(_OPERATOR, [metrics, webhook], [_dns(), _api_server(known)])


def _kube_state_metrics(known: NetworkPolicies) -> Rule:
    ingress = [_rule("from", [_pods(_PROMETHEUS)], ["http", "metrics"])]
    return _spec(_KUBE_STATE_METRICS, ingress, [_dns(), _api_server(known)])


def _alertmanager(known: NetworkPolicies, *, with_grafana: bool) -> Rule:
    replicas = [_pods(_ALERTMANAGER)]
    gossip = [*_ports("TCP", [_ALERTMANAGER_PEERS_PORT]), *_ports("UDP", [_ALERTMANAGER_PEERS_PORT])]
    ingress: list[Rule] = [
        _rule("from", [_pods(_PROMETHEUS)], [ALERTMANAGER_PORT, _RELOADER_PORT]),
        *([_rule("from", [_pods(_GRAFANA)], [ALERTMANAGER_PORT])] if with_grafana else []),
        {"from": replicas, "ports": gossip},
    ]
    if known.api_server is not None:
        ingress.append(_rule("from", _blocks(known.api_server), [ALERTMANAGER_PORT]))
    # Whom it notifies, and at which port, is for its own configuration to say.
    return _spec(_ALERTMANAGER, ingress, [_dns(), _ANYBODY, {"to": replicas, "ports": gossip}])


def _grafana(cluster: ClusterPlan, known: NetworkPolicies) -> Rule:
    """Its readers come through `kubectl port-forward`, or by a policy of whoever publishes it."""
    ingress = [_rule("from", [_pods(_PROMETHEUS)], [_GRAFANA_PORT])]
    if known.api_server is not None:
        ingress.append(_rule("from", _blocks(known.api_server), [_GRAFANA_PORT]))
    egress: list[Rule] = [
        _dns(),
        _api_server(known),
        _rule("to", [_pods(_PROMETHEUS)], [PROMETHEUS_PORT]),
        _rule("to", [_pods(_ALERTMANAGER)], [ALERTMANAGER_PORT]),
    ]
    if cluster.thanos is not None:
        egress.append(_rule("to", [_thanos("query")], [THANOS_HTTP_PORT]))
    own = thanos_url(cluster.namespace)
    stores = [each.reading.url for each in cluster.data_sources if each.reading.url != own]
    if any(map(is_in_cluster, stores)):
        # A Service's port is not always that of its pods.
        egress.append({"to": [_ANY_POD]})
    egress += _outward(_dialled(url) for url in stores if not is_in_cluster(url))
    return _spec(_GRAFANA, ingress, egress)


def _addresses(cluster: ClusterPlan) -> Iterator[tuple[str | None, int]]:
    """(host, port) of whatever its Prometheus calls outside of its cluster; no host where only `up` will know it."""
    for gateway in cluster.callees:
        yield from ((each.host, each.port) for each in gateway.dialled)
    for edge in cluster.destinations:
        # Whom its own cluster knows by name is a pod of it.
        if not is_in_cluster(edge.destination.url):
            yield _dialled(edge.destination.url)
        yield from _authorities(edge.destination.auth)


def _authorities(auth: WriterAuth | None) -> Iterator[tuple[str | None, int]]:
    """Whom a sender asks first, to know how to show who it is."""
    if auth is None:
        return
    if auth.oauth2 is not None:
        yield _dialled(auth.oauth2.token_url)
    if auth.sigv4 is not None:
        if auth.sigv4.secret is None and auth.sigv4.config is None:
            yield from ((address, 80) for address in (_NODE_METADATA, _POD_IDENTITY))
            yield None, 443
        elif auth.sigv4.role_arn is not None:
            yield None, 443
    if auth.azure_ad is not None:
        if auth.azure_ad.managed_identity is not None or auth.azure_ad.sdk is not None:
            yield _NODE_METADATA, 80
        if auth.azure_ad.managed_identity is None:
            yield None, 443


_NODE_METADATA = "169.254.169.254"
"""Where AWS and Azure tell a node, and its pods, who they are."""
_POD_IDENTITY = "169.254.170.23"
"""The agent of EKS Pod Identity."""


def _dialled(url: str) -> tuple[str | None, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


def _outward(addresses: Iterable[tuple[str | None, int]]) -> Iterator[Rule]:
    """Names can become any address: only an address written as one narrows its port down."""
    by_port: dict[int, set[str | None]] = {}
    for host, port in addresses:
        by_port.setdefault(port, set()).add(_block(host))
    for port, blocks in sorted(by_port.items()):
        known = sorted(block for block in blocks if block is not None)
        yield _rule("to", _blocks(known if len(known) == len(blocks) else None), [port])


def _block(host: str | None) -> str | None:
    try:
        return str(ip_network(ip_address((host or "").strip("[]"))))
    except ValueError:
        return None


def _spec(pods: Rule, ingress: Sequence[Rule] = (), egress: Sequence[Rule] = ()) -> Rule:
    spec: dict[str, object] = {"podSelector": pods, "policyTypes": ["Ingress", "Egress"]}
    if ingress:
        spec["ingress"] = list(ingress)
    if egress:
        spec["egress"] = list(egress)
    return spec


def _rule(direction: str, peers: Sequence[Peer] | None, ports: Sequence[int | str]) -> Rule:
    """TCP. No peers at all stand for everybody; 0.0.0.0/0 would not, for some enforcers leave nodes out of it."""
    rule: dict[str, object] = {"ports": _ports("TCP", ports)}
    return rule if peers is None else {direction: list(peers), **rule}


def _ports(protocol: str, ports: Sequence[int | str]) -> list[Rule]:
    return [{"protocol": protocol, "port": port} for port in ports]


def _pods(selector: Rule) -> Peer:
    """Of the policy's own namespace."""
    return {"podSelector": selector}


def _blocks(blocks: Sequence[str] | None) -> list[Peer] | None:
    return None if blocks is None else [{"ipBlock": {"cidr": block}} for block in blocks]


def _dns() -> Rule:
    """Anywhere: resolvers are pods of some namespace here, and caches on the node's own network there."""
    return {"ports": [*_ports("UDP", [53]), *_ports("TCP", [53])]}


def _api_server(known: NetworkPolicies) -> Rule:
    return _rule("to", _blocks(known.api_server), _API_SERVER_PORTS)
