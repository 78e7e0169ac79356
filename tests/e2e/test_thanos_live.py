"""A leaf and the hub write to the fleet's own Thanos: who may, what a lost receiver costs, what the bucket gives."""

import json
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from kubectl import eventually
from two_clusters import TwoClusters, two_clusters

from fleet.names import server_name
from local import toolchain
from local.volumes import ensure_bucket

pytestmark = [pytest.mark.cluster, pytest.mark.thanos, pytest.mark.timeout(1200)]

INTERVALS = {"scrape": "5s", "rules": "5s", "federation": {"floor": "5s", "regional": "6s", "global": "6s"}}
RULES = 5
HEARTBEAT = 'cluster:heartbeat:timestamp{cluster="eu-1"}'
THANOS = {
    "objectStorage": {"volume": {"size": "5Gi", "class": "local"}},
    "senders": ["leaf", "global"],
    "receivers": 3,
    "replication": 3,
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoClusters]:
    with two_clusters(tmp_path_factory.mktemp("thanos"), thanos=THANOS) as fleet:
        ensure_bucket(fleet.clusters["hub"])
        fleet.write(fleet.page({"gateway": gateway(fleet)}, {}, intervals=INTERVALS, thanos=THANOS))
        done = fleet.up()
        assert done.returncode == 0, done.stdout + done.stderr
        yield fleet


def gateway(fleet: TwoClusters) -> dict[str, str]:
    return {"type": "NodePort", "host": fleet.clusters["hub"].node.address}


def kubectl(fleet: TwoClusters, *arguments: str) -> str:
    command = ["kubectl", "--kubeconfig", str(fleet.clusters["hub"].kubeconfig), "--namespace=monitoring", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(fleet: TwoClusters, promql: str, **more: str) -> list[dict[str, Any]]:
    """By Thanos Query, which says so where it could not ask everybody."""
    path = "/api/v1/namespaces/monitoring/services/thanos-query:10902/proxy/api/v1/query"
    answer = json.loads(kubectl(fleet, "get", "--raw", f"{path}?{urlencode({'query': promql, **more})}"))
    assert "warnings" not in answer, answer["warnings"]
    return answer["data"]["result"]


def noticed(fleet: TwoClusters, promql: str) -> list[dict[str, Any]]:
    """By the hub's own Prometheus."""
    path = "/api/v1/namespaces/monitoring/services/kube-prometheus-stack-prometheus:9090/proxy/api/v1/query"
    return json.loads(kubectl(fleet, "get", "--raw", f"{path}?{urlencode({'query': promql})}"))["data"]["result"]


def times(fleet: TwoClusters, since: float) -> list[float]:
    """Of the leaf's heartbeats, one for each evaluation."""
    (series,) = asked(fleet, f"{HEARTBEAT}[{time.time() - since:.0f}s]")
    return [float(at) for at, _ in series["values"]]


def arrived(fleet: TwoClusters, since: float, *, more_than: int) -> list[float]:
    def enough() -> list[float]:
        found = times(fleet, since)
        assert len(found) > more_than
        return found

    found, _ = eventually(enough, within=120)
    return found


def is_whole(found: list[float]) -> bool:
    """Whether no evaluation is missing."""
    return all(later - earlier < 1.5 * RULES for earlier, later in pairwise(found))


def test_raw_series_of_a_leaf_and_the_hubs_own_records_are_there_once(fleet: TwoClusters) -> None:
    def both_have_come() -> None:
        (raw,) = asked(fleet, 'count(kubelet_running_pods{cluster="eu-1"})')
        assert float(raw["value"][1]) == 1
        (heartbeat,) = asked(fleet, HEARTBEAT)
        assert "receive_replica" not in heartbeat["metric"]
        assert asked(fleet, '{__name__=~"global:.+"}')

    eventually(both_have_come, within=180)
    # What the leaf has written itself, the hub has by federation, and does not write.
    assert not asked(fleet, '{__name__=~"cluster:.+",level!="cluster"}')


def test_every_pod_is_scraped_and_says_what_alerts_ask(fleet: TwoClusters) -> None:
    def all_are() -> None:
        found = {each["metric"]["component"]: float(each["value"][1]) for each in noticed(fleet, _PODS)}
        assert found == {"router": 2, "receiver": 3, "query": 2, "store": 1, "compactor": 1}

    eventually(all_are, within=60)
    for metric in (
        'thanos_compact_halted{component="compactor"}',
        'thanos_objstore_bucket_operation_failures_total{component="receiver"}',
        'thanos_objstore_bucket_last_successful_upload_time{component="receiver"}',
        'process_start_time_seconds{job="thanos",component="receiver"}',
    ):
        assert noticed(fleet, metric), metric


_PODS = 'sum by (component) (up{job="thanos"})'


def test_nobody_writes_without_a_key_nor_anything_else(fleet: TwoClusters) -> None:
    url = f"https://{fleet.clusters['hub'].node.address}:30443/api/v1/receive"
    told = {"extensions": {"sni_hostname": server_name("hub")}}
    # Who this gateway is, others defend.
    with httpx.Client(verify=False, trust_env=False, timeout=10) as client:  # noqa: S501 (as said)
        assert client.post(url, content=b"", **told).status_code == 401
        assert client.post(url, content=b"", auth=("eu-1", "a guess that is wrong"), **told).status_code == 401
        assert client.get(url, **told).status_code == 404


def test_a_receiver_that_is_lost_and_comes_back_costs_no_sample(fleet: TwoClusters) -> None:
    before = time.time()
    arrived(fleet, before, more_than=2)
    kubectl(fleet, "delete", "pod", "thanos-receiver-1", "--grace-period=0", "--force", "--wait=false")
    kubectl(fleet, "rollout", "status", "statefulset", "thanos-receiver", "--timeout=180s")
    back = time.time()

    def caught_up() -> None:
        found = times(fleet, before)
        assert found[-1] > back + RULES
        assert is_whole(found)

    eventually(caught_up, within=180)


def blocks(bucket: Path) -> dict[str, dict[str, Any]]:
    found = {meta.parent.name: json.loads(meta.read_text()) for meta in bucket.glob("*/meta.json")}
    return {name: meta for name, meta in found.items() if not (bucket / name / "deletion-mark.json").exists()}


def test_blocks_are_uploaded_compacted_and_read_back(fleet: TwoClusters, tmp_path: Path) -> None:
    before = time.time()
    kept = arrived(fleet, before, more_than=4)
    bucket = ensure_bucket(fleet.clusters["hub"])
    # What ends lays what it has in memory into the bucket; its own volume goes with it.
    kubectl(fleet, "rollout", "restart", "statefulset", "thanos-receiver")
    kubectl(fleet, "rollout", "status", "statefulset", "thanos-receiver", "--timeout=300s")
    fresh = blocks(bucket)
    replicas = {meta["thanos"]["labels"]["receive_replica"] for meta in fresh.values()}
    assert replicas == {f"thanos-receiver-{number}" for number in range(3)}
    compact(fleet, bucket, tmp_path)
    whole = blocks(bucket)
    assert {meta["thanos"]["source"] for meta in whole.values()} == {"compactor"}
    assert len(whole) < len(fresh)
    # It looks for blocks when it starts, and every quarter of an hour.
    kubectl(fleet, "rollout", "restart", "statefulset", "thanos-store")
    kubectl(fleet, "rollout", "status", "statefulset", "thanos-store", "--timeout=180s")

    def is_read_back() -> None:
        assert set(kept) <= set(times(fleet, before))

    eventually(is_read_back, within=180)


def compact(fleet: TwoClusters, bucket: Path, scratch: Path) -> None:
    """As its pod does, but once, and now: that one leaves blocks alone until they are half an hour old."""
    (container,) = json.loads(kubectl(fleet, "get", "statefulset", "thanos-compactor", "--output=json"))["spec"][
        "template"
    ]["spec"]["containers"]
    given = [each for each in container["args"] if each != "--wait" and not each.startswith("--data-dir=")]
    arguments = [each.replace("/bucket", str(bucket)) for each in given]
    thanos = toolchain.ensure(["thanos"]) / "thanos"
    command = [str(thanos), *arguments, f"--data-dir={scratch}", "--consistency-delay=0s", "--http-address=127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
