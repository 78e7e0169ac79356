"""A real agent that was cut off for longer than it keeps samples for, at a pace that a test can wait for."""

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path

import pytest
from destinations import all_queues, generated, selected_secrets
from hostile import Child
from parent import eventually, parent

from fleet.compiler import compile_page
from fleet.duration import format_duration
from fleet.page import read_page
from local.api_server import free_ports
from local.prometheus import own, prometheus

# Of several shards Prometheus remembers one oldest sample, and sends what one of them had under way whatever its age.
CLUSTERS: dict[str, object] = {
    "hub": {"tier": "global", "context": "hub"},
    "shop-1": {"tier": "edge", "context": "shop-1", "series": 10_000},
}
PLAN = compile_page(read_page({"clusters": CLUSTERS}, {}))
(QUEUE,) = all_queues(PLAN, "shop-1")
KEPT, CUT_OFF = timedelta(seconds=8), timedelta(seconds=20)


@contextlib.contextmanager
def agent(folder: Path, target: str, receiver: str) -> Iterator[int]:
    """Its port. Its queue is that of shop-1 as the operator writes it, with less time, and without keys and choice."""
    shorter = {**QUEUE["queueConfig"], "sampleAgeLimit": format_duration(KEPT)}
    made, _ = generated({"remoteWrite": [{**QUEUE, "queueConfig": shorter}]}, selected_secrets(QUEUE))
    (queue,) = made["remote_write"]
    queue = {key: queue[key] for key in ("queue_config", "name")}
    scraped = {"job_name": "shop", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
    config = {"scrape_configs": [scraped], "remote_write": [{**queue, "url": f"{receiver}/api/v1/write"}]}
    (port,) = free_ports(1)
    with prometheus(folder, port, "--agent", "--storage.agent.path=log", config=config):
        yield port


def served(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "text/plain; version=0.0.4")
    request.end_headers()
    request.wfile.write(b"http_requests_total 1\n")


@pytest.mark.cluster
def test_what_a_cut_off_sender_still_keeps_arrives_and_what_it_gave_up_it_counts(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    (tmp_path / "hub").mkdir()
    began = time.time()
    with (
        Child(served).serving() as target,
        agent(tmp_path / "shop-1", target.address, f"http://127.0.0.1:{port}") as edge,
    ):
        time.sleep(CUT_OFF.total_seconds())
        back = time.time()
        with parent(PLAN, [], tmp_path / "hub", "--web.enable-remote-write-receiver", port=port) as hub:

            def arrived() -> list[float]:
                """When they were scraped."""
                return [float(at) for each in hub.query("http_requests_total[5m]") for at, _ in each["values"]]

            eventually(lambda: max(arrived(), default=0) > back + 3, "it has caught up")
            first, *_ = moments = arrived()
            lost = own(edge, "prometheus_remote_storage_samples_dropped_total", reason="too_old")
    assert back - CUT_OFF.total_seconds() / 2 < first < back
    assert max(after - before for before, after in pairwise(moments)) < 1.9
    assert lost >= first - began - 3, "at least one for each second"
