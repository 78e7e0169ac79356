"""What alerts about the monitors read, told by real ones: what nothing tells would be an alert that never fires."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import promql_parser
import pytest
import yaml
from parent import Parent, eventually, parent
from test_unknown_cluster import HEADERS, written

from fleet.alerts import alert_groups
from fleet.compiler import compile_page
from fleet.names import PROMETHEUS
from fleet.page import read_page
from fleet.plan import Plan
from fleet.promql import metric_names
from local.api_server import free_ports

pytestmark = pytest.mark.cluster

PAGE = {
    "intervals": {"scrape": "500ms", "rules": "500ms", "federation": {"floor": "1s", "regional": "1s", "global": "1s"}},
    "alerting": {"after": "1500ms"},
    "destinations": {
        "nowhere": {
            "kind": "generic",
            "url": "https://nowhere.example/push",
            "senders": "hub",
            "auth": {"bearer": {"secret": "nowhere"}},
        }
    },
    "clusters": {
        "hub": {"tier": "global", "context": "hub"},
        "eu-1": {"tier": "leaf", "context": "eu-1"},
        "shop-1": {"tier": "edge", "context": "shop-1"},
    },
}


@pytest.fixture
def plan() -> Plan:
    return compile_page(read_page(PAGE, {}))


@pytest.fixture
def hub(plan: Plan, tmp_path: Path) -> Iterator[Parent]:
    """It receives, and scrapes itself as the chart has it; whom it writes to and what it alerts is not there."""
    targets = tmp_path / "own.json"
    targets.write_text("[]")
    job = {
        "job_name": PROMETHEUS,
        "scrape_interval": "500ms",
        "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}],
    }
    absent, refusing = free_ports(2)
    further = {
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{absent}"]}]}]},
        "remote_write": [
            {
                "url": f"http://127.0.0.1:{refusing}/api/v1/write",
                "name": "nowhere",
                "write_relabel_configs": [{"action": "keep", "source_labels": ["__name__"], "regex": "up"}],
                "queue_config": {"batch_send_deadline": "500ms"},
            }
        ],
    }
    with parent(plan, [job], tmp_path, "--web.enable-remote-write-receiver", further=further) as found:
        own = f"127.0.0.1:{found.client.base_url.port}"
        targets.write_text(f'[{{"targets": ["{own}"], "labels": {{"namespace": "monitoring"}}}}]')
        yield found


def firing(hub: Parent) -> set[str]:
    return {each["alertname"] for each in hub.firing()}


def test_a_sample_that_contradicts_another_is_alerted_by_its_receiver(hub: Parent) -> None:
    now = time.time()

    def refused() -> bool:
        sample = {"__name__": "http_requests_total", "cluster": "shop-1", "job": "shop"}
        answers = [
            hub.client.post("/api/v1/write", content=written(sample, now, value), headers=HEADERS).status_code
            for value in (1.0, 2.0)
        ]
        assert answers[1] == 400
        return "RemoteWriteRejected" in firing(hub)

    assert "RemoteWriteRejected" not in firing(hub)
    eventually(refused, "an alert", seconds=30)


def test_what_cannot_be_written_or_told_is_alerted_by_who_cannot(hub: Parent) -> None:
    expected = {"RemoteWriteBehind", "RemoteWriteSamplesRetried", "AlertsDropped"}
    eventually(lambda: firing(hub) >= expected, f"{expected}", seconds=40)


NEEDS_AN_EVENT = {
    "prometheus_remote_storage_histograms_dropped_total": "there are no native histograms",
}
"""Told once something has happened that does not happen here, by the reason why."""


def test_everything_that_alerts_read_of_monitors_is_told_by_real_ones(hub: Parent, plan: Plan, tmp_path: Path) -> None:
    rules = [rule for each in plan.clusters.values() for group in alert_groups(plan, each) for rule in group.rules]
    read = {name for rule in rules for name in metric_names(promql_parser.parse(str(rule["expr"])))}
    of_monitors = {name for name in read if re.match(r"(prometheus|alertmanager|reloader)_", name)}
    assert len(of_monitors) > 30
    eventually(lambda: hub.query("prometheus_remote_storage_samples_dropped_total"), "what is kept from leaving")
    told = {*_names(hub.client.get("/metrics").text), *_of_alertmanager(tmp_path)}
    # The operator and its reloader tell nothing without an API server; the names stand in their binaries.
    binaries = b"".join(
        Path(shutil.which(each) or each).read_bytes() for each in ("operator", "prometheus-config-reloader")
    )
    untold = {name for name in of_monitors - told if name.encode() not in binaries}
    assert untold == NEEDS_AN_EVENT.keys()


def _names(exposition: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\w+) ", exposition, re.MULTILINE))


def _of_alertmanager(folder: Path) -> set[str]:
    config = {"route": {"receiver": "hook"}, "receivers": [{"name": "hook", "webhook_configs": [{"url": "http://x"}]}]}
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(config))
    (port,) = free_ports(1)
    command = ["alertmanager", f"--config.file={folder / 'alertmanager.yaml'}", f"--storage.path={folder / 'alerts'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        try:
            return _names(eventually(lambda: _text(client), "metrics"))
        finally:
            process.kill()


def _text(client: httpx.Client) -> str:
    try:
        return client.get("/metrics").text
    except httpx.HTTPError:
        return ""
