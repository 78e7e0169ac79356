"""A hub with two replicas, and a leaf that writes to both: what one has missed it gets, and readers notice nothing."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from ssl import create_default_context
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from kubectl import eventually
from two_clusters import TwoClusters, two_clusters

from fleet.names import GATEWAY_READERS, replica_pod, server_name

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

INTERVALS = {"scrape": "5s", "rules": "5s", "federation": {"floor": "5s", "regional": "6s", "global": "6s"}}
HEARTBEAT = "cluster:heartbeat:timestamp"
RULES = 5
KILLS = 3
"""In a row: the kubelet waits 10 s after the first, and 20 s after the second."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoClusters]:
    with two_clusters(tmp_path_factory.mktemp("replicas")) as fleet:
        gateway = {
            "type": "NodePort",
            "host": fleet.clusters["hub"].node.address,
            "replicas": [{"port": 30444}, {"port": 30445}],
        }
        readers = {"grafana": {"clusters": "hub"}}
        hub, leaf = {"replicas": 2, "gateway": gateway}, {"up": "remote_write"}
        page = fleet.page(hub, leaf, intervals=INTERVALS, readers=readers)
        del page["clusters"]["eu-1"]["gateway"]  # nobody calls it
        fleet.write(page)
        done = fleet.up()
        assert done.returncode == 0, done.stdout + done.stderr
        yield fleet


def of_replica(fleet: TwoClusters, number: int, promql: str) -> list[dict[str, Any]]:
    path = f"/api/v1/namespaces/monitoring/pods/{replica_pod(number)}:9090/proxy/api/v1/query"
    command = ["kubectl", "--kubeconfig", str(fleet.clusters["hub"].kubeconfig), "get", "--raw"]
    done = subprocess.run(
        [*command, f"{path}?{urlencode({'query': promql})}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]["result"]


def written(fleet: TwoClusters, number: int, seconds: int = 600) -> set[float]:
    """Times of the heartbeats that the leaf has written to this replica."""
    found = of_replica(fleet, number, f'{HEARTBEAT}{{cluster="eu-1"}}[{seconds}s]')
    return {float(at) for series in found for at, _ in series["values"]}


class Reader:
    """Somebody outside of the fleet who queries the hub through its gateway."""

    def __init__(self, fleet: TwoClusters, folder: Path) -> None:
        secret = fleet.kubectl("hub", "get", "secret", GATEWAY_READERS, "--namespace=monitoring")["data"]
        password, authority = (base64.b64decode(secret[key]).decode() for key in ("grafana", "ca.crt"))
        (folder / "ca.crt").write_text(authority)
        self._url = f"https://{fleet.clusters['hub'].node.address}:30443/api/v1/query"
        self._client = httpx.Client(
            verify=create_default_context(cadata=authority), auth=("grafana", password), trust_env=False, timeout=10
        )

    def newest(self) -> float:
        """Unix time of the newest heartbeat that the answer has."""
        answer = self._client.get(
            self._url,
            params={"query": f'timestamp({HEARTBEAT}{{cluster="eu-1"}})'},
            extensions={"sni_hostname": server_name("hub")},
        )
        answer.raise_for_status()
        return max(float(series["value"][1]) for series in answer.json()["data"]["result"])


def test_each_replica_has_every_sample_that_was_written(fleet: TwoClusters) -> None:
    def both_have_some() -> None:
        assert min(len(written(fleet, number)) for number in range(2)) >= 5

    eventually(both_have_some, within=120)


def kill(fleet: TwoClusters, number: int) -> bool:
    """That replica's Prometheus, if it runs; the kubelet starts it again, later each time. It keeps its volume."""
    run, ctr = fleet.clusters["hub"].run, ["ctr", "--namespace", "k8s.io"]
    labels = {"container.name": "prometheus", "pod.name": replica_pod(number)}
    chosen = ",".join(f'labels."io.kubernetes.{label}"=={value}' for label, value in labels.items())
    known = set(run([*ctr, "containers", "list", "--quiet", chosen]).split())
    tasks = (line.split() for line in run([*ctr, "tasks", "list"]).splitlines())
    running = [task for task, _, state in tasks if task in known and state == "RUNNING"]
    for task in running:
        run([*ctr, "tasks", "kill", "--signal", "SIGKILL", task])
    return bool(running)


def test_what_one_replica_missed_is_sent_to_it_and_readers_notice_nothing(fleet: TwoClusters, tmp_path: Path) -> None:
    reader, before, kills = Reader(fleet, tmp_path), time.time(), 0
    while kills < KILLS:
        kills += kill(fleet, 0)
        assert reader.newest() > time.time() - 60
        time.sleep(0.2)
    away = time.time() - before
    assert away > 2 * RULES, "it has missed no round"

    def is_whole() -> None:
        reader.newest()
        first, second = (written(fleet, number, round(time.time() - before)) for number in range(2))
        until = max(second) - away
        assert until > before + away
        assert {at for at in second if at < until} <= first

    eventually(is_whole, within=240, every=1)
