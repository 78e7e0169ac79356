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
BACK = 180
"""Seconds within which a pod that was deleted answers again."""


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


def test_what_one_replica_missed_is_sent_to_it_and_readers_notice_nothing(fleet: TwoClusters, tmp_path: Path) -> None:
    reader = Reader(fleet, tmp_path)
    before = time.time()
    reader.newest()
    fleet.kubectl("hub", "delete", "pod", replica_pod(0), "--namespace=monitoring", "--wait=false")
    answers: list[float] = []

    def is_back() -> None:
        answers.append(reader.newest())
        (pod,) = (
            each
            for each in fleet.kubectl("hub", "get", "pods", "--namespace=monitoring")["items"]
            if each["metadata"]["name"] == replica_pod(0)
        )
        conditions = {each["type"]: each["status"] for each in pod["status"]["conditions"]}
        assert conditions["Ready"] == "True"
        assert "deletionTimestamp" not in pod["metadata"]
        # It has been away, and what came meanwhile has been written to it as well.
        assert max(written(fleet, 0)) > time.time() - 30

    _, away = eventually(is_back, within=BACK)
    assert away > 0
    assert len(answers) > 1

    def is_whole() -> None:
        until = time.time() - 30
        first, second = ({at for at in written(fleet, number) if before - 60 < at < until} for number in range(2))
        assert second - first == set()
        assert len(second) > (until - before) / 5 / 2

    eventually(is_whole, within=120)
