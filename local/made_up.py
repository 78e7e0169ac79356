"""A made-up cluster for whoever measures, as what scrapes it sees it.

It has the metrics that rules read, of the names and labels that the real ones have, and beside them as many others as
cAdvisor, kube-state-metrics and node-exporter have of a pod or a node.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zlib import crc32

from fleet.page import Expected
from local.prometheus import ADDRESS

_SHAPE = Expected()

Lines = Sequence[tuple[str, float]]
"""Each series as it is written, and by about how much it grows in a second; zero for what is always one."""


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


_BYTES = 1000.0
"""As if memory and volumes grew."""
_FILLED = 300
"""Metrics of a node beside those that rules read; its collectors have about so many."""


def _node(number: int) -> Iterator[tuple[str, float]]:
    of = f'node="node-{number}",instance="10.0.0.{number}:9100"'
    for cpu in range(8):
        for mode in ("idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"):
            yield f'node_cpu_seconds_total{{{of},cpu="{cpu}",mode="{mode}"}}', 0.1
    for name in ("node_memory_MemTotal_bytes", "node_memory_MemAvailable_bytes"):
        yield f"{name}{{{of}}}", _BYTES
    for resource in ("cpu", "memory", "pods"):
        yield f'kube_node_status_allocatable{{{of},resource="{resource}"}}', 0
    yield f"kubelet_node_name{{{of}}}", 0
    for kind in ("available", "capacity"):
        yield (
            f'kubelet_volume_stats_{kind}_bytes{{{of},namespace="team-0",persistentvolumeclaim="data-{number}"}}',
            _BYTES,
        )
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
        yield f"container_memory_working_set_bytes{{{name},{inside}}}", _BYTES
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
    bounds = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")
    for place, bound in enumerate(bounds, start=1):
        yield f'http_request_duration_seconds_bucket{{{served},le="{bound}"}}', 9.0 * place / len(bounds)


def _values(lines: Lines) -> Callable[[float], str]:
    """The text of all of them at a time, each with a pace and a beginning of its own, as real ones have.

    If they were alike, compression would make nearly nothing of them.
    """
    constant = "".join(f"{line} 1\n" for line, pace in lines if not pace)
    own = [(line, pace, pace * (0.5 + _share("pace", line)), 1e6 * _share("beginning", line)) for line, pace in lines]
    whole = [(line, at, before) for line, pace, at, before in own if pace >= _WHOLE]
    parts = [(line, at, before) for line, pace, at, before in own if 0 < pace < _WHOLE]

    def text(now: float) -> str:
        counts = [f"{line} {int(at * (now + before))}\n" for line, at, before in whole]
        times = [f"{line} {at * (now + before):.3f}\n" for line, at, before in parts]
        return "".join([constant, *counts, *times])

    return text


def _share(of: str, line: str) -> float:
    """From 0 to 1, by chance, but of all buckets of one histogram the same: a higher one must not count less."""
    return crc32(f"{of} {line.partition(',le=')[0]}".encode()) / 2**32


_WHOLE = 0.2
"""Growth in a second from which on a series counts something."""


@contextlib.contextmanager
def serving(jobs: Mapping[str, Lines]) -> Generator[Mapping[str, int]]:
    """Ports by job."""
    texts = {job: _values(lines) for job, lines in jobs.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = texts[self.path.strip("/")](time.time() % 1e6)
            # Who scrapes may end meanwhile.
            with contextlib.suppress(OSError):
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


def scrape_configs(ports: Mapping[str, int]) -> Sequence[Mapping[str, object]]:
    """Of a Prometheus that scrapes what is served there."""
    return [
        {"job_name": job, "metrics_path": f"/{job}", "static_configs": [{"targets": [f"{ADDRESS}:{port}"]}]}
        for job, port in ports.items()
    ]
