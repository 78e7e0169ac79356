"""A real Prometheus on loopback, with the scrape jobs and the alerts that the plan gives the global cluster."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import httpx
import yaml

from fleet.alerts import alert_groups
from fleet.duration import format_duration
from fleet.plan import ClusterPlan, Plan
from fleet.scrape import Job
from fleet.values import chart_values
from local.api_server import free_ports


@dataclass(frozen=True)
class Parent:
    client: httpx.Client
    process: int
    """Its id."""

    def get(self, path: str, **params: str) -> Any:
        return self.client.get(path, params=params).raise_for_status().json()["data"]

    def query(self, promql: str) -> list[Any]:
        return self.get("/api/v1/query", query=promql)["result"]

    def firing(self) -> list[dict[str, str]]:
        """Labels of the alerts that fire now."""
        return [each["labels"] for each in self.get("/api/v1/alerts")["alerts"] if each["state"] == "firing"]

    def scrapes(self, job: str) -> list[tuple[float, str]]:
        """(Unix time, `up`) of the scrapes of the last five minutes."""
        return [tuple(value) for series in self.query(f'up{{job="{job}"}}[5m]') for value in series["values"]]

    def metric(self, name: str) -> float:
        """One of its own, as it is now."""
        lines = self.client.get("/metrics").raise_for_status().text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def resident(self) -> int:
        """Bytes in memory."""
        status = Path(f"/proc/{self.process}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


_T = TypeVar("_T")


def eventually(ask: Callable[[], _T], what: str, seconds: float = 20) -> _T:
    """The first answer that is not empty."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def parent(
    plan: Plan,
    jobs: Sequence[Job],
    folder: Path,
    *flags: str,
    further: Mapping[str, object] = MappingProxyType({}),
    port: int | None = None,
) -> Iterator[Parent]:
    """`folder` exists; Prometheus writes everything into it. `further` is laid over its configuration."""
    hub = plan.clusters["hub"]
    (folder / "alerts.yaml").write_text(yaml.safe_dump({"groups": [each.spec() for each in alert_groups(plan, hub)]}))
    evaluation = format_duration(hub.rule_interval)
    config = {
        "global": {"external_labels": dict(hub.external_labels), "evaluation_interval": evaluation},
        "rule_files": [str(folder / "alerts.yaml")],
        "scrape_configs": list(jobs),
        "storage": {"tsdb": _tsdb(hub)},
        **further,
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = port or free_ports(1)[0]
    command = ["prometheus", f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", *flags]
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client,
    ):
        try:
            eventually(lambda: process.poll() is not None or _is_ready(client), "ready")
            assert process.poll() is None, log.read_text()
            yield Parent(client, process.pid)
        finally:
            process.kill()


def _tsdb(cluster: ClusterPlan) -> dict[str, float | str]:
    """What the operator makes of the chart's values."""
    spec: Any = cast("Any", chart_values(cluster))["prometheus"]["prometheusSpec"]
    found = spec.get("additionalConfig", {}).get("tsdb", {})
    named = {
        "staleSeriesCompactionThreshold": ("stale_series_compaction_threshold", float),
        "outOfOrderTimeWindow": ("out_of_order_time_window", str),
    }
    return {name: kind(found[key]) for key, (name, kind) in named.items() if key in found}


def _is_ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return client.get("/-/ready").is_success
    return False
