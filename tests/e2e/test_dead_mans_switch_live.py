"""The pulse that the top of a fleet sends to somebody outside, and its end with the top; real clusters."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kubectl import eventually
from two_clusters import TwoClusters, two_clusters

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
        self.heard: list[tuple[float, Any]] = []
        """(Unix time, message) of each pulse."""

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Yields its URL."""
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                heard.append((time.time(), message))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer((str(HOST_ADDRESS), 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://{HOST_ADDRESS}:{server.server_port}/pulse"
            finally:
                server.shutdown()
                thread.join()

    def has_heard(self, times: int) -> None:
        assert len(self.heard) >= times


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoClusters]:
    with two_clusters(tmp_path_factory.mktemp("pulse")) as fleet:
        yield fleet


def test_the_pulse_of_the_top_is_heard_outside_and_ends_with_it(fleet: TwoClusters, tmp_path: Path) -> None:
    outside = Outside()
    with outside.listening() as url:
        (address := tmp_path / "url").write_text(url)
        fleet.kubectl("hub", "create", "namespace", "monitoring")
        secret = ("generic", "pulse", "--namespace=monitoring", f"--from-file=url={address}")
        fleet.kubectl("hub", "create", "secret", *secret)
        fleet.write(fleet.page({}, {}, alerting={"deadMansSwitch": {"secret": "pulse"}}))
        done = fleet.up()
        assert done.returncode == 0, done.stdout + done.stderr

        eventually(lambda: outside.has_heard(2), within=2 * EVERY + LATE)
        (first, _), (second, _) = outside.heard[:2]
        assert second - first <= EVERY + LATE
        # That of the leaf comes by way of the hub as well, and says nothing of it.
        fired = [alert["labels"] for _, message in outside.heard for alert in message["alerts"]]
        assert {labels["alertname"] for labels in fired} == {"Watchdog"}
        assert not any("cluster" in labels or "region" in labels for labels in fired)

        stop(fleet.folder.parent / ".local", "hub")
        stopped = time.time()
        time.sleep(EVERY + LATE)  # there is nothing to wait for but that nothing comes
        assert [when for when, _ in outside.heard if when > stopped + 1] == []
