"""Kubernetes objects beside the chart's, as plain dicts: the program creates them, `fleet render` writes them."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from fleet.names import (
    FEDERATION_CREDENTIALS,
    GATEWAY,
    GATEWAY_CONTAINER,
    GATEWAY_PORT,
    PROMETHEUS,
    REMOTE_WRITE_CREDENTIALS,
    object_labels,
)
from fleet.plan import ClusterPlan
from fleet.rules import RuleGroup


class Manifest(TypedDict):
    apiVersion: str
    kind: str
    metadata: Mapping[str, object]
    spec: NotRequired[Mapping[str, object]]
    stringData: NotRequired[Mapping[str, object]]
    """Values are secret: Outputs in the program, placeholders in a rendering."""


def namespace(cluster: ClusterPlan) -> Manifest:
    metadata = {"name": cluster.namespace, "labels": object_labels(cluster.tier)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def gateway_secret(cluster: ClusterPlan, data: Mapping[str, object]) -> Manifest:
    """`auth`, the accounts in htpasswd form, and `caddy.json`, the gateway's configuration made from them."""
    return _secret(cluster, GATEWAY, data)


def federation_credentials(cluster: ClusterPlan, data: Mapping[str, object]) -> Manifest:
    """One key per child, its password: one more child changes no pod."""
    return _secret(cluster, FEDERATION_CREDENTIALS, data)


def remote_write_credentials(cluster: ClusterPlan, data: Mapping[str, object]) -> Manifest:
    return _secret(cluster, REMOTE_WRITE_CREDENTIALS, data)


def gateway_service(cluster: ClusterPlan) -> Manifest:
    """A Service of the gateway's own: publishing the chart's would publish Prometheus itself on 9090."""
    if cluster.gateway is None:
        msg = f"{cluster.name} is called by nobody and has no gateway"
        raise ValueError(msg)
    is_node_port = cluster.gateway.type == "NodePort"
    port: dict[str, object] = {
        "name": GATEWAY_CONTAINER,
        "port": GATEWAY_PORT if is_node_port else cluster.gateway.port,
        "targetPort": GATEWAY_CONTAINER,
        "protocol": "TCP",
    }
    if is_node_port:
        port["nodePort"] = cluster.gateway.port
    spec = {
        "type": cluster.gateway.type,
        "ports": [port],
        "selector": {"app.kubernetes.io/name": "prometheus", "operator.prometheus.io/name": PROMETHEUS},
    }
    metadata = _metadata(cluster, GATEWAY)
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def prometheus_rule(cluster: ClusterPlan, group: RuleGroup) -> Manifest:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _metadata(cluster, group.name),
        "spec": {"groups": [group.spec()]},
    }


def _secret(cluster: ClusterPlan, name: str, data: Mapping[str, object]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(cluster, name),
        "stringData": dict(data),
    }


def _metadata(cluster: ClusterPlan, name: str) -> dict[str, object]:
    return {"name": name, "namespace": cluster.namespace, "labels": object_labels(cluster.tier)}
