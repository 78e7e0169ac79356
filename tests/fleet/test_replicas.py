"""Several replicas of one Prometheus: readers see one of them, writers reach each."""

import json
from typing import Any

import pytest
from destinations import ARCHIVE

from fleet import manifests
from fleet.compiler import compile_page
from fleet.gateway import Caller, Tls, caddy_config
from fleet.network_policies import network_policies
from fleet.page import read_page
from fleet.plan import Plan
from fleet.render import rendered_values

NODE_PORTS = {"type": "NodePort", "host": "192.0.2.1", "replicas": [{"port": 30444}, {"port": 30445}]}
ROUTES = {
    "type": "HTTPRoute",
    "host": "hub.example.com",
    "parentRef": {"name": "public", "namespace": "gateways"},
    "replicas": [{"host": "hub-0.example.com"}, {"host": "hub-1.example.com"}],
}
MIMIR = {**ARCHIVE, "kind": "mimir", "url": "https://mimir.example.com/api/v1/push", "tenant": "fleet"}
THANOS = {**ARCHIVE, "kind": "thanos", "url": "https://thanos.example.com/api/v1/receive"}


def plan(gateway: object = None, *, replicas: int = 2, leaf: object = None, **page: object) -> Plan:
    hub = {"tier": "global", "context": "hub", "replicas": replicas, **({"gateway": gateway} if gateway else {})}
    below = {"tier": "leaf", "context": "eu-1", **(leaf if isinstance(leaf, dict) else {})}
    shop = {"tier": "edge", "context": "shop-1"}
    return compile_page(read_page({"clusters": {"hub": hub, "eu-1": below, "shop-1": shop}, **page}, {}))


def spec(fleet: Plan, name: str) -> dict[str, Any]:
    values = rendered_values(fleet, fleet.clusters[name])
    return json.loads(json.dumps(values))["prometheus"]["prometheusSpec"]


def queues(fleet: Plan, name: str) -> dict[str, str]:
    return {queue["name"]: queue["url"] for queue in spec(fleet, name)["remoteWrite"]}


@pytest.mark.parametrize(
    ("gateway", "first", "second"),
    [
        (None, "hub-0.gateway.invalid:9443", "hub-1.gateway.invalid:9443"),
        (NODE_PORTS, "192.0.2.1:30444", "192.0.2.1:30445"),
        (ROUTES, "hub-0.example.com:443", "hub-1.example.com:443"),
    ],
)
def test_every_sender_writes_to_each_replica(gateway: object, first: str, second: str) -> None:
    fleet = plan(gateway)
    assert queues(fleet, "shop-1") == {
        "hub/0": f"https://{first}/api/v1/write",
        "hub/1": f"https://{second}/api/v1/write",
    }


def test_one_replica_is_written_to_at_the_gateways_own_address() -> None:
    assert queues(plan(replicas=1), "shop-1") == {"hub": "https://hub.gateway.invalid:9443/api/v1/write"}


def test_replicas_to_which_nobody_writes_have_no_address_of_their_own() -> None:
    clusters = {"hub": {"tier": "global", "context": "hub", "replicas": 2}, "eu-1": {"tier": "leaf", "context": "eu-1"}}
    fleet = compile_page(read_page({"clusters": clusters, "readers": {"grafana": {"clusters": "hub"}}}, {}))
    assert manifests.replica_gateways(fleet.clusters["hub"]) == []


def test_what_one_key_opens_it_opens_at_each_replica() -> None:
    first, second = spec(plan(), "shop-1")["remoteWrite"]
    assert first["basicAuth"] == second["basicAuth"]
    (keys,) = (job for job in spec(plan(), "shop-1")["additionalScrapeConfigs"] if job["job_name"] == "keys")
    assert json.dumps(keys).count("shop-1-writes-hub") == json.dumps(
        next(job for job in spec(plan(replicas=1), "shop-1")["additionalScrapeConfigs"] if job["job_name"] == "keys")
    ).count("shop-1-writes-hub")


def test_a_replica_is_known_by_what_ends_tls_before_it() -> None:
    def servers(gateway: object) -> list[str]:
        return [queue["tlsConfig"]["serverName"] for queue in spec(plan(gateway), "shop-1")["remoteWrite"]]

    assert servers(NODE_PORTS) == ["hub.prometheus-fleet.internal"] * 2
    assert servers(ROUTES) == ["hub-0.example.com", "hub-1.example.com"]


def test_a_sender_may_reach_each_replica() -> None:
    (policy,) = (
        each["spec"]
        for each in network_policies(plan(NODE_PORTS).clusters["shop-1"])
        if each["metadata"]["name"] == "prometheus"
    )
    assert {port["port"] for rule in policy["egress"] for port in rule.get("ports", ())} >= {30443, 30444, 30445}


def test_each_replica_has_a_service_of_its_own_and_9090_is_reached_within_the_cluster_alone() -> None:
    hub = plan(NODE_PORTS).clusters["hub"]
    published, inside = manifests.replica_gateways(hub), manifests.replica_prometheuses(hub)
    assert [each["spec"]["ports"][0].get("nodePort") for each in published] == [30444, 30445]
    assert {port["targetPort"] for each in published for port in each["spec"]["ports"]} == {"gateway"}
    assert {each["spec"]["type"] for each in inside} == {"ClusterIP"}
    pods = [f"prometheus-kube-prometheus-stack-prometheus-{number}" for number in range(2)]
    for services in (published, inside):
        selected = [each["spec"]["selector"]["statefulset.kubernetes.io/pod-name"] for each in services]
        assert selected == pods


def test_a_route_brings_calls_for_each_replica_to_that_one() -> None:
    ways = [*manifests.gateway_ways(plan(ROUTES).clusters["hub"], "CA")]
    routes = {each["spec"]["hostnames"][0]: each["spec"]["rules"] for each in ways if each["kind"] == "HTTPRoute"}
    backends = {host: rules[0]["backendRefs"][0]["name"] for host, rules in routes.items()}
    assert backends == {
        "hub.example.com": "prometheus-gateway",
        "hub-0.example.com": "prometheus-gateway-0",
        "hub-1.example.com": "prometheus-gateway-1",
    }
    (policy,) = (each["spec"] for each in ways if each["kind"] == "BackendTLSPolicy")
    assert {target["name"] for target in policy["targetRefs"]} == set(backends.values())


def proxies(node: object) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        own = [node] if node.get("handler") == "reverse_proxy" else []
        return [*own, *(each for value in node.values() for each in proxies(value))]
    return [each for value in node for each in proxies(value)] if isinstance(node, list) else []


def test_readers_and_parents_are_answered_by_the_first_replica_that_is_ready_and_writes_stay_with_their_own() -> None:
    fleet = plan(readers={"grafana": {"clusters": "hub"}})
    edges = [*fleet.calls_to("hub"), *fleet.clusters["hub"].readers]
    callers = [Caller(edge, {1: "$hash"}) for edge in edges]
    config = caddy_config(callers, Tls([], []), "10.0.0.9:9093", ["10.0.0.1:9090", "10.0.0.2:9090"])
    found = {tuple(each["dial"] for each in proxy["upstreams"]): proxy for proxy in proxies(config)}
    assert set(found) == {("10.0.0.1:9090", "10.0.0.2:9090"), ("tcp/127.0.0.1:9090",), ("10.0.0.9:9093",)}
    read = found["10.0.0.1:9090", "10.0.0.2:9090"]
    assert read["load_balancing"]["selection_policy"] == {"policy": "first"}
    assert read["health_checks"]["active"]["uri"] == "/-/ready"


def test_the_replicas_label_goes_where_replicas_are_told_apart_and_nowhere_else() -> None:
    leaf = {"replicas": 2}
    of_one = spec(plan(destinations={"thanos": {**THANOS, "senders": "eu-1"}}), "eu-1")
    of_two = spec(plan(leaf=leaf, destinations={"thanos": {**THANOS, "senders": "eu-1"}}), "eu-1")
    assert (of_one.get("replicaExternalLabelName"), of_one["replicaExternalLabelNameClear"]) == (None, True)
    assert of_two["replicaExternalLabelName"] == "prometheus_replica"
    assert "replicaExternalLabelNameClear" not in of_two
    assert spec(plan(leaf=leaf), "eu-1")["replicaExternalLabelNameClear"] is True


def test_a_tracker_of_replicas_gets_the_label_that_it_looks_for() -> None:
    (queue,) = spec(plan(leaf={"replicas": 2}, destinations={"mimir": {**MIMIR, "senders": "eu-1"}}), "eu-1")[
        "remoteWrite"
    ]
    relabelling = queue["writeRelabelConfigs"]
    assert {"sourceLabels": ["prometheus_replica"], "targetLabel": "__replica__"} in relabelling
    assert {"action": "labeldrop", "regex": "prometheus_replica"} in relabelling
    (alone,) = spec(plan(destinations={"mimir": {**MIMIR, "senders": "eu-1"}}), "eu-1")["remoteWrite"]
    assert "__replica__" not in json.dumps(alone)
