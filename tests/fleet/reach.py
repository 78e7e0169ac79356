"""Who may reach what: a fleet, the packets that matter in it, and what must become of each.

`PYTHONPATH=. python tests/fleet/reach.py` writes cyclonus's verdicts into docs/network-policies.md.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cyclonus import Packet, Peer, allowed

from fleet.compiler import compile_page
from fleet.names import THANOS_GRPC_PORT, THANOS_HTTP_PORT, THANOS_WRITE_PORT, ThanosPart, thanos_labels
from fleet.page import read_page
from fleet.render import render
from local import toolchain
from tests.places import Place

ROOT = Path(__file__).parents[2]
TABLE = Place(ROOT / "docs" / "network-policies.md", "judged by cyclonus")

ADDRESSES = {"apiServer": ["192.0.2.64/28"], "nodes": ["10.0.0.0/24"], "callers": ["198.51.100.0/24"]}
PAGE = {
    "grafana": True,
    "thanos": {"objectStorage": {"config": "thanos-objects"}, "senders": ["eu-1", "global"], "sidecars": "eu-2"},
    "destinations": {
        "archive": {
            "kind": "generic",
            "url": "https://archive.example.com:8443/push",
            "senders": "hub",
            "auth": {"bearer": {"secret": "archive"}},
        }
    },
    "clusters": {
        "hub": {"tier": "global", "context": "hub"},
        "eu": {"tier": "regional", "region": "eu", "context": "eu"},
        "eu-1": {
            "tier": "leaf",
            "region": "eu",
            "context": "eu-1",
            "gateway": {"type": "NodePort", "host": "192.0.2.3"},
        },
        "eu-2": {"tier": "leaf", "region": "eu", "context": "eu-2"},
        "shop-1": {"tier": "edge", "context": "shop-1"},
    },
}

_PODS: Mapping[str, Any] = yaml.safe_load((ROOT / "tests" / "local" / "chart_pods.yaml").read_text())


def _pod(workload: str, address: str, ports: Mapping[str, int] | None = None) -> Peer:
    pod = _PODS[workload]
    assert not pod["hostNetwork"]
    return Peer(address, "monitoring", pod["labels"], {**pod["ports"], **(ports or {})})


def _thanos(part: ThanosPart, address: str) -> Peer:
    ports = {"http": THANOS_HTTP_PORT, "grpc": THANOS_GRPC_PORT, "remote-write": THANOS_WRITE_PORT}
    return Peer(address, "monitoring", thanos_labels(part), ports)


PEERS = {
    "Prometheus": _pod("Prometheus/kube-prometheus-stack-prometheus", "10.1.0.1", {"gateway": 9443}),
    "the other replica": _pod("Prometheus/kube-prometheus-stack-prometheus", "10.1.0.2"),
    "operator": _pod("Deployment/kube-prometheus-stack-operator", "10.1.0.3"),
    "kube-state-metrics": _pod("Deployment/kube-prometheus-stack-kube-state-metrics", "10.1.0.4"),
    "job of the webhook": _pod("Job/kube-prometheus-stack-admission-create", "10.1.0.5"),
    "job of the CRDs": _pod("Job/kube-prometheus-stack-crds-upgrade", "10.1.0.6"),
    "Alertmanager": _pod("Alertmanager/kube-prometheus-stack-alertmanager", "10.1.0.7"),
    "its other replica": _pod("Alertmanager/kube-prometheus-stack-alertmanager", "10.1.0.8"),
    "Grafana": _pod("Deployment/kube-prometheus-stack-grafana", "10.1.0.11"),
    "the Thanos router": _thanos("router", "10.1.0.12"),
    "a Thanos receiver": _thanos("receiver", "10.1.0.13"),
    "Thanos Query": _thanos("query", "10.1.0.14"),
    "Thanos Store": _thanos("store", "10.1.0.15"),
    "the Thanos compactor": _thanos("compactor", "10.1.0.16"),
    "a pod beside them": Peer("10.1.0.9", "monitoring", {"app": "stranger"}),
    "one with a policy of its own": Peer("10.1.0.10", "monitoring", {"app": "console"}),
    "an application": Peer("10.1.1.1", "shop", {"app": "shop"}),
    "the DNS server": Peer("10.1.2.1", "kube-system", {"k8s-app": "kube-dns"}),
    "the DNS cache of the node": Peer("169.254.20.10"),
    "a node": Peer("10.0.0.10"),
    "the API server": Peer("192.0.2.65"),
    "a caller": Peer("198.51.100.7"),
    "eu-1's gateway": Peer("192.0.2.3"),
    "the internet": Peer("203.0.113.9"),
    "the cloud's metadata": Peer("169.254.169.254"),
}

OF_ITS_OWN = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "console", "namespace": "monitoring"},
    "spec": {"podSelector": {"matchLabels": {"app": "console"}}, "policyTypes": ["Egress"], "egress": [{}]},
}


@dataclass(frozen=True)
class Case:
    cluster: str
    source: str
    target: str
    port: int | str
    by_default: bool
    with_addresses: bool

    @property
    def packet(self) -> Packet:
        number, _, protocol = str(self.port).partition("/")
        return Packet(PEERS[self.source], PEERS[self.target], int(number), protocol or "TCP")


def _cases() -> list[Case]:
    yes, no = (True, True), (False, False)
    only_by_default, only_with_addresses = (True, False), (False, True)
    expected: Mapping[str, Mapping[tuple[str, str, int | str], tuple[bool, bool]]] = {
        "eu-1": {
            ("the other replica", "Prometheus", 9090): yes,
            ("one with a policy of its own", "Prometheus", 9090): yes,
            ("a pod beside them", "Prometheus", 9090): no,
            ("operator", "Prometheus", 9090): no,
            ("an application", "Prometheus", 9090): no,
            ("an application", "Prometheus", 8080): no,
            ("a node", "Prometheus", 9090): no,
            ("a caller", "Prometheus", 9090): no,
            ("the internet", "Prometheus", 9090): no,
            ("the API server", "Prometheus", 9090): only_with_addresses,
            ("a caller", "Prometheus", 9443): yes,
            ("the internet", "Prometheus", 9443): only_by_default,
            ("an application", "Prometheus", 9443): only_by_default,
            ("Prometheus", "the DNS server", "53/UDP"): yes,
            ("Prometheus", "the DNS cache of the node", "53/UDP"): yes,
            ("Prometheus", "the API server", 443): yes,
            ("Prometheus", "the API server", 6443): yes,
            ("Prometheus", "the API server", 22): no,
            ("Prometheus", "kube-state-metrics", 8080): yes,
            ("Prometheus", "operator", 10250): yes,
            ("Prometheus", "an application", 8080): yes,
            ("Prometheus", "a pod beside them", 8080): no,
            ("Prometheus", "a node", 10250): yes,
            ("Prometheus", "a node", 9100): yes,
            ("Prometheus", "a node", 22): no,
            ("Prometheus", "a node", 2379): no,
            ("Prometheus", "the cloud's metadata", 80): no,
            ("Prometheus", "the internet", 443): only_by_default,
            ("Prometheus", "the internet", 10250): only_by_default,
            ("Prometheus", "the internet", 80): no,
            ("Prometheus", "the internet", 9443): yes,
            ("Prometheus", "the internet", 8443): no,
            ("operator", "the DNS server", "53/UDP"): yes,
            ("operator", "the API server", 6443): yes,
            ("operator", "the internet", 443): only_by_default,
            ("operator", "an application", 8080): no,
            ("the API server", "operator", 10250): yes,
            ("the internet", "operator", 10250): only_by_default,
            ("the API server", "operator", 8080): no,
            ("kube-state-metrics", "the DNS server", "53/TCP"): yes,
            ("kube-state-metrics", "the API server", 6443): yes,
            ("kube-state-metrics", "an application", 8080): no,
            ("an application", "kube-state-metrics", 8080): no,
            ("one with a policy of its own", "kube-state-metrics", 8080): no,
            ("the API server", "kube-state-metrics", 8080): no,
            ("job of the webhook", "the API server", 443): yes,
            ("job of the CRDs", "the API server", 443): yes,
            ("job of the CRDs", "the DNS server", "53/UDP"): yes,
            ("job of the CRDs", "the internet", 80): no,
            ("job of the CRDs", "Prometheus", 9090): no,
            ("a pod beside them", "the API server", 443): no,
            ("a pod beside them", "the internet", 443): no,
            ("a pod beside them", "the DNS server", "53/UDP"): no,
            ("an application", "a pod beside them", 80): no,
            ("an application", "the internet", 443): yes,
        },
        "eu-2": {
            ("Prometheus", "the internet", 443): yes,
            ("one with a policy of its own", "Prometheus", THANOS_GRPC_PORT): no,
            ("the other replica", "Prometheus", THANOS_HTTP_PORT): no,
        },
        "eu": {
            ("Prometheus", "eu-1's gateway", 30443): yes,
            ("Prometheus", "eu-1's gateway", 9090): no,
            ("Prometheus", "the internet", 30443): no,
            ("Prometheus", "an application", 8080): yes,
            ("Prometheus", "a node", 10250): no,
            ("a caller", "Prometheus", 9443): yes,
            ("a caller", "Prometheus", 9090): no,
        },
        "hub": {
            ("Prometheus", "the internet", 9443): yes,
            ("Prometheus", "the internet", 8443): yes,
            ("Prometheus", "the internet", 30443): no,
            ("a caller", "Prometheus", 9443): yes,
            ("a caller", "Prometheus", 9090): no,
            ("Prometheus", "Alertmanager", 9093): yes,
            ("the API server", "Alertmanager", 9093): only_with_addresses,
            ("an application", "Alertmanager", 9093): no,
            ("the internet", "Alertmanager", 9093): no,
            ("its other replica", "Alertmanager", "9094/UDP"): yes,
            ("its other replica", "Alertmanager", 9094): yes,
            ("Prometheus", "Alertmanager", 9094): no,
            ("Alertmanager", "the DNS server", "53/UDP"): yes,
            ("Alertmanager", "the internet", 587): yes,
            ("Alertmanager", "kube-state-metrics", 8080): no,
            ("Grafana", "Prometheus", 9090): yes,
            ("Grafana", "Alertmanager", 9093): yes,
            ("Grafana", "Alertmanager", 9094): no,
            ("Grafana", "the API server", 443): yes,
            ("Grafana", "the DNS server", "53/UDP"): yes,
            ("Grafana", "the internet", 80): no,
            ("Grafana", "kube-state-metrics", 8080): no,
            ("Prometheus", "Grafana", 3000): yes,
            ("the API server", "Grafana", 3000): only_with_addresses,
            ("an application", "Grafana", 3000): no,
            ("a pod beside them", "Grafana", 3000): no,
            ("Prometheus", "the Thanos router", THANOS_WRITE_PORT): yes,
            ("Prometheus", "the Thanos compactor", THANOS_HTTP_PORT): yes,
            ("a pod beside them", "the Thanos router", THANOS_WRITE_PORT): no,
            ("one with a policy of its own", "the Thanos router", THANOS_WRITE_PORT): no,
            ("an application", "the Thanos router", THANOS_WRITE_PORT): no,
            ("the Thanos router", "a Thanos receiver", THANOS_GRPC_PORT): yes,
            ("the Thanos router", "the internet", 443): no,
            ("Prometheus", "a Thanos receiver", THANOS_GRPC_PORT): no,
            ("an application", "a Thanos receiver", THANOS_GRPC_PORT): no,
            ("a Thanos receiver", "the internet", 443): yes,
            ("a Thanos receiver", "the DNS server", "53/UDP"): yes,
            ("a Thanos receiver", "Thanos Store", THANOS_GRPC_PORT): no,
            ("Thanos Query", "a Thanos receiver", THANOS_GRPC_PORT): yes,
            ("Thanos Query", "Thanos Store", THANOS_GRPC_PORT): yes,
            ("Thanos Query", "the internet", 443): no,
            ("Grafana", "Thanos Query", THANOS_HTTP_PORT): yes,
            ("Grafana", "Thanos Store", THANOS_HTTP_PORT): no,
            ("the other replica", "Prometheus", 9443): yes,
            ("an application", "Thanos Query", THANOS_HTTP_PORT): no,
            ("the API server", "Thanos Query", THANOS_HTTP_PORT): only_with_addresses,
            ("Thanos Store", "the internet", 443): yes,
            ("the Thanos compactor", "the internet", 443): yes,
            ("the Thanos compactor", "Thanos Query", THANOS_HTTP_PORT): no,
        },
        "shop-1": {
            ("Prometheus", "the internet", 9443): yes,
            ("Prometheus", "the internet", 8443): no,
            ("Prometheus", "an application", 8080): yes,
            ("Prometheus", "a node", 10250): no,
            ("a caller", "Prometheus", 9443): no,
            ("an application", "Prometheus", 9090): no,
            ("one with a policy of its own", "Prometheus", 9090): yes,
        },
    }
    return [Case(cluster, *way, *verdicts) for cluster, ways in expected.items() for way, verdicts in ways.items()]


CASES = _cases()


def policies(cluster: str, *, with_addresses: bool) -> list[dict[str, Any]]:
    """As `fleet render` writes them, and the one that a user adds."""
    plan = compile_page(read_page({**PAGE, **({"networkPolicies": ADDRESSES} if with_addresses else {})}, {}))
    files = render(plan).items()
    rendered = [yaml.safe_load(text) for path, text in files if path.match(f"{cluster}/networkpolicy-*.yaml")]
    return [*rendered, OF_ITS_OWN]


def verdicts(cases: Sequence[Case], *, with_addresses: bool) -> dict[Case, bool]:
    found: dict[Case, bool] = {}
    for cluster in dict.fromkeys(case.cluster for case in cases):
        own = [case for case in cases if case.cluster == cluster]
        judged = allowed(policies(cluster, with_addresses=with_addresses), [case.packet for case in own])
        found |= dict(zip(own, judged, strict=True))
    return found


def table() -> str:
    by_default, with_addresses = verdicts(CASES, with_addresses=False), verdicts(CASES, with_addresses=True)
    lines = ["| in | from | to | port | by default | with addresses |", "|---|---|---|---|---|---|"]
    for case in CASES:
        words = [_WORDS[by_default[case]], _WORDS[with_addresses[case]]]
        lines.append(f"| {' | '.join([case.cluster, case.source, case.target, str(case.port), *words])} |")
    return "\n".join(lines)


_WORDS = {True: "allowed", False: "refused"}


if __name__ == "__main__":
    os.environ["PATH"] = f"{toolchain.judges()}{os.pathsep}{os.environ['PATH']}"
    TABLE.write(table())
