from typing import Any

import pytest

from fleet import manifests
from fleet.compiler import compile_page
from fleet.page import read_page
from fleet.plan import ClusterPlan


def leaf(gateway: dict[str, Any], **settings: object) -> ClusterPlan:
    clusters = {
        "hub": {"tier": "global", "context": "hub"},
        "eu-1": {"tier": "leaf", "context": "eu-1", "gateway": gateway, **settings},
    }
    return compile_page(read_page({"clusters": clusters}, {})).clusters["eu-1"]


@pytest.mark.parametrize(
    ("gateway", "kind", "port"),
    [
        ({}, "LoadBalancer", {"port": 9443}),
        ({"port": 443}, "LoadBalancer", {"port": 443}),
        ({"type": "NodePort", "host": "192.0.2.1"}, "NodePort", {"port": 9443, "nodePort": 30443}),
        ({"type": "NodePort", "host": "192.0.2.1", "port": 31000}, "NodePort", {"port": 9443, "nodePort": 31000}),
        ({"type": "Host", "host": "eu-1.example.com"}, "ClusterIP", {"port": 9443}),
    ],
)
def test_a_gateway_is_published_as_its_type_says(gateway: dict[str, Any], kind: str, port: dict[str, int]) -> None:
    spec = manifests.gateway_service(leaf(gateway))["spec"]
    assert spec["type"] == kind
    assert spec["ports"] == [{"name": "gateway", "protocol": "TCP", "targetPort": "gateway", **port}]


def test_a_route_brings_calls_for_its_host_to_the_gateway_and_nothing_else() -> None:
    parent = {"name": "public", "namespace": "gateways"}
    gateway = {"type": "HTTPRoute", "host": "eu-1.example.com", "parentRef": parent}
    ways = {each["kind"]: each for each in manifests.gateway_ways(leaf(gateway), "CA")}
    assert set(ways) == {"HTTPRoute", "BackendTLSPolicy", "ConfigMap"}
    assert ways["HTTPRoute"]["spec"] == {
        "parentRefs": [parent],
        "hostnames": ["eu-1.example.com"],
        "rules": [{"backendRefs": [{"name": "prometheus-gateway", "port": 9443}]}],
    }


def test_other_gateways_have_no_route() -> None:
    assert [*manifests.gateway_ways(leaf({}), "CA")] == []
