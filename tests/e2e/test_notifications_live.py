"""Who hears of what outside of a fleet: people of one cluster, and whoever watches over the top. Real clusters."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubectl import eventually
from two_clusters import STACK, TwoClusters, two_clusters

from local.cluster import stop
from local.network import HOST_ADDRESS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

EVERY = 60
"""Seconds from one pulse to the next."""
LATE = 30
"""Seconds by which a busy machine may be late."""


class Outside:
    """Whoever listens where the fleet does not run."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, str, Any]] = []
        """(Unix time, path, what was posted)."""

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Yields its URL, to which a path belongs."""
        messages = self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                messages.append((time.time(), self.path, told))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base class)
                pass

        with ThreadingHTTPServer((str(HOST_ADDRESS), 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://{HOST_ADDRESS}:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()

    def times(self, path: str) -> Sequence[float]:
        return [when for when, posted_to, _ in self.messages if posted_to == path]

    def alerts(self, path: str) -> Sequence[dict[str, str]]:
        """Their labels."""
        return [
            alert["labels"] for _, posted_to, told in self.messages if posted_to == path for alert in told["alerts"]
        ]


@pytest.fixture(scope="module")
def outside() -> Outside:
    return Outside()


@pytest.fixture(scope="module")
def fleet(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoClusters]:
    """The hub's Watchdog goes to /pulse, what the leaf notices to /people."""
    folder = tmp_path_factory.mktemp("heard")
    with two_clusters(folder) as fleet, outside.listening() as url:
        setting = ("config", "set", "--secret", "--stack", STACK, "pulse")
        assert fleet.pulumi(*setting, stdin=f"{url}/pulse").returncode == 0
        own = {"alertmanager": {"webhook": {"secret": "people"}}}
        fleet.write(fleet.page({}, own, alerting={"deadMansSwitch": {"config": "pulse"}}))
        done = fleet.up()
        assert done.returncode == 0, done.stdout + done.stderr
        # It waits for its Secret, whose namespace is only there now.
        (address := folder / "people").write_text(f"{url}/people")
        secret = ("generic", "people", "--namespace=monitoring", f"--from-file=url={address}")
        fleet.kubectl("eu-1", "create", "secret", *secret)
        yield fleet


def fire(fleet: TwoClusters, cluster: str, name: str) -> None:
    rule = {"alert": name, "expr": "vector(1)", "labels": {"severity": "warning"}}
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name.lower(), "namespace": "monitoring"},
        "spec": {"groups": [{"name": name, "rules": [rule]}]},
    }
    command = ["kubectl", "--kubeconfig", str(fleet.clusters[cluster].kubeconfig), "apply", "--filename=-"]
    subprocess.run(command, input=json.dumps(document), text=True, capture_output=True, check=True)


def test_people_of_a_cluster_hear_of_what_its_own_prometheus_notices(fleet: TwoClusters, outside: Outside) -> None:
    fire(fleet, "eu-1", "Noticed")

    def heard() -> None:
        told = [labels for labels in outside.alerts("/people") if labels["alertname"] == "Noticed"]
        assert {(labels["cluster"], labels["severity"]) for labels in told} == {("eu-1", "warning")}

    eventually(heard, within=4 * EVERY)
    assert "Watchdog" not in {each["alertname"] for each in outside.alerts("/people")}


def test_the_pulse_of_the_top_is_heard_outside_and_ends_with_it(fleet: TwoClusters, outside: Outside) -> None:
    def heard(times: int) -> None:
        assert len(outside.times("/pulse")) >= times

    eventually(lambda: heard(2), within=2 * EVERY + LATE)
    first, second, *_ = outside.times("/pulse")
    assert second - first <= EVERY + LATE
    # The leaf's comes to the hub as well, and says nothing of the hub.
    pulses = outside.alerts("/pulse")
    assert {labels["alertname"] for labels in pulses} == {"Watchdog"}
    assert not any("cluster" in labels or "region" in labels for labels in pulses)

    stop(fleet.folder.parent / ".local", "hub")
    stopped = time.time()
    time.sleep(EVERY + LATE)  # there is nothing to wait for but that nothing comes
    assert [when for when in outside.times("/pulse") if when > stopped + 1] == []
