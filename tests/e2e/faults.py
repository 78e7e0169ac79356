"""Faults of the kinds that real fleets have, made in the live local one. Each is mended at the end of its context."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gateways import ADDRESSES
from kubectl import carry_into_pods, kubectl
from live import ROOT

from local.cluster import Cluster, Node

_CTR = ("ctr", "--namespace=k8s.io")


def on_node(cluster: str, *command: str) -> str:
    """As typed into the shell of the cluster's node."""
    return Cluster(Node(cluster, 1), ROOT / ".local", Path()).run(command)


@contextmanager
def prometheus_stopped(cluster: str) -> Iterator[None]:
    """The operator as well, which would start it again."""

    def scale(replicas: int) -> None:
        for workload in (
            "deployment/kube-prometheus-stack-operator",
            "statefulset/prometheus-kube-prometheus-stack-prometheus",
        ):
            kubectl(cluster, "--namespace=monitoring", "scale", workload, f"--replicas={replicas}")

    scale(0)
    try:
        yield
    finally:
        scale(1)


@contextmanager
def stopped(cluster: str, container: str) -> Iterator[None]:
    """A process that hangs: it listens and answers nothing."""
    signalled(cluster, container, "SIGSTOP")
    try:
        yield
    finally:
        signalled(cluster, container, "SIGCONT")


@contextmanager
def cut_off(cluster: str, other: str) -> Iterator[None]:
    """Nothing that `cluster` sends reaches `other`, and nobody is told so; this machine reaches both."""
    route = ("blackhole", f"{ADDRESSES[other]}/32")
    on_node(cluster, "ip", "route", "add", *route)
    try:
        yield
    finally:
        on_node(cluster, "ip", "route", "delete", *route)


@contextmanager
def slowed(cluster: str, other: str, rate: float) -> Iterator[None]:
    """What `cluster` sends to `other` trickles at so many bits per second; to everybody else it goes as before."""
    line = ("dev", "eth0")
    on_node(cluster, "tc", "qdisc", "add", *line, "root", "handle", "1:", "htb", "default", "1")
    try:
        for number, bits in ((1, 10**10), (2, round(rate))):
            allowed = ("htb", "rate", f"{bits}bit", "burst", "1600")
            on_node(cluster, "tc", "class", "add", *line, "parent", "1:", "classid", f"1:{number}", *allowed)
        matched = ("u32", "match", "ip", "dst", f"{ADDRESSES[other]}/32", "flowid", "1:2")
        on_node(cluster, "tc", "filter", "add", *line, "parent", "1:", "protocol", "ip", *matched)
        yield
    finally:
        on_node(cluster, "tc", "qdisc", "delete", *line, "root")


@contextmanager
def wrong_password(cluster: str, secret: str, key: str) -> Iterator[None]:
    where = ("--namespace=monitoring", "patch", "secret", secret, "--type=merge")
    good = json.loads(kubectl(cluster, "--namespace=monitoring", "get", "secret", secret, "-o=json"))["data"][key]
    kubectl(cluster, *where, "--patch", json.dumps({"stringData": {key: "wrong"}}))
    carry_into_pods(cluster)
    try:
        yield
    finally:
        kubectl(cluster, *where, "--patch", json.dumps({"data": {key: good}}))
        carry_into_pods(cluster)


@contextmanager
def other_rules(cluster: str, rules: Mapping[str, object], planned: Mapping[str, object]) -> Iterator[None]:
    """Both PrometheusRules of one name; the planned ones are there before and after."""

    def apply(each: Mapping[str, object]) -> None:
        kubectl(cluster, "apply", "--filename=-", stdin=json.dumps(each))
        carry_into_pods(cluster)

    apply(rules)
    try:
        yield
    finally:
        apply(planned)


@contextmanager
def rule_error(cluster: str) -> Iterator[None]:
    """A rule that the operator takes, as it parses, and that fails each time that it is evaluated."""
    rule = {"record": "cluster:broken:sum", "expr": "up * on () up"}
    broken = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "broken",
            "namespace": "monitoring",
        },
        "spec": {"groups": [{"name": "broken", "rules": [rule]}]},
    }
    kubectl(cluster, "apply", "--filename=-", stdin=json.dumps(broken))
    carry_into_pods(cluster)
    try:
        yield
    finally:
        kubectl(cluster, "--namespace=monitoring", "delete", "prometheusrule", "broken")
        carry_into_pods(cluster)


def signalled(cluster: str, container: str, signal: str) -> None:
    """The container of that name in the pod of Prometheus."""
    chosen = f'labels."io.kubernetes.container.name"=={container}'
    known = on_node(cluster, *_CTR, "containers", "list", "--quiet", chosen).split()
    running = [line.split()[0] for line in on_node(cluster, *_CTR, "tasks", "list").splitlines() if "RUNNING" in line]
    for task in set(known) & set(running):
        on_node(cluster, *_CTR, "tasks", "kill", "--signal", signal, task)
