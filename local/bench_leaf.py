"""What a leaf costs at a given size: a real Prometheus with a leaf's rules, which scrapes a made-up cluster.

The cluster has the metrics that rules read, of the names and labels that the real ones have, and beside them as many
others as cAdvisor, kube-state-metrics and node-exporter have of a pod or a node.
"""

import contextlib
import gzip
import http.client
import os
import statistics
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from rich.table import Table

from fleet.alerts import alert_groups
from fleet.compiler import compile_page
from fleet.gateway import match_query
from fleet.page import Expected, read_page
from fleet.plan import Plan
from fleet.rules import rule_groups
from local import environment, toolchain
from local.api_server import free_ports
from local.markdown import machine, table
from local.progress import step
from local.prometheus import ADDRESS, TIMEOUT, head_series, instant, prometheus, wait_until
from local.usage import cpu_seconds, peak_memory

SERIES = 200_000
WATCHED = timedelta(minutes=6)
"""Until rates over five minutes are whole, and a minute of turns more."""

_LEAF = "leaf-1"
_CLUSTERS = {"hub": "global", _LEAF: "leaf"}
_TOOK = 'prometheus_rule_group_last_duration_seconds{job="kube-prometheus-stack-prometheus"}'
_SHAPE = Expected()
_ASKED_TIMES = 5


@dataclass(frozen=True)
class Answer:
    """Of `/federate`."""

    series: int
    size: int
    """Bytes."""
    compressed: int
    """Bytes as they travel."""
    seconds: float
    """Until it is there, at the median."""


@dataclass(frozen=True)
class Group:
    name: str
    interval: float
    """Seconds, as those that follow."""
    median: float
    longest: float


@dataclass(frozen=True)
class Report:
    series: int
    """In memory: those scraped and those recorded."""
    estimate: int
    """Series that the plan expects to go up."""
    federated: Answer
    everything: Answer
    """What a parent would get that asks for all."""
    groups: Sequence[Group]
    busy: float
    """Processors in use by Prometheus, over the time watched."""
    resident: int
    """Bytes of its memory at its peak."""
    load: float


def bench(series: int = SERIES, watched: timedelta = WATCHED) -> Report:
    """Raises LocalError."""
    tools = toolchain.ensure(("prometheus",))
    environment.enter({"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"})
    plan = compile_page(
        read_page(
            {"clusters": {"hub": {"tier": "global", "context": "hub"}, _LEAF: {"tier": "leaf", "context": _LEAF}}}
        )
    )
    (edge,) = plan.federations_of(_LEAF)
    (port,) = free_ports(1)
    with TemporaryDirectory() as name, _serving(made_up(series)) as targets:
        folder = Path(name)
        config = _config(plan, folder, targets, port)
        with prometheus(folder / "leaf", port, config=config) as process:
            with step(f"{series} series are scraped") as progress:
                wait_until(lambda: _held(port) >= series, f"{series} series are there", within=180)
                progress.detail = f"{_held(port)} in memory"
            # Its time is zero until a group has had its first turn, which Prometheus puts anywhere in its interval.
            with step("each group of rules has its first turn"):
                wait_until(lambda: _all_have_run(port), "each group has run", within=180)
            before, began = cpu_seconds(process.pid), time.monotonic()
            with step(f"{watched.total_seconds():.0f} s of rules"):
                time.sleep(watched.total_seconds())
            busy = (cpu_seconds(process.pid) - before) / (time.monotonic() - began)
            federated, everything = _answer(port, edge.matches), _answer(port, ['{__name__=~".+"}'])
            groups = _groups(port, watched)
            # At the end, as it grows while rules begin to record.
            return Report(
                _held(port),
                edge.estimate,
                federated,
                everything,
                groups,
                busy,
                peak_memory(process.pid),
                os.getloadavg()[1],
            )


def _config(plan: Plan, folder: Path, targets: Mapping[str, int], port: int) -> Mapping[str, object]:
    leaf = plan.clusters[_LEAF]
    groups = [each.spec() for each in (*rule_groups(leaf), *alert_groups(plan, leaf))]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    ports = {**targets, "kube-prometheus-stack-prometheus": port}
    return {
        "global": {"scrape_interval": f"{leaf.scrape_interval.total_seconds():.0f}s"},
        "rule_files": [str(folder / "rules.yaml")],
        "scrape_configs": [
            {
                "job_name": job,
                "honor_labels": True,
                "metrics_path": f"/{job}" if job in targets else "/metrics",
                "static_configs": [{"targets": [f"{ADDRESS}:{each}"], "labels": {"namespace": "monitoring"}}],
            }
            for job, each in ports.items()
        ],
    }


# The cluster that is made up

Lines = Sequence[tuple[str, float]]
"""Each series as it is written, and by how much it grows in a second; zero for a gauge."""


def made_up(series: int) -> Mapping[str, Lines]:
    """By job. As many pods as make up that many series."""
    nodes = [line for number in range(_SHAPE.nodes) for line in _node(number)]
    first = [*_pod(0)]
    pods = max(1, -(-(series - len(nodes)) // len(first)))
    return {
        "node-exporter": nodes,
        "apiserver": [
            (f'apiserver_request_total{{verb="{verb}",code="200"}}', 5.0) for verb in ("GET", "PUT", "WATCH")
        ],
        "pods": [line for number in range(pods) for line in _pod(number)],
    }


_FILLED = 300
"""Metrics of a node beside those that rules read; its collectors have about so many."""


def _node(number: int) -> Iterator[tuple[str, float]]:
    of = f'node="node-{number}",instance="10.0.0.{number}:9100"'
    for cpu in range(8):
        for mode in ("idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"):
            yield f'node_cpu_seconds_total{{{of},cpu="{cpu}",mode="{mode}"}}', 0.1
    for name in ("node_memory_MemTotal_bytes", "node_memory_MemAvailable_bytes"):
        yield f"{name}{{{of}}}", 0
    for resource in ("cpu", "memory", "pods"):
        yield f'kube_node_status_allocatable{{{of},resource="{resource}"}}', 0
    yield f"kubelet_node_name{{{of}}}", 0
    for kind in ("available", "capacity"):
        yield f'kubelet_volume_stats_{kind}_bytes{{{of},namespace="team-0",persistentvolumeclaim="data-{number}"}}', 0
    for other in range(_FILLED):
        yield f"node_other_{other}_total{{{of}}}", 1.0


def _pod(number: int) -> Iterator[tuple[str, float]]:
    namespace = number % _SHAPE.namespaces
    service = number // _SHAPE.namespaces % _SHAPE.services
    name = f'namespace="team-{namespace}",pod="service-{service}-{number}"'
    of = f'{name},uid="00000000-0000-0000-0000-{number:012}"'
    node = f'node="node-{number % _SHAPE.nodes}"'
    # cAdvisor: the pod's cgroup, its sandbox, and its container.
    for inside in ('container="",image=""', 'container="",image="pause"', f'container="service-{service}",image="app"'):
        yield f"container_cpu_usage_seconds_total{{{name},{inside}}}", 0.05
        yield f"container_memory_working_set_bytes{{{name},{inside}}}", 0
        for other in range(18):
            yield f"container_other_{other}_total{{{name},{inside}}}", 1.0
    # kube-state-metrics
    yield f"kube_pod_info{{{of},{node}}}", 0
    for phase in ("Pending", "Running", "Succeeded", "Failed", "Unknown"):
        yield f'kube_pod_status_phase{{{of},phase="{phase}"}}', 0
    for condition in ("true", "false", "unknown"):
        yield f'kube_pod_status_ready{{{of},condition="{condition}"}}', 0
    for resource in ("cpu", "memory"):
        yield f'kube_pod_container_resource_requests{{{of},{node},container="app",resource="{resource}"}}', 0
    yield f'kube_pod_container_status_restarts_total{{{of},container="app"}}', 0
    for other in range(25):
        yield f"kube_pod_other_{other}{{{of}}}", 0
    # Its own
    served = f'{name},service="service-{service}"'
    for code in ("200", "404", "500"):
        yield f'http_requests_total{{{served},code="{code}"}}', 3.0
    for bound in ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"):
        yield f'http_request_duration_seconds_bucket{{{served},le="{bound}"}}', 3.0


@contextlib.contextmanager
def _serving(jobs: Mapping[str, Lines]) -> Generator[Mapping[str, int]]:
    """Ports by job."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            passed = time.time() % 1_000_000
            text = "".join(f"{line} {pace * passed if pace else 1}\n" for line, pace in jobs[self.path.strip("/")])
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base class)
            """Nobody reads it."""

    with ThreadingHTTPServer((ADDRESS, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield dict.fromkeys(jobs, server.server_port)
        finally:
            server.shutdown()
            thread.join()


# What is measured


def _held(port: int) -> int:
    with contextlib.suppress(OSError):
        return head_series(port)
    return 0


def _all_have_run(port: int) -> bool:
    took = instant(port, _TOOK)
    return bool(took) and all(seconds for _, seconds in took)


def _answer(port: int, matches: Sequence[str]) -> Answer:
    took: list[float] = []
    compressed = b""
    with contextlib.closing(http.client.HTTPConnection(ADDRESS, port, timeout=TIMEOUT)) as connection:
        for _ in range(_ASKED_TIMES):
            started = time.perf_counter()
            connection.request("GET", f"/federate?{match_query(matches)}", headers={"Accept-Encoding": "gzip"})
            compressed = connection.getresponse().read()
            took.append(time.perf_counter() - started)
    text = gzip.decompress(compressed)
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    return Answer(series, len(text), len(compressed), statistics.median(took))


def _groups(port: int, watched: timedelta) -> list[Group]:
    window = f"[{watched.total_seconds():.0f}s:15s]"

    def by_group(promql: str) -> dict[str, float]:
        return {labels["rule_group"].rpartition(";")[2]: value for labels, value in instant(port, promql)}

    medians = by_group(f"quantile_over_time(0.5, {_TOOK}{window})")
    longest = by_group(f"max_over_time({_TOOK}{window})")
    intervals = by_group(_TOOK.replace("last_duration", "interval"))
    return [Group(name, intervals[name], medians[name], longest[name]) for name in sorted(medians)]


def report_tables(report: Report) -> list[Table]:
    """Printed as Markdown, which is what docs/scale.md holds."""
    answers = {"everything": report.everything, f"{_LEAF}'s edge": report.federated}
    return [
        table(
            f"{machine(report.load)}\n"
            f"a leaf of {report.series} series: {report.busy:.2f} processors, {report.resident / 2**20:.0f} MiB;"
            f" {report.estimate} are expected to go up",
            ["`/federate` of", "series", "of all", "KiB", "of all", "KiB with gzip", "of all", "seconds"],
            [
                [
                    name,
                    str(each.series),
                    f"{each.series / report.everything.series:.2%}",
                    f"{each.size / 1024:.0f}",
                    f"{each.size / report.everything.size:.2%}",
                    f"{each.compressed / 1024:.0f}",
                    f"{each.compressed / report.everything.compressed:.2%}",
                    f"{each.seconds:.2f}",
                ]
                for name, each in answers.items()
            ],
        ),
        table(
            "time that groups of rules take",
            ["group", "every", "median ms", "longest ms", "longest, of its interval"],
            [
                [
                    each.name,
                    f"{each.interval:.0f} s",
                    f"{each.median * 1000:.1f}",
                    f"{each.longest * 1000:.1f}",
                    f"{each.longest / each.interval:.2%}",
                ]
                for each in report.groups
            ],
        ),
    ]
