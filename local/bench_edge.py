"""What an edge costs at a given size, and what becomes of its samples while it is cut off from the global cluster.

A real agent scrapes a made-up cluster and writes to a real Prometheus, which ends for a while; both have what the plan
gives them, but for the gateway between them.
"""

import contextlib
import os
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table

from fleet.compiler import compile_page
from fleet.duration import format_duration
from fleet.page import read_page
from fleet.plan import Plan
from local import environment, toolchain
from local.api_server import free_ports
from local.arrivals import COUNTING, LATEST, Place, arrived, is_ready, missing, taken_between_scrapes, taken_by
from local.made_up import made_up, scrape_configs, serving
from local.markdown import machine, table
from local.progress import step
from local.prometheus import RECEIVING, prometheus, remote_write, taking_late, wait_until
from local.usage import cpu_seconds, peak_memory

SERIES = 10_000
CUT_OFF = timedelta(hours=1)
SCRAPE = timedelta(seconds=30)

_HUB, _EDGE = "hub", "shop-1"


@dataclass(frozen=True)
class Report:
    series: int
    rate: float
    """Samples per second that the agent takes in."""
    cut_off: timedelta
    busy: float
    """Processors in use by the agent while it is not cut off."""
    resident: int
    """Bytes of its memory at its peak."""
    log: float
    """Bytes that it keeps for each sample."""
    caught_up: float
    """Seconds, from the receiver's return until it has whatever was held up."""
    missing: int
    """Samples that never arrived."""
    load: float

    @property
    def pace(self) -> float:
        """How many times the live rate arrived meanwhile."""
        return (self.cut_off.total_seconds() + self.caught_up) / self.caught_up


def bench(series: int = SERIES, cut_off: timedelta = CUT_OFF, scrape: timedelta = SCRAPE) -> Report:
    """Raises LocalError."""
    environment.put_first(toolchain.ensure(("prometheus",)))
    plan = _plan(series)
    with TemporaryDirectory() as name, serving(made_up(series)) as targets:
        hub, edge = (
            Place(Path(name) / cluster, port) for cluster, port in zip((_HUB, _EDGE), free_ports(2), strict=True)
        )
        config = _edge_config(plan, targets, scrape, hub.port)
        with prometheus(edge.folder, edge.port, "--agent", f"--storage.agent.path={_LOG}", config=config) as agent:
            with _receiving(plan, hub):
                wait_until(lambda: (arrived(hub, _window(cut_off)) or 0) > 0, "the first samples arrive", within=LATEST)
                used, taken, began = cpu_seconds(agent.pid), taken_by(edge), time.monotonic()
                with step(f"{_TURNS * scrape.total_seconds():.0f} s of scrapes"):
                    time.sleep(_TURNS * scrape.total_seconds())
                passed = time.monotonic() - began
                busy, rate = (cpu_seconds(agent.pid) - used) / passed, (taken_by(edge) - taken) / passed
            with step(f"{cut_off.total_seconds():.0f} s without a receiver"):
                time.sleep(cut_off.total_seconds())
            taken, at = taken_between_scrapes(edge, scrape)
            kept = sum(each.stat().st_size for each in (edge.folder / _LOG).rglob("*") if each.is_file())
            with _receiving(plan, hub), step("what was held up arrives") as progress:
                back = time.monotonic()
                lacking = missing(hub, _window(cut_off), taken, at)
                caught_up = time.monotonic() - back
                progress.detail = f"{taken - lacking:.0f} samples"
            return Report(
                series,
                rate,
                cut_off,
                busy,
                peak_memory(agent.pid),
                kept / taken,
                caught_up,
                round(lacking),
                os.getloadavg()[1],
            )


def _plan(series: int) -> Plan:
    clusters: dict[str, object] = {
        _HUB: {"tier": "global", "context": _HUB},
        _EDGE: {"tier": "edge", "context": _EDGE, "series": series},
    }
    return compile_page(read_page({"clusters": clusters}))


_LOG = "log"
_TURNS = 4
"""Scrapes that the agent is watched for before it is cut off."""


@contextlib.contextmanager
def _receiving(plan: Plan, hub: Place) -> Generator[None]:
    """A receiver that is ready."""
    with prometheus(hub.folder, hub.port, RECEIVING, COUNTING, config=taking_late(plan.clusters[_HUB])):
        wait_until(lambda: is_ready(hub), "the receiver is ready")
        yield


def _edge_config(plan: Plan, targets: Mapping[str, int], scrape: timedelta, hub: int) -> Mapping[str, object]:
    (edge,) = plan.written_by(_EDGE)
    return {
        "global": {"scrape_interval": format_duration(scrape)},
        "scrape_configs": [*scrape_configs(targets)],
        "remote_write": [remote_write(hub, edge.queue)],
    }


def _window(cut_off: timedelta) -> timedelta:
    """That has all of the agent's samples in it."""
    return cut_off + timedelta(minutes=30)


def report_table(report: Report) -> Table:
    """Printed as Markdown, which is what docs/scale.md holds."""
    minutes = report.cut_off / timedelta(minutes=1)
    return table(
        f"{machine(report.load)}\nan agent of {report.series} series, {report.rate:.0f} samples per second",
        ["what", "seen"],
        [
            ["processors", f"{report.busy:.3f}"],
            ["memory", f"{report.resident / 2**20:.0f} MiB"],
            ["its log", f"{report.log:.1f} bytes per sample"],
            [f"{minutes:g} min without a receiver: caught up within", f"{report.caught_up:.0f} s"],
            ["that is, of the live rate", f"{report.pace:.0f} times"],
            ["samples missing", str(report.missing)],
        ],
    )
