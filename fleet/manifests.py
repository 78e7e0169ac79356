"""Kubernetes objects beside the chart's, as plain dicts: the program creates them, `fleet render` writes them."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import NotRequired, TypedDict

from fleet import admission
from fleet.alerts import AlertGroup
from fleet.grafana import ADMIN_PASSWORD_KEY, ADMIN_USER_KEY, ROLE_RULES
from fleet.names import (
    ALERT_CREDENTIALS,
    ALERT_URLS,
    ALERTMANAGER,
    ALERTMANAGER_PORT,
    CA_KEY,
    DESTINATION_CREDENTIALS,
    DISCOVERY_ACCOUNT,
    FEDERATION_CREDENTIALS,
    GATEWAY,
    GATEWAY_ALERTMANAGER,
    GATEWAY_CA,
    GATEWAY_CERTIFICATE,
    GATEWAY_CONTAINER,
    GATEWAY_PORT,
    GATEWAY_READERS,
    GRAFANA_ADMIN,
    GRAFANA_ROLE,
    PROMETHEUS,
    PROMETHEUS_PORT,
    REMOTE_WRITE_CREDENTIALS,
    object_labels,
    replica_gateway,
    replica_pod,
    replica_prometheus,
)
from fleet.plan import ClusterPlan, GatewayPlan
from fleet.rules import RuleGroup


class Manifest(TypedDict):
    apiVersion: str
    kind: str
    metadata: Mapping[str, object]
    spec: NotRequired[Mapping[str, object]]
    rules: NotRequired[Sequence[Mapping[str, object]]]
    """Of a Role."""
    data: NotRequired[Mapping[str, object]]
    """Of a ConfigMap; Outputs in the program."""
    stringData: NotRequired[Mapping[str, object]]
    """Values are secret: Outputs in the program, placeholders in a rendering."""


def namespace(cluster: ClusterPlan) -> Manifest:
    labels = {**object_labels(cluster.tier), **admission.namespace_labels(cluster)}
    metadata = {"name": cluster.namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def gateway_secret(cluster: ClusterPlan, data: Mapping[str, object]) -> Manifest:
    """`auth`, the accounts in htpasswd form, and `caddy.json`, the gateway's configuration made from them."""
    return _secret(cluster, GATEWAY, data)


def gateway_readers(cluster: ClusterPlan, data: Mapping[str, object]) -> Manifest:
    """One key per reader, its password, and by whom it knows the gateway: for whoever runs it to take there."""
    return _secret(cluster, GATEWAY_READERS, data)


def federation_credentials(cluster: ClusterPlan, data: Mapping[str, object]) -> Manifest:
    """One key per child, its password, and one for all that are discovered: one more child changes no pod."""
    return _secret(cluster, FEDERATION_CREDENTIALS, data)


def discovery_account(cluster: ClusterPlan, data: Mapping[str, object]) -> Manifest:
    """The account by which discovered children know this parent, in the form of `gateway_secret`."""
    return _secret(cluster, DISCOVERY_ACCOUNT, data)


def remote_write_credentials(cluster: ClusterPlan, data: Mapping[str, object]) -> Manifest:
    return _secret(cluster, REMOTE_WRITE_CREDENTIALS, data)


def destination_credentials(cluster: ClusterPlan, data: Mapping[str, object]) -> Manifest:
    """What it shows receivers outside of the fleet, where that comes from the page and from the stack's config."""
    return _secret(cluster, DESTINATION_CREDENTIALS, data)


def alert_credentials(cluster: ClusterPlan, data: Mapping[str, object]) -> Manifest:
    """What it shows the Alertmanager that hears of its alerts, and the configuration by which it finds that one."""
    return _secret(cluster, ALERT_CREDENTIALS, data)


def alert_urls(cluster: ClusterPlan, data: Mapping[str, object]) -> Manifest:
    """Where its Alertmanager posts alerts, by receiver."""
    return _secret(cluster, ALERT_URLS, data)


def gateway_service(cluster: ClusterPlan) -> Manifest:
    """A Service of the gateway's own: publishing the chart's would publish Prometheus itself on 9090."""
    if cluster.gateway is None:
        msg = f"{cluster.name} is called by nobody and has no gateway"
        raise ValueError(msg)
    return _service(cluster, GATEWAY, _published(cluster.gateway, cluster.gateway.port), _OF_ALL)


def replica_gateways(cluster: ClusterPlan) -> list[Manifest]:
    """The same of each replica by itself, where others write to each of them."""
    if cluster.gateway is None:
        return []
    return [
        _service(cluster, replica_gateway(number), _published(cluster.gateway, address.port), _of_replica(number))
        for number, address in enumerate(cluster.gateway.replicas)
    ]


def replica_prometheuses(cluster: ClusterPlan) -> list[Manifest]:
    """By which every gateway reaches the one replica that all of them ask while it answers; within the cluster."""
    if cluster.gateway is None or cluster.replicas == 1:
        return []
    port = {"name": "prometheus", "port": PROMETHEUS_PORT, "targetPort": PROMETHEUS_PORT, "protocol": "TCP"}
    return [
        _service(cluster, replica_prometheus(number), {"type": "ClusterIP", "ports": [port]}, _of_replica(number))
        for number in range(cluster.replicas)
    ]


_OF_ALL = {"app.kubernetes.io/name": "prometheus", "operator.prometheus.io/name": PROMETHEUS}


def _of_replica(number: int) -> dict[str, str]:
    return {**_OF_ALL, "statefulset.kubernetes.io/pod-name": replica_pod(number)}


def _published(gateway: GatewayPlan, dialled: int) -> dict[str, object]:
    port: dict[str, object] = {
        "name": GATEWAY_CONTAINER,
        "port": dialled if gateway.type == "LoadBalancer" else GATEWAY_PORT,
        "targetPort": GATEWAY_CONTAINER,
        "protocol": "TCP",
    }
    if gateway.type == "NodePort":
        port["nodePort"] = dialled
    return {"type": gateway.type if gateway.type in {"LoadBalancer", "NodePort"} else "ClusterIP", "ports": [port]}


def _service(cluster: ClusterPlan, name: str, published: Mapping[str, object], selector: Mapping[str, str]) -> Manifest:
    metadata = object_metadata(cluster, name)
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {**published, "selector": selector}}


def gateway_alertmanager(cluster: ClusterPlan) -> Manifest:
    """By which the gateway reaches the Alertmanager: the address of the chart's own Service is known too late.

    By its address, for what is asked on each call should depend on no DNS server.
    """
    port = {"name": "alerts", "port": ALERTMANAGER_PORT, "targetPort": ALERTMANAGER_PORT, "protocol": "TCP"}
    selector = {"app.kubernetes.io/name": "alertmanager", "alertmanager": ALERTMANAGER}
    return _service(cluster, GATEWAY_ALERTMANAGER, {"type": "ClusterIP", "ports": [port]}, selector)


def gateway_ways(cluster: ClusterPlan, fleet_ca: object) -> Iterator[Manifest]:
    """Beside its Services: what others make of it a certificate, and routes. `fleet_ca` is PEM."""
    if (certificate := _certificate(cluster)) is not None:
        yield certificate
    yield from _routes(cluster)
    yield from _backend_tls(cluster, fleet_ca)


def _services(gateway: GatewayPlan) -> list[str]:
    """By which others reach it, in the order of `dialled`."""
    return [GATEWAY, *(replica_gateway(number) for number, _ in enumerate(gateway.replicas))]


def _routes(cluster: ClusterPlan) -> Iterator[Manifest]:
    """For a gateway that is reached through the cluster's own Gateway (of the Gateway API)."""
    if cluster.gateway is None or cluster.gateway.parent_ref is None:
        return
    parent = cluster.gateway.parent_ref
    for service, address in zip(_services(cluster.gateway), cluster.gateway.dialled, strict=True):
        yield {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": object_metadata(cluster, service),
            "spec": {
                "parentRefs": [{"name": parent.name, "namespace": parent.namespace}],
                "hostnames": [address.host],
                "rules": [{"backendRefs": [{"name": service, "port": GATEWAY_PORT}]}],
            },
        }


def _certificate(cluster: ClusterPlan) -> Manifest | None:
    """What cert-manager is asked for; it keeps the Secret of that name up to date."""
    gateway = cluster.gateway
    if gateway is None or gateway.tls.issuer is None:
        return None
    names = dict.fromkeys(name for name in (gateway.certified, gateway.host) if name is not None)
    addresses = [name.strip("[]") for name in names if _is_address(name)]
    issuer = {"group": "cert-manager.io", "kind": gateway.tls.issuer.kind, "name": gateway.tls.issuer.name}
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": object_metadata(cluster, GATEWAY_CERTIFICATE),
        "spec": {
            "secretName": GATEWAY_CERTIFICATE,
            "issuerRef": issuer,
            "dnsNames": [name for name in names if not _is_address(name)],
            **({"ipAddresses": addresses} if addresses else {}),
            "usages": ["digital signature", "server auth"],
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        },
    }


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _backend_tls(cluster: ClusterPlan, fleet_ca: object) -> Sequence[Manifest]:
    """How the cluster's own Gateway (of the Gateway API) knows the fleet's, towards which it begins TLS anew."""
    gateway = cluster.gateway
    if gateway is None or gateway.parent_ref is None:
        return ()
    ca = fleet_ca if gateway.tls.mode == "generated" else gateway.tls.ca
    trust: dict[str, object] = {"wellKnownCACertificates": "System"}
    if ca is not None:
        trust = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": GATEWAY_CA}]}
    policy: Manifest = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "BackendTLSPolicy",
        "metadata": object_metadata(cluster, GATEWAY),
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": service} for service in _services(gateway)],
            "validation": {"hostname": gateway.certified, **trust},
        },
    }
    bundle: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": object_metadata(cluster, GATEWAY_CA),
        "data": {CA_KEY: ca},
    }
    return (policy, bundle) if ca is not None else (policy,)


def prometheus_rule(cluster: ClusterPlan, group: RuleGroup | AlertGroup) -> Manifest:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": object_metadata(cluster, group.name),
        "spec": {"groups": [group.spec()]},
    }


def dashboard(cluster: ClusterPlan, uid: str, model: str) -> Manifest:
    """As the sidecar of the chart's Grafana looks for it, by that label; `model` is Grafana's JSON."""
    metadata = {
        "name": uid,
        "namespace": cluster.namespace,
        "labels": {**object_labels(cluster.tier), "grafana_dashboard": "1"},
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {f"{uid}.json": model}}


def grafana_admin(cluster: ClusterPlan, password: object) -> Manifest:
    return _secret(cluster, GRAFANA_ADMIN, {ADMIN_USER_KEY: "admin", ADMIN_PASSWORD_KEY: password})


def grafana_role(cluster: ClusterPlan) -> Manifest:
    """What Grafana's sidecars may read; the chart binds it to them."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": object_metadata(cluster, GRAFANA_ROLE),
        "rules": ROLE_RULES,
    }


def network_policy(cluster: ClusterPlan, name: str, spec: Mapping[str, object]) -> Manifest:
    metadata = object_metadata(cluster, name)
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _secret(cluster: ClusterPlan, name: str, data: Mapping[str, object]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": object_metadata(cluster, name),
        "stringData": dict(data),
    }


def object_metadata(cluster: ClusterPlan, name: str) -> dict[str, object]:
    return {"name": name, "namespace": cluster.namespace, "labels": object_labels(cluster.tier)}
