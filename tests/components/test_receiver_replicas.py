"""A hub with two replicas, on mocks: each sender gets the address of each of them."""

from pathlib import Path
from typing import Any

import pytest
from test_program import Recorder, run_program

ROUTE = {
    "type": "HTTPRoute",
    "host": "hub.example.com",
    "parentRef": {"name": "public", "namespace": "gateways"},
    "replicas": [{"host": "hub-0.example.com"}, {"host": "hub-1.example.com"}],
}


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: dict[str, Any]) -> Recorder:
    (tmp_path / "kubeconfig").write_text("kubeconfig of all")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("FLEET_CHART", raising=False)
    clusters = {
        "hub": {"tier": "global", "context": "hub", "replicas": 2, "gateway": gateway},
        "eu-1": {"tier": "leaf", "context": "eu-1"},
        "shop-1": {"tier": "edge", "context": "shop-1"},
    }
    return run_program({"clusters": clusters, "readers": {"grafana": {"clusters": "hub"}}})


def queues(recorder: Recorder) -> dict[str, str]:
    spec = recorder.releases()["shop-1-release"].inputs["values"]["prometheus"]["prometheusSpec"]
    return {queue["name"]: queue["url"] for queue in spec["remoteWrite"]}


def test_a_sender_writes_to_the_address_that_each_replicas_service_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = program(tmp_path, monkeypatch, {})
    assert {name for name in recorder.resources_of("kubernetes:core/v1:Service") if name.startswith("hub-")} == {
        "hub-gateway-alertmanager",
        "hub-gateway-prometheus-0",
        "hub-gateway-prometheus-1",
        "hub-gateway-service",
        "hub-gateway-service-0",
        "hub-gateway-service-1",
    }
    url = "https://192.0.2.1:9443/api/v1/write"
    assert queues(recorder) == {"hub/0": url, "hub/1": url}
    assert '"198.51.100.9:9090"' in recorder.secret_data("hub-gateway-accounts")["caddy.json"]


def test_a_sender_writes_to_each_replica_by_a_route_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = program(tmp_path, monkeypatch, ROUTE)
    routes = [name for name, args in recorder.resources.items() if args.typ.endswith(":HTTPRoute")]
    assert sorted(routes) == ["hub-gateway-httproute", "hub-gateway-httproute-0", "hub-gateway-httproute-1"]
    assert queues(recorder) == {
        "hub/0": "https://hub-0.example.com:443/api/v1/write",
        "hub/1": "https://hub-1.example.com:443/api/v1/write",
    }
