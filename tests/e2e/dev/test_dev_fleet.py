"""What `make demo` promises, asked of the live fleet: values, not mere presence."""

import base64
import itertools
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import gateways
import httpx
import pytest
import yaml
from faults import cut_off
from kubectl import (
    ALERTMANAGER,
    PROMETHEUS,
    alerts,
    api,
    by_label,
    carry_into_pods,
    eventually,
    kubectl,
    objects,
    query,
    raw_samples,
)
from live import ROOT, Fleet, make, work_tree
from terminal import Terminal

from fleet.alerts import alert_groups
from fleet.compiler import compile_page
from fleet.gateway import match_query
from fleet.manifests import prometheus_rule
from fleet.names import PAGE_KEY, PART_OF, PROJECT, TIER_LABEL, Tier
from fleet.network_policies import network_policies
from fleet.outputs import fresh_within
from fleet.page import read_page
from fleet.plan import Plan
from fleet.quantity import parse_quantity
from fleet.rules import cluster_rules, global_rules, of_gateways, region_rules, without_gateways
from fleet.topology import mermaid
from tests.leaks import leaked, private_parts, secrets_of

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.alone,
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("fleet"),
]

LEAVES = ("eu-1", "eu-2")
A_REGION_IS_COMPLETE = 60
"""Seconds after `make demo`, which waits for each edge alone: a region's first sums may lack one of its leaves."""


def test_demo_prints_one_line_for_every_edge(fleet: Fleet) -> None:
    for edge in ("eu-1 → eu", "eu-2 → eu", "eu → hub", "shop-1 → hub"):
        (line,) = [line for line in fleet.first_run.splitlines() if re.search(rf"[│|] {edge}\s", line)]
        assert "ok" in line


def test_every_rule_of_the_leaves_arrives_at_the_top_for_each_of_them() -> None:
    def arrived(record: str) -> None:
        labels = [labels for labels, _ in query("hub", record)]
        assert labels, f"{record} has no series at hub"
        assert {each["region"] for each in labels} == {"eu"}
        if record.startswith("region:cluster_"):
            assert {each["cluster"] for each in labels} == set(LEAVES)
        else:
            assert not any("cluster" in each for each in labels)
        assert not any({"job", "instance", "prometheus", "prometheus_replica"} & set(each) for each in labels)

    # Of the others, nobody writes to anybody.
    for record, _ in region_rules(rule for rule in cluster_rules() if rule.of != "writer"):
        eventually(lambda record=record: arrived(record), within=A_REGION_IS_COMPLETE)


def test_every_gateway_of_the_fleet_is_known_at_the_top() -> None:
    def known(record: str) -> None:
        found = {(labels.get("region"), labels.get("cluster")) for labels, _ in query("hub", record)}
        assert found == {("eu", "eu-1"), ("eu", "eu-2"), ("eu", None), (None, None)}

    for record, _ in global_rules(of_gateways(cluster_rules())):
        eventually(lambda record=record: known(record), within=A_REGION_IS_COMPLETE)
    ends = [value for _, value in query("hub", "global:certificate_expiry_timestamp_seconds:min")]
    # Renewed by `pulumi up` 60 days before their end, and made a moment ago.
    assert min(ends) > time.time() + timedelta(days=60).total_seconds()


def test_every_cluster_is_at_the_top_under_one_name() -> None:
    of_workloads = [rule for rule in without_gateways(cluster_rules()) if rule.of == "workloads"]

    def known(record: str) -> None:
        found = {(labels.get("region"), labels.get("cluster")) for labels, _ in query("hub", record)}
        assert found >= {("eu", "eu-1"), ("eu", "eu-2")}, record
        assert found <= {("eu", "eu-1"), ("eu", "eu-2"), (None, "shop-1")}, record

    for record, _ in global_rules(of_workloads):
        eventually(lambda record=record: known(record), within=A_REGION_IS_COMPLETE)


def test_every_heart_beats_at_the_top_within_what_its_way_takes(dev: Plan) -> None:
    tiers = {("eu", "eu-1"), ("eu", "eu-2"), (None, "shop-1"), ("eu", None), (None, None)}
    allowed = max(fresh_within(edge.interval, dev.clusters[edge.child]) for edge in dev.federation)

    def beats() -> None:
        ages = query("hub", "time() - global:heartbeat:timestamp")
        assert {(labels.get("region"), labels.get("cluster")) for labels, _ in ages} == tiers
        # A leaf's is carried twice.
        assert max(age for _, age in ages) < 2 * allowed, ages

    eventually(beats, within=A_REGION_IS_COMPLETE)
    for count in ("planned", "reporting"):
        assert by_label(query("eu", f"region:clusters_{count}:count"), "region") == {"eu": 2}
        at_the_top = {labels.get("region"): value for labels, value in query("hub", f"global:clusters_{count}:count")}
        assert at_the_top == {"eu": 2, None: 1}


def test_series_are_counted_for_every_prometheus() -> None:
    def counted() -> None:
        found = {
            (each.get("region"), each.get("cluster")): value for each, value in query("hub", "global:series:count")
        }
        assert set(found) == {("eu", "eu-1"), ("eu", "eu-2"), (None, "shop-1"), ("eu", None), (None, None)}
        ((_, head),) = query("eu-1", 'prometheus_tsdb_head_series{job="kube-prometheus-stack-prometheus"}')
        assert found["eu", "eu-1"] == pytest.approx(head, rel=0.1)

    eventually(counted, within=A_REGION_IS_COMPLETE)


def test_requests_at_the_top_are_those_that_the_api_servers_know() -> None:
    def memory(leaf: str) -> None:
        requested = sum(
            parse_quantity(container["resources"]["requests"]["memory"])
            for pod in objects(leaf, "pods", "--all-namespaces")
            if pod["status"]["phase"] in {"Pending", "Running"} and "nodeName" in pod["spec"]
            for container in pod["spec"]["containers"]
            if "memory" in container["resources"].get("requests", {})
        )
        (node,) = objects(leaf, "nodes")
        for record, expected in (
            ("memory_requests", requested),
            ("memory_allocatable", parse_quantity(node["status"]["allocatable"]["memory"])),
        ):
            ((_, value),) = query("hub", f'global:{record}:sum{{cluster="{leaf}"}}')
            assert value == pytest.approx(float(expected)), record

    for leaf in LEAVES:
        eventually(lambda leaf=leaf: memory(leaf), within=A_REGION_IS_COMPLETE)


def test_a_quantile_at_the_top_comes_from_every_request_of_the_service() -> None:
    def agrees() -> None:
        buckets = "region:service_http_request_duration_seconds_bucket:rate5m"
        ((_, slow),) = query("hub", f"histogram_quantile(0.99, sum by (le) ({buckets}))")
        # It answers in well under a millisecond, which is in the lowest bucket that goes up.
        assert 0 < slow <= 0.05
        ((_, timed),) = query("hub", f'sum({buckets}{{le="+Inf"}})')
        ((_, served),) = query("hub", "sum(region:service_http_requests:rate5m)")
        assert timed == pytest.approx(served, rel=0.03)

    eventually(agrees, within=A_REGION_IS_COMPLETE)


VOLUME = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: ledger}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: by-hand
  local: {path: /tmp}
  nodeAffinity:
    required:
      nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: Exists}]}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: ledger, namespace: demo}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: by-hand
  resources: {requests: {storage: 1Gi}}
---
apiVersion: v1
kind: Pod
metadata: {name: ledger, namespace: demo}
spec:
  automountServiceAccountToken: false
  containers:
    - name: ledger
      image: docker.io/prometheus-fleet/demo-app:dev
      args: [--rate=0]
      volumeMounts: [{name: ledger, mountPath: /ledger, readOnly: true}]
  volumes: [{name: ledger, persistentVolumeClaim: {claimName: ledger}}]
"""


def test_a_volume_is_counted_as_full_as_its_kubelet_says() -> None:
    def counted() -> None:
        claim = '{namespace="demo",persistentvolumeclaim="ledger"}'
        ((_, available),) = query("eu-1", f"kubelet_volume_stats_available_bytes{claim}")
        ((_, capacity),) = query("eu-1", f"kubelet_volume_stats_capacity_bytes{claim}")
        found = by_label(query("hub", "global:volumes_nearly_full:count"), "cluster")
        assert found == {"eu-1": float(available / capacity < 0.1), "eu-2": 0}

    kubectl("eu-1", "apply", "--filename=-", stdin=VOLUME)
    try:
        # Kubelets look at the size of volumes once a minute.
        eventually(counted, within=180)
    finally:
        kubectl("eu-1", "delete", "--wait=false", "--grace-period=1", "--filename=-", stdin=VOLUME)


def test_a_regions_cpu_is_the_sum_of_what_its_leaves_report() -> None:
    def sums_hold() -> None:
        for when, value in raw_samples("hub", 'region:namespace_cpu:sum{namespace="demo"}[30s]'):
            # A region evaluates on what it has scraped by then: one of the newest samples of each leaf.
            candidates = [
                [
                    at_leaf
                    for at, at_leaf in raw_samples(leaf, 'cluster:namespace_cpu:sum{namespace="demo"}[2m]')
                    if at <= when
                ]
                for leaf in LEAVES
            ]
            sums = [sum(choice) for choice in itertools.product(*(each[-3:] for each in candidates))]
            assert any(total == pytest.approx(value, rel=0.01) for total in sums), (value, sums)

    eventually(sums_hold, within=A_REGION_IS_COMPLETE)


def test_pod_counts_at_the_top_are_those_of_the_api_servers() -> None:
    def counts_agree(leaf: str) -> None:
        pods = Counter(pod["metadata"]["namespace"] for pod in objects(leaf, "pods", "--all-namespaces"))
        at_the_top = query("hub", f'region:cluster_namespace_pod_count:sum{{cluster="{leaf}"}}')
        assert by_label(at_the_top, "namespace") == pods

    for leaf in LEAVES:
        eventually(lambda leaf=leaf: counts_agree(leaf), within=A_REGION_IS_COMPLETE)


def test_the_error_ratio_at_the_top_is_the_one_that_the_service_is_told() -> None:
    def ratio() -> float:
        ((_, value),) = query(
            "hub", "sum(region:service_http_errors:rate5m) / sum(region:service_http_requests:rate5m)"
        )
        assert value == pytest.approx(0.02, rel=0.05)
        return value

    eventually(ratio, within=A_REGION_IS_COMPLETE)
    assert {labels["service"] for labels, _ in query("hub", "region:service_http_requests:rate5m")} == {"shop"}


def test_nodes_carry_their_name_and_utilization_is_a_ratio() -> None:
    for leaf in LEAVES:
        for record in ("cluster:node_cpu_utilization:avg", "cluster:node_memory_utilization:avg"):
            ((labels, value),) = query(leaf, record)
            assert labels["node"] == leaf
            assert 0 < value < 1


def test_an_edge_writes_upward_under_its_own_name() -> None:
    def total() -> float:
        samples = query("hub", 'http_requests_total{cluster="shop-1"}')
        assert samples
        return sum(value for _, value in samples)

    before = total()

    def risen() -> None:
        assert total() > before

    eventually(risen, within=30)


def test_an_edge_appears_beside_the_leaves_by_the_same_rules() -> None:
    def appears() -> None:
        ((labels, value),) = query("hub", 'cluster:service_http_requests:rate5m{cluster="shop-1"}')
        assert labels["service"] == "shop"
        assert value > 0

    eventually(appears, within=30)


def test_an_edge_sends_what_is_kept_and_nothing_else(dev: Plan) -> None:
    (edge,) = dev.remote_write
    names = {
        labels["__name__"] for labels, _ in query("hub", '{cluster="shop-1",__name__!~"(cluster|global):.*|ALERTS.*"}')
    }
    assert names
    assert names <= set(edge.keep)


@pytest.mark.parametrize(
    ("cluster", "path", "method"), [("eu-1", "/federate", "GET"), ("hub", "/api/v1/write", "POST")]
)
def test_a_gateway_refuses_who_has_no_or_a_wrong_credential(cluster: str, path: str, method: str) -> None:
    for auth in (None, ("eu", "wrong"), ("nobody", "wrong")):
        assert gateways.call(cluster, method, path, auth).status_code == 401


def test_a_gateway_speaks_nothing_but_tls_and_shows_a_certificate_of_the_fleet() -> None:
    for cluster, address in gateways.ADDRESSES.items():
        assert httpx.get(f"http://{address}:30443/federate").status_code == 400
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            gateways.call(cluster, "GET", "/federate", trusting=ssl.create_default_context())
        # Without a name, or with another's, there is no certificate to show.
        with pytest.raises(httpx.ConnectError, match="internal error"):
            gateways.call(cluster, "GET", "/federate", name="other.prometheus-fleet.internal")


@pytest.mark.parametrize("cluster", gateways.ADDRESSES)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/graph"),
        ("GET", "/api/v1/query?query=up"),
        ("GET", "/api/v1/status/config"),
        ("POST", "/-/quit"),
        ("POST", "/api/v1/admin/tsdb/snapshot"),
        ("GET", "/federate/../api/v1/query?query=up"),
        ("GET", "/federate%2f..%2fapi/v1/query?query=up"),
        ("POST", "/federate"),
        ("GET", "/api/v1/write"),
    ],
)
def test_every_other_path_of_a_gateway_is_not_found(cluster: str, method: str, path: str) -> None:
    assert gateways.call(cluster, method, path).status_code == 404


def test_the_password_of_one_edge_opens_no_other() -> None:
    passwords = gateways.held("eu")

    def federate(child: str, password: str, *matches: str) -> int:
        return gateways.call(child, "GET", f"/federate?{match_query(matches)}", ("eu", password)).status_code

    planned = '{__name__=~"cluster:.*"}'
    assert federate("eu-1", passwords["eu-1"], planned) == 200
    assert federate("eu-1", passwords["eu-2"], planned) == 401
    assert federate("eu-1", passwords["eu-1"], planned, "up") == 403


def test_a_monitor_that_would_have_a_key_sent_along_is_not_taken(tmp_path: Path) -> None:
    key = "/etc/prometheus/secrets/federation-credentials/eu"
    thief = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": "thief", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "thief"}},
            "endpoints": [{"port": "http", "bearerTokenFile": key}],
        },
    }
    file = tmp_path / "thief.yaml"
    file.write_text(yaml.safe_dump(thief))
    kubectl("hub", "apply", f"--filename={file}")

    def is_refused() -> None:
        events = objects("hub", "events", "--namespace=default")
        said = [each["message"] for each in events if each["involvedObject"]["name"] == "thief"]
        assert any("file system" in message for message in said), said

    try:
        eventually(is_refused, within=30)
    finally:
        kubectl("hub", "--namespace=default", "delete", "servicemonitor", "thief")


def test_prometheus_itself_is_not_published() -> None:
    for cluster in (*gateways.ADDRESSES, "shop-1"):
        published = {
            (service["metadata"]["name"], port["port"])
            for service in objects(cluster, "services", "--all-namespaces")
            if service["spec"]["type"] != "ClusterIP"
            for port in service["spec"]["ports"]
        }
        assert published <= {("prometheus-gateway", 9443)}


def test_nobody_beside_a_cluster_reaches_9090(dev: Plan) -> None:
    for cluster in dev.clusters.values():
        (node,) = objects(cluster.name, "nodes")
        addresses = {each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"}
        for address in addresses:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, 9090), timeout=5)


def test_a_prometheus_is_ready_with_its_gateway() -> None:
    for cluster in gateways.ADDRESSES:
        (pod,) = objects(cluster, "pods", "--namespace=monitoring", "--selector=app.kubernetes.io/name=prometheus")
        containers = {status["name"]: status for status in pod["status"]["containerStatuses"]}
        assert set(containers) == {"prometheus", "config-reloader", "gateway"}
        assert all(status["ready"] for status in containers.values())


def containers_of(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def test_every_container_is_locked_whoever_made_its_pod(dev: Plan) -> None:
    locked = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for name in dev.clusters:
        pods = objects(name, "pods", "--namespace=monitoring")
        assert pods
        for pod in pods:
            for container in containers_of(pod):
                given = {**pod["spec"]["securityContext"], **container["securityContext"]}
                found = {key: given.get(key) for key in locked}
                added = {"add": ["NET_BIND_SERVICE"]} if container["name"] == "gateway" else {}
                expected = {**locked, "capabilities": {**locked["capabilities"], **added}}
                assert found == expected, f"{name}: {pod['metadata']['name']} {container['name']}"


def test_only_who_asks_the_api_server_holds_a_token(dev: Plan) -> None:
    for name, cluster in dev.clusters.items():
        holders = {
            container["name"]
            for pod in objects(name, "pods", "--namespace=monitoring")
            for container in containers_of(pod)
            if any("serviceaccount" in mount["mountPath"] for mount in container.get("volumeMounts", []))
        }
        exporter = {"kube-state-metrics"} if cluster.tier is Tier.LEAF else set[str]()
        assert holders == {"prometheus", "kube-prometheus-stack", *exporter}, name


def test_a_namespace_refuses_pods_that_its_tier_has_no_need_of(dev: Plan) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "intruder", "namespace": "monitoring"}}
    pod |= {"spec": {"hostPID": True, "containers": [{"name": "intruder", "image": "intruder"}]}}
    for name, cluster in dev.clusters.items():
        command = ["kubectl", "--context", name, "create", "--dry-run=server", "--filename=-"]
        done = subprocess.run(command, input=json.dumps(pod), capture_output=True, text=True, check=False)
        # node-exporter shares its node's processes.
        if cluster.tier is Tier.LEAF:
            assert done.returncode == 0, done.stderr
        else:
            assert 'violates PodSecurity "restricted:' in done.stderr


@pytest.mark.parametrize(
    ("cluster", "path"), [("eu-1", PROMETHEUS), ("hub", PROMETHEUS), ("shop-1", PROMETHEUS), ("hub", ALERTMANAGER)]
)
def test_browsers_are_told_to_trust_no_other_page(cluster: str, path: str) -> None:
    with subprocess.Popen(
        ["kubectl", "--context", cluster, "proxy", "--port=0"], stdout=subprocess.PIPE, text=True
    ) as proxy:
        try:
            assert proxy.stdout is not None
            address = proxy.stdout.readline().split()[-1]
            answer = httpx.get(f"http://{address}{path}/status")
        finally:
            proxy.terminate()
    told = {name: answer.headers.get(name) for name in ("X-Frame-Options", "X-Content-Type-Options")}
    assert told == {"X-Frame-Options": "deny", "X-Content-Type-Options": "nosniff"}
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in answer.headers


def test_external_labels_say_what_each_tier_may_claim(dev: Plan) -> None:
    for cluster in gateways.ADDRESSES:
        config = api(cluster, "status/config")["yaml"]
        stated = re.search(r"^  external_labels:\n((?:    .*\n)+)", config, re.MULTILINE)
        assert stated
        labels = dict(line.strip().split(": ") for line in stated[1].splitlines())
        assert labels == dev.clusters[cluster].external_labels


def test_parents_alone_take_series_that_have_ended_out_of_their_memory(dev: Plan) -> None:
    for cluster in gateways.ADDRESSES:
        config = yaml.safe_load(api(cluster, "status/config")["yaml"])
        found = config.get("storage", {}).get("tsdb", {}).get("stale_series_compaction_threshold")
        assert found == (0.5 if dev.clusters[cluster].tier in {Tier.REGIONAL, Tier.GLOBAL} else None), cluster


def test_a_prometheus_has_minutes_to_stop_not_ten(dev: Plan) -> None:
    for name, cluster in dev.clusters.items():
        labels = "app.kubernetes.io/name in (prometheus, prometheus-agent)"
        (pod,) = objects(name, "pods", "--namespace=monitoring", f"--selector={labels}")
        assert pod["spec"]["terminationGracePeriodSeconds"] == (180 if cluster.tier is Tier.EDGE else 120)


def test_every_network_policy_selects_pods_that_run(dev: Plan) -> None:
    for name, cluster in dev.clusters.items():
        planned = {policy["metadata"]["name"]: policy["spec"] for policy in network_policies(cluster)}
        there = objects(name, "networkpolicies", "--namespace=monitoring")
        assert {each["metadata"]["name"]: each["spec"] for each in there} == planned
        # Of every pod, and of jobs that have ended long ago.
        for policy in planned.keys() - {"default-deny", "chart-jobs"}:
            labels = planned[policy]["podSelector"]["matchLabels"]
            selector = ",".join(f"{key}={value}" for key, value in labels.items())
            assert objects(name, "pods", "--namespace=monitoring", f"--selector={selector}"), f"{name}: {policy}"


def test_a_release_comes_after_the_policies_of_its_namespace(fleet: Fleet, dev: Plan) -> None:
    stack = json.loads(fleet.run("pulumi", "stack", "export", "--stack=dev").stdout)
    resources = {resource["urn"].rpartition("::")[2]: resource for resource in stack["deployment"]["resources"]}
    for name in dev.clusters:
        policies = {each["urn"] for key, each in resources.items() if key.startswith(f"{name}-policy-")}
        assert policies
        assert policies <= set(resources[f"{name}-release"]["dependencies"])


def test_every_object_of_the_program_says_whose_it_is(dev: Plan) -> None:
    kinds = "secrets,services,serviceaccounts,deployments,daemonsets,prometheusrules,servicemonitors,networkpolicies"
    for name, cluster in dev.clusters.items():
        own = objects(name, kinds, "--namespace=monitoring")
        made = [each for each in own if not is_made_by_others(each)]
        assert made
        for each in made:
            labels = each["metadata"].get("labels", {})
            what = f"{name}: {each['kind']} {each['metadata']['name']}"
            assert labels.get(PART_OF) == PROJECT, what
            assert labels.get(TIER_LABEL) == cluster.tier.value, what


def is_made_by_others(found: dict[str, Any]) -> bool:
    """By the operator, by Helm for its own records, or by Kubernetes."""
    metadata = found["metadata"]
    return (
        "ownerReferences" in metadata
        or metadata.get("labels", {}).get("owner") == "helm"
        or metadata.get("labels", {}).get("managed-by") == "prometheus-operator"
        or metadata["name"] == "default"
    )


@pytest.fixture(scope="module")
def secrets(fleet: Fleet) -> set[str]:
    """Everything that nobody may read, as the decrypted state has it."""
    return secrets_of(json.loads(fleet.run("pulumi", "stack", "export", "--show-secrets", "--stack=dev").stdout))


def test_whatever_the_clusters_keep_secret_is_looked_for(secrets: set[str], dev: Plan) -> None:
    for name in dev.clusters:
        for secret in objects(name, "secrets", "--namespace=monitoring", f"--selector={PART_OF}={PROJECT}"):
            if is_made_by_others(secret) or secret["metadata"]["name"].endswith("-scrape-confg"):
                continue
            for key, value in secret["data"].items():
                private = [*private_parts(base64.b64decode(value).decode())]
                missing = [part[:4] for part in private if part not in secrets]
                assert missing == [], f"{name}: {secret['metadata']['name']} {key}"
    assert len(secrets) >= 2 * len(dev.edges)


def test_no_secret_is_in_state_outputs_or_renderings(fleet: Fleet, secrets: set[str], tmp_path: Path) -> None:
    plain = fleet.run("pulumi", "stack", "export", "--stack=dev").stdout
    assert '"ciphertext"' in plain
    assert leaked(secrets, plain) == []
    outputs = fleet.run("pulumi", "stack", "output", "--json", "--stack=dev").stdout
    assert '"federation"' in outputs
    assert leaked(secrets, outputs) == []
    assert fleet.run("python", "-m", "fleet", "render", "--stack=dev", f"--out={tmp_path}").returncode == 0
    rendered = {path: path.read_text() for path in tmp_path.rglob("*.yaml")}
    assert rendered
    assert {path.name: found for path, text in rendered.items() if (found := leaked(secrets, text))} == {}


@pytest.mark.parametrize("cluster", [*gateways.ADDRESSES, "shop-1"])
def test_no_secret_is_in_a_release_or_an_event(fleet: Fleet, secrets: set[str], cluster: str) -> None:
    release = ("kube-prometheus-stack", "--namespace=monitoring", f"--kube-context={cluster}")
    # Values, manifest, hooks and notes.
    everything = fleet.run("helm", "get", "all", *release).stdout
    for part in ("COMPUTED VALUES:", "MANIFEST:", "automountServiceAccountToken"):
        assert part in everything
    assert leaked(secrets, everything) == []
    events = kubectl(cluster, "get", "events", "--all-namespaces", "--output=json")
    assert json.loads(events)["items"]
    assert leaked(secrets, events) == []


def test_no_secret_is_in_what_pulumi_and_its_policies_say_or_in_the_arguments_of_a_process(
    fleet: Fleet, secrets: set[str]
) -> None:
    command = ("pulumi", "preview", "--diff", "--show-sames", "--policy-pack=policies", "--stack=dev")
    seen: set[str] = set()
    with ThreadPoolExecutor() as pool:
        preview = pool.submit(fleet.run, *command)
        while not preview.done():
            seen |= command_lines()
            wait([preview], timeout=0.1)
    done = preview.result()
    assert done.returncode == 0, done.stderr
    assert "kubernetes:helm.sh/v3:Release" in done.stdout
    assert "prometheus-fleet" in done.stdout
    said = fleet.first_run + done.stdout + done.stderr
    assert leaked(secrets, said) == []
    # Of the clusters, of their pods, and of pulumi with its plugins.
    for program in ("kube-apiserver", "--web.config.file=", "pulumi-language-python"):
        assert any(program in line for line in seen), program
    assert leaked(secrets, "\n".join(seen)) == []


def command_lines() -> set[str]:
    """Of every process of this machine."""
    found: set[str] = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        # A process may end meanwhile.
        with suppress(OSError):
            found.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_the_stacks_page_refers_to_outputs_that_are_there(fleet: Fleet) -> None:
    outputs = json.loads(fleet.run("pulumi", "stack", "output", "--json", "--stack=dev").stdout)
    referred = re.findall(r"\$\{outputs\.(\w+)", outputs["readme"])
    assert referred == ["topology"]
    # Pulumi hands a page on with its keys in alphabetical order.
    page = json.dumps(yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"][PAGE_KEY], sort_keys=True)
    assert outputs["topology"] == mermaid(compile_page(read_page(json.loads(page), {})))


def test_a_rule_added_later_carries_a_new_value_to_the_top_in_time(dev: Plan) -> None:
    def rule(name: str, record: str, expr: str) -> str:
        spec = {"groups": [{"name": name, "interval": "5s", "rules": [{"record": record, "expr": expr}]}]}
        metadata = {"name": name, "namespace": "monitoring"}
        kind = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule"}
        return json.dumps({**kind, "metadata": metadata, "spec": spec})

    def start_times() -> list[float]:
        return [value for cluster in ("eu-1", "eu", "hub") for _, value in query(cluster, "process_start_time_seconds")]

    before = start_times()
    kubectl("eu-1", "apply", "--filename=-", stdin=rule("later", "cluster:demo_gauge:max", "max(demo_gauge)"))
    record = "region:cluster_demo_gauge:max"
    kubectl(
        "eu", "apply", "--filename=-", stdin=rule("later", record, "max by (region, cluster) (cluster:demo_gauge:max)")
    )

    for cluster in ("eu-1", "eu"):
        carry_into_pods(cluster)

    def at_the_top(expected: float | None) -> None:
        ((labels, value),) = query("hub", record)
        assert labels["cluster"] == "eu-1"
        assert expected is None or value == expected

    try:
        eventually(lambda: at_the_top(None), within=150)
        set_to = float(int(time.time()))
        kubectl(
            "eu-1",
            "create",
            "--raw",
            f"/api/v1/namespaces/demo/services/shop:http/proxy/gauge?value={set_to:.0f}",
            "--filename=-",
            stdin="",
        )
        on_its_way = (
            dev.clusters["eu-1"].scrape_interval
            + dev.clusters["eu-1"].rule_interval
            + dev.federations_of("eu-1")[0].interval
            + dev.clusters["eu"].rule_interval
            + dev.federations_of("eu")[0].interval
        ).total_seconds()
        _, seconds = eventually(lambda: at_the_top(set_to), within=on_its_way + 5)
        assert seconds <= on_its_way + 5
        assert start_times() == before
    finally:
        kubectl("eu-1", "--namespace=monitoring", "delete", "prometheusrule", "later")
        kubectl("eu", "--namespace=monitoring", "delete", "prometheusrule", "later")


def faults(fleet: Fleet) -> dict[tuple[str, str], str | None]:
    done = fleet.run("python", "-m", "fleet", "status", "--stack=dev", "--json")
    found = {(edge["lower"], edge["upper"]): edge["fault"] for edge in json.loads(done.stdout)}
    assert done.returncode == (1 if any(found.values()) else 0)
    return found


def until_status_says(fleet: Fleet, edge: tuple[str, str], expected: str) -> None:
    def said() -> None:
        found = faults(fleet)
        assert re.match(expected, found[edge] or "ok"), found[edge]
        assert {other: fault for other, fault in found.items() if other != edge and fault} == {}

    eventually(said, within=120, every=1)


def try_match(fleet: Fleet, cluster: str, match: str) -> tuple[int, str, str]:
    done = fleet.run("python", "-m", "fleet", "try-match", "--stack=dev", cluster, match)
    return done.returncode, done.stdout, done.stderr


# Series whose value is one, so that two answers have one length.
@pytest.mark.parametrize("match", ['kube_pod_info{namespace="demo"}', '{__name__=~"kube_.+_info"}'])
def test_try_match_tells_what_the_leaf_itself_serves(fleet: Fleet, dev: Plan, match: str) -> None:
    (edge,) = dev.federations_of("eu-1")

    def agrees() -> None:
        counted = len(query("eu-1", match))
        served = kubectl("eu-1", "get", "--raw", f"{PROMETHEUS}/federate?{urlencode({'match[]': match})}")
        assert counted > 0
        status, said, complained = try_match(fleet, "eu-1", match)
        assert (status, complained) == (0, "")
        total = f"{edge.estimate} expected + {counted} = {edge.estimate + counted}"
        assert said.splitlines() == [
            f"eu-1 serves {counted} series for it, {len(served.encode())} bytes per scrape",
            f"eu-1 → eu: {total}, within its budget of {edge.budget}",
        ]

    eventually(agrees, within=30)


def test_try_match_of_a_regional_asks_for_what_it_has_recorded(fleet: Fleet) -> None:
    match = '{__name__=~"region:.*"}'

    def agrees() -> None:
        status, said, _ = try_match(fleet, "eu", match)
        assert status == 0
        assert said.startswith(f"eu serves {len(query('eu', match))} series for it, ")

    eventually(agrees, within=30)


@pytest.mark.parametrize(
    ("cluster", "match", "said"),
    [
        ("eu-7", "kube_pod_info", "CLUSTER: there is no cluster 'eu-7'"),
        ("shop-1", "kube_pod_info", "CLUSTER: shop-1 is an edge: its agent answers no queries"),
        ("eu-1", "kube_pod_info{", "MATCH: "),
    ],
)
def test_try_match_refuses_a_question_without_sense_in_one_message(
    fleet: Fleet, cluster: str, match: str, said: str
) -> None:
    status, printed, complained = try_match(fleet, cluster, match)
    assert (status, printed) == (1, "")
    assert complained.startswith(said)
    assert len(re.findall(r"^\S+: ", complained, re.MULTILINE)) == 1
    assert "Traceback" not in complained


def test_status_is_content_with_a_healthy_fleet(fleet: Fleet) -> None:
    assert fleet.run("make", "status").returncode == 0


def test_status_names_a_wrong_credential(fleet: Fleet) -> None:
    secret = ("--namespace=monitoring", "patch", "secret", "federation-credentials", "--type=merge")
    good = json.loads(kubectl("eu", "--namespace=monitoring", "get", "secret", "federation-credentials", "-o=json"))
    kubectl("eu", *secret, '--patch={"stringData": {"eu-2": "wrong"}}')
    carry_into_pods("eu")
    try:
        until_status_says(fleet, ("eu-2", "eu"), "401: wrong credential$")
        assert fleet.run("make", "status").returncode != 0
    finally:
        kubectl("eu", *secret, f"--patch={json.dumps({'data': good['data']})}")
        carry_into_pods("eu")
    until_status_says(fleet, ("eu-2", "eu"), "ok$")


def test_status_names_a_gateway_out_of_reach(fleet: Fleet) -> None:
    def scale(replicas: int) -> None:
        for workload in ("deployment/kube-prometheus-stack-operator", STATEFUL_SET):
            kubectl("eu-2", "--namespace=monitoring", "scale", workload, f"--replicas={replicas}")

    scale(0)
    try:
        until_status_says(fleet, ("eu-2", "eu"), "unreachable: .*(refused|deadline|no route)")
    finally:
        scale(1)
    until_status_says(fleet, ("eu-2", "eu"), "ok$")


def test_status_names_a_child_with_nothing_to_match(fleet: Fleet) -> None:
    rule = json.loads(
        kubectl("eu-2", "--namespace=monitoring", "get", "prometheusrule", "cluster-aggregations", "-o=json")
    )
    kubectl("eu-2", "--namespace=monitoring", "delete", "prometheusrule", "cluster-aggregations")
    carry_into_pods("eu-2")
    try:
        until_status_says(fleet, ("eu-2", "eu"), "no match: ")
    finally:
        kept = {key: rule["metadata"][key] for key in ("name", "namespace", "labels")}
        kubectl("eu-2", "create", "--filename=-", stdin=json.dumps({**rule, "metadata": kept}))
        carry_into_pods("eu-2")
    until_status_says(fleet, ("eu-2", "eu"), "ok$")


def test_a_watcher_sees_an_edge_break_and_mend_while_the_others_go_on() -> None:
    terminal = Terminal([sys.executable, "-m", "fleet", "status", "--watch", "--every", "1"], columns=140, lines=24)

    def shows(reporting: int, *words: str) -> None:
        headline, *rows = terminal.screen()
        assert headline.startswith(f"{reporting} of 3 clusters report")
        (broken,) = [row for row in rows if row.startswith("eu-2 → eu")]
        assert all(word in broken for word in words), broken
        for edge in ("eu-1 → eu", "eu → hub", "shop-1 → hub"):
            assert any(row.startswith(edge) and " up " in row for row in rows)

    try:
        eventually(lambda: shows(3, "federation", " up ", " of 4000", "ok"), within=60)
        with cut_off("eu", "eu-2"):
            eventually(lambda: shows(2, " down ", "ClusterSilent", " more · unreachable: "), within=120)
        eventually(lambda: shows(3, " up ", "ok"), within=120)
        assert terminal.press_ctrl_c(within=10) == 0
    finally:
        terminal.close()
    assert b"Traceback" not in terminal.written


def alert_of(cluster: str, name: str) -> dict[str, Any]:
    wanted = {"alertname": name, "cluster": cluster}
    (found,) = [each for each in alerts("hub") if wanted.items() <= each["labels"].items()]
    return found


def test_alertmanager_hears_of_the_global_prometheus() -> None:
    def heard() -> None:
        own = {"alertname": "Watchdog", "level": "global"}
        (watchdog,) = [each for each in alerts("hub") if own.items() <= each["labels"].items()]
        assert watchdog["status"]["state"] == "active"

    eventually(heard, within=60)


SENDERS = (("eu-1", "cluster"), ("eu-2", "cluster"), ("eu", "regional"))


def firing(name: str, cluster: str, expr: str = "vector(1)") -> str:
    """A rule that says of itself that it is of another leaf, and of another region."""
    alert = {"alert": name, "expr": expr, "labels": {"severity": "none", "cluster": cluster, "region": "us"}}
    kind = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule"}
    metadata = {"name": name.lower(), "namespace": "monitoring"}
    return json.dumps({**kind, "metadata": metadata, "spec": {"groups": [{"name": name, "rules": [alert]}]}})


def heard_as(name: str) -> set[tuple[str, str | None, str]]:
    """(level, cluster, region) of each alert of this name at the hub."""
    found = [each["labels"] for each in alerts("hub") if each["labels"]["alertname"] == name]
    return {(each["level"], each.get("cluster"), each["region"]) for each in found}


def test_what_fires_below_is_heard_at_the_top_as_its_senders_own_until_it_ends() -> None:
    def heard(expected: set[tuple[str, str | None, str]]) -> None:
        assert heard_as("Below") == expected

    def other(sender: str) -> str:
        return "eu-2" if sender == "eu-1" else "us-1"

    for sender, _ in SENDERS:
        kubectl(sender, "apply", "--filename=-", stdin=firing("Below", other(sender)))
        carry_into_pods(sender)
    try:
        # What a region says of a cluster that is none of its own becomes its own.
        everybody = {(level, sender if level == "cluster" else None, "eu") for sender, level in SENDERS}
        eventually(lambda: heard(everybody), within=150)
    finally:
        # Of a rule that is gone or has other labels, nothing more is sent: Alertmanager forgets after minutes.
        for sender, _ in SENDERS:
            kubectl(sender, "apply", "--filename=-", stdin=firing("Below", other(sender), "vector(1) > 1"))
            carry_into_pods(sender)
    eventually(lambda: heard(set()), within=150)
    for sender, _ in SENDERS:
        kubectl(sender, "--namespace=monitoring", "delete", "prometheusrule", "below")


def test_a_leaf_with_a_wrong_key_is_not_heard_and_the_others_go_on() -> None:
    secret = ("--namespace=monitoring", "patch", "secret", "alert-credentials", "--type=merge")
    good = json.loads(kubectl("eu-2", "--namespace=monitoring", "get", "secret", "alert-credentials", "-o=json"))
    pod = "/api/v1/namespaces/monitoring/pods/prometheus-kube-prometheus-stack-prometheus-0:9090/proxy/metrics"

    def refused() -> None:
        lines = kubectl("eu-2", "get", "--raw", pod).splitlines()
        (errors,) = [each for each in lines if each.startswith("prometheus_notifications_errors_total{")]
        assert float(errors.rpartition(" ")[2]) > 0

    def heard(*senders: str) -> None:
        assert {cluster for _, cluster, _ in heard_as("Keyed")} == set(senders)

    kubectl("eu-2", *secret, '--patch={"stringData": {"hub.password": "wrong"}}')
    carry_into_pods("eu-2")
    try:
        for sender in LEAVES:
            kubectl(sender, "apply", "--filename=-", stdin=firing("Keyed", sender))
            carry_into_pods(sender)
        eventually(refused, within=150)
        eventually(lambda: heard("eu-1"), within=150)
    finally:
        kubectl("eu-2", *secret, f"--patch={json.dumps({'data': good['data']})}")
        carry_into_pods("eu-2")
    # What still fires is sent again every minute.
    eventually(lambda: heard(*LEAVES), within=180)
    for sender in LEAVES:
        kubectl(sender, "--namespace=monitoring", "delete", "prometheusrule", "keyed")


def cluster_alerts(muted: Mapping[str, datetime] = MappingProxyType({})) -> str:
    """The rules that follow from stack dev's page, with these clusters in maintenance until then."""
    page = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"][PAGE_KEY]
    for cluster, until in muted.items():
        page["clusters"][cluster]["maintenance"] = {"until": until.isoformat(), "reason": "it is tried out"}
    plan = compile_page(read_page(page, {}))
    (hub,) = plan.tier(Tier.GLOBAL)
    (group,) = [each for each in alert_groups(plan, hub) if each.name == "alerts-clusters"]
    return json.dumps(prometheus_rule(hub, group))


def test_a_cluster_that_falls_silent_is_an_alert_which_maintenance_mutes_for_it_alone() -> None:
    def scale(replicas: int) -> None:
        for workload in ("deployment/kube-prometheus-stack-operator", STATEFUL_SET):
            kubectl("eu-2", "--namespace=monitoring", "scale", workload, f"--replicas={replicas}")

    def has_state(cluster: str, name: str, state: str) -> None:
        assert alert_of(cluster, name)["status"]["state"] == state

    def deploy(rules: str) -> None:
        kubectl("hub", "apply", "--filename=-", stdin=rules)
        carry_into_pods("hub")

    other = {"alert": "Other", "expr": "vector(1)", "labels": {"cluster": "eu-1", "region": "eu"}}
    other_rule = {**json.loads(cluster_alerts()), "spec": {"groups": [{"name": "other", "rules": [other]}]}}
    other_rule["metadata"] = {"name": "other", "namespace": "monitoring"}
    scale(0)
    try:
        deploy(json.dumps(other_rule))
        eventually(lambda: has_state("eu-2", "ClusterSilent", "active"), within=150)
        eventually(lambda: has_state("eu-1", "Other", "active"), within=120)
        deploy(cluster_alerts({"eu-2": datetime.now(UTC) + timedelta(hours=1)}))
        eventually(lambda: has_state("eu-2", "ClusterSilent", "suppressed"), within=120)
        has_state("eu-1", "Other", "active")
        maintenance = alert_of("eu-2", "ClusterInMaintenance")
        assert alert_of("eu-2", "ClusterSilent")["status"]["inhibitedBy"] == [maintenance["fingerprint"]]
        assert maintenance["annotations"]["description"].endswith(": it is tried out")
        deploy(cluster_alerts({"eu-2": datetime.now(UTC)}))
        eventually(lambda: has_state("eu-2", "ClusterSilent", "active"), within=120)
    finally:
        scale(1)
        kubectl("hub", "--namespace=monitoring", "delete", "--ignore-not-found", "prometheusrule", "other")
        deploy(cluster_alerts())

    def is_resolved() -> None:
        assert ("eu-2", "ClusterSilent") not in [
            (each["labels"].get("cluster"), each["labels"]["alertname"]) for each in alerts("hub")
        ]

    eventually(is_resolved, within=180)


STATEFUL_SET = "statefulset/prometheus-kube-prometheus-stack-prometheus"

CRASHING = {
    "Pulumi.yaml": "name: crashing\nruntime: python\n",
    "__main__.py": """
import pulumi, pulumi_kubernetes as k8s
provider = k8s.Provider("eu-1", kubeconfig="KUBECONFIG_OF_EU_1")
k8s.helm.v3.Release("crashing", chart="./chart", name="crashing", namespace="demo", timeout=30,
                    opts=pulumi.ResourceOptions(provider=provider))
""",
    "chart/Chart.yaml": "apiVersion: v2\nname: crashing\nversion: 1.0.0\n",
    "chart/templates/deployment.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: crashing}
spec:
  selector: {matchLabels: {app: crashing}}
  template:
    metadata: {labels: {app: crashing}}
    spec:
      containers:
        - name: app
          image: docker.io/prometheus-fleet/demo-app:dev
          args: [--no-such-flag]
          readinessProbe: {tcpSocket: {port: 8080}}
""",
}


def test_a_failing_release_is_explained_by_the_last_words_of_its_pod(fleet: Fleet, tmp_path: Path) -> None:
    for name, text in CRASHING.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("KUBECONFIG_OF_EU_1", str(ROOT / ".local/kubeconfigs/eu-1.yaml")))
    folder = f"--cwd={tmp_path}"
    assert fleet.run("pulumi", folder, "stack", "init", "crashing").returncode == 0
    try:
        done = fleet.run("pulumi", folder, "up", "--yes", "--skip-preview", "--stack=crashing")
        assert done.returncode != 0
        printed = done.stdout + done.stderr
        assert "CrashLoopBackOff" in printed or "BackOff" in printed
        assert "no-such-flag" in printed
        assert "Traceback" not in printed
    finally:
        assert fleet.run("pulumi", folder, "destroy", "--yes", "--skip-preview", "--stack=crashing").returncode == 0


def test_a_second_demo_changes_nothing_and_is_quick() -> None:
    printed, seconds = make("demo", within=120)
    assert re.search(r"\d+ unchanged", printed)
    assert not re.search(r"\d+ (created|updated|replaced|deleted)", printed)
    assert seconds <= 60


def test_demo_leaves_the_work_tree_as_it_was(fleet: Fleet) -> None:
    assert work_tree() == fleet.tree_before


def test_what_holds_keys_is_for_its_owner_alone() -> None:
    for path in (*(ROOT / ".local" / "kubeconfigs").iterdir(), ROOT / ".local" / "pulumi"):
        assert path.stat().st_mode & 0o077 == 0, path
