"""What each way up costs: the series of one made-up cluster by federation, by remote write and by Thanos' sidecar.

One after the other. Each way has a leaf and a parent of its own, both real, with the settings that the plan gives them
but for the gateway between them; in its place stands a relay that counts what passes.
"""

import asyncio
import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Self

from rich.table import Table

from fleet.compiler import compile_page
from fleet.duration import format_duration
from fleet.page import QueueSettings, read_page
from fleet.plan import FederationEdge, Plan
from fleet.queues import queue
from local import environment, toolchain
from local.api_server import free_ports, running
from local.bench_leaf import LEAF, leaf_config
from local.made_up import made_up, serving
from local.markdown import machine, table
from local.progress import step
from local.prometheus import (
    ADDRESS,
    RECEIVING,
    head_series,
    held_series,
    instant,
    prometheus,
    remote_write,
    taking_late,
    wait_until,
)
from local.usage import cpu_seconds

SERIES = 100_000
WATCHED = timedelta(minutes=5)
SCRAPE = timedelta(seconds=30)

_PARENT = "eu"
_RAW, _RECORDED = "kube_pod_info", "cluster:namespace_cpu:sum"
"""Whose samples are timed: one series of each pod, and one of each namespace."""
_POLL = 0.25
_STARTS_WITHIN = 300.0


@dataclass(frozen=True)
class Cost:
    way: str
    series: int
    """That are known above."""
    wire: float
    """Bytes per second, headers and both directions included."""
    sender: float
    """Processors, beside what a leaf uses that nobody asks."""
    receiver: float
    median: float
    """Seconds from the time of a sample until it can be asked for above."""
    late: float
    """The same of the 99th of 100."""


@dataclass(frozen=True)
class Way:
    name: str
    probe: str
    writes: bool
    """Whether the leaf begins, and not its parent."""
    section: Callable[[int], Mapping[str, object]]
    """Of the configuration of who begins; the other side is found at this port."""


@dataclass(frozen=True)
class Asked:
    """What a Query above asks the leaf's sidecar for, once in each interval in which a parent would federate."""

    name: str
    probe: str
    selector: str


_ASKED = (
    Asked("a sidecar, asked for everything", _RAW, '{__name__=~".+"}'),
    Asked("a sidecar, asked for aggregates", _RECORDED, '{__name__=~"cluster:.+"}'),
)


def bench(series: int = SERIES, watched: timedelta = WATCHED, scrape: timedelta = SCRAPE) -> Sequence[Cost]:
    """Raises LocalError."""
    environment.put_first(toolchain.ensure(("prometheus", "thanos")))
    trial = _Trial(_plan(scrape), series, watched)
    with step("a leaf that nobody asks"):
        alone = trial.alone()
    costs: list[Cost] = []
    for way in _ways(trial.plan, series, scrape):
        with step(way.name):
            costs.append(trial.cost(way, alone))
    for asked in _ASKED:
        with step(asked.name):
            costs.append(trial.cost_asked(asked, alone))
    return costs


def _plan(scrape: timedelta) -> Plan:
    clusters = {
        "hub": {"tier": "global", "context": "hub"},
        _PARENT: {"tier": "regional", "region": "eu", "context": _PARENT},
        LEAF: {"tier": "leaf", "region": "eu", "context": LEAF, "up": "both"},
    }
    own, twice = format_duration(scrape), format_duration(2 * scrape)
    intervals = {"scrape": own, "rules": own, "federation": {"floor": twice, "regional": twice}}
    return compile_page(read_page({"intervals": intervals, "clusters": clusters}))


def _ways(plan: Plan, series: int, scrape: timedelta) -> Sequence[Way]:
    (edge,) = plan.federations_of(LEAF)
    raw = queue(series / scrape.total_seconds(), QueueSettings())

    def writing(message: str) -> Callable[[int], Mapping[str, object]]:
        return lambda port: {"remote_write": [{**remote_write(port, raw), "protobuf_message": message}]}

    def asking(matches: Sequence[str]) -> Callable[[int], Mapping[str, object]]:
        return lambda port: {"scrape_configs": [_federation(edge, matches, port)]}

    return [
        Way("federation of everything", _RAW, writes=False, section=asking(['{__name__=~".+"}'])),
        Way("federation of aggregates", _RECORDED, writes=False, section=asking(edge.matches)),
        Way("remote write 1.0 of everything", _RAW, writes=True, section=writing("prometheus.WriteRequest")),
        Way("remote write 2.0 of everything", _RAW, writes=True, section=writing("io.prometheus.write.v2.Request")),
    ]


def _federation(edge: FederationEdge, matches: Sequence[str], port: int) -> Mapping[str, object]:
    return {
        "job_name": "federate",
        "metrics_path": "/federate",
        "params": {"match[]": list(matches)},
        "honor_labels": True,
        "track_timestamps_staleness": True,
        "scrape_interval": format_duration(edge.interval),
        "scrape_timeout": format_duration(edge.timeout),
        "static_configs": [{"targets": [f"{ADDRESS}:{port}"]}],
    }


@dataclass(frozen=True)
class _Trial:
    plan: Plan
    series: int
    watched: timedelta

    def alone(self) -> float:
        """Processors that the leaf itself takes."""
        (port,) = free_ports(1)
        with (
            TemporaryDirectory() as name,
            serving(made_up(self.series)) as targets,
            prometheus(Path(name) / LEAF, port, config=leaf_config(self.plan, Path(name), targets, port)) as leaf,
        ):
            self._wait_for(port)
            with _used(leaf.pid) as used:
                time.sleep(self.watched.total_seconds())
        return used[0]

    def cost(self, way: Way, alone: float) -> Cost:
        below, above = free_ports(2)
        with (
            TemporaryDirectory() as name,
            serving(made_up(self.series)) as targets,
            _Relay(above if way.writes else below) as relay,
        ):
            section = way.section(relay.port)
            own, other = (section, _NOTHING) if way.writes else (_NOTHING, section)
            of_leaf = {**leaf_config(self.plan, Path(name), targets, below), **own}
            of_parent = {**taking_late(self.plan.clusters["hub"]), **other}
            with (
                prometheus(Path(name) / LEAF, below, config=of_leaf) as leaf,
                prometheus(Path(name) / _PARENT, above, RECEIVING, config=of_parent) as parent,
            ):
                self._wait_for(below)
                wait_until(lambda: bool(_times(above, way.probe)), "the first samples arrive", within=_STARTS_WITHIN)
                passed, began = relay.passed, time.monotonic()
                with _used(leaf.pid) as sender, _used(parent.pid) as receiver:
                    delays = _delays(above, way.probe, self.watched)
                wire = (relay.passed - passed) / (time.monotonic() - began)
                median, late = _shares(delays)
                return Cost(way.name, head_series(above), wire, max(0.0, sender[0] - alone), receiver[0], median, late)

    def cost_asked(self, asked: Asked, alone: float) -> Cost:
        below, sidecar_grpc, sidecar_http, query_grpc, above = free_ports(5)
        with (
            TemporaryDirectory() as name,
            serving(made_up(self.series)) as targets,
            _Relay(sidecar_grpc) as relay,
        ):
            folder = Path(name)
            with prometheus(folder / LEAF, below, config=leaf_config(self.plan, folder, targets, below)) as leaf:
                self._wait_for(below)
                of_leaf = (f"--prometheus.url=http://{ADDRESS}:{below}", f"--tsdb.path={folder / LEAF / 'data'}")
                with (
                    _thanos(folder, "sidecar", sidecar_grpc, sidecar_http, *of_leaf) as sidecar,
                    _thanos(folder, "query", query_grpc, above, f"--endpoint={ADDRESS}:{relay.port}") as query,
                ):
                    wait_until(lambda: bool(_times(above, asked.probe)), "it is answered", within=_STARTS_WITHIN)
                    passed, began = relay.passed, time.monotonic()
                    with _used(leaf.pid) as one, _used(sidecar.pid) as other, _used(query.pid) as receiver:
                        series = self._ask(above, asked.selector)
                    wire = (relay.passed - passed) / (time.monotonic() - began)
                    # Afterwards, as this asks by the same way.
                    median, late = _shares(_delays(above, asked.probe, self.watched))
        return Cost(asked.name, series, wire, max(0.0, one[0] + other[0] - alone), receiver[0], median, late)

    def _ask(self, port: int, selector: str) -> int:
        """How many series it was last."""
        (edge,) = self.plan.federations_of(LEAF)
        series = 0
        for _ in range(max(1, self.watched // edge.interval)):
            next_turn = time.monotonic() + edge.interval.total_seconds()
            ((_, count),) = instant(port, f"count({selector})")
            series = round(count)
            time.sleep(max(0.0, next_turn - time.monotonic()))
        return series

    def _wait_for(self, port: int) -> None:
        wait_until(lambda: held_series(port) >= self.series, f"{self.series} series are there", within=_STARTS_WITHIN)


_NOTHING: Mapping[str, object] = {}


@contextlib.contextmanager
def _thanos(folder: Path, part: str, grpc: int, http: int, *flags: str) -> Generator[Popen[bytes]]:
    own = folder / part
    own.mkdir()
    addresses = (f"--grpc-address={ADDRESS}:{grpc}", f"--http-address={ADDRESS}:{http}")
    with running(own, "thanos", part, *addresses, *flags) as process:
        yield process


def _shares(delays: Sequence[float]) -> tuple[float, float]:
    """The median, and the 99th of 100."""
    # The 99 values that part a hundred equal shares.
    found = statistics.quantiles(delays, n=100)
    return found[49], found[98]


@contextlib.contextmanager
def _used(pid: int) -> Generator[list[float]]:
    """Processors in use, once it has ended."""
    found: list[float] = []
    before, began = cpu_seconds(pid), time.monotonic()
    yield found
    found.append((cpu_seconds(pid) - before) / (time.monotonic() - began))


def _times(port: int, probe: str) -> dict[str, float]:
    """Of the newest sample of each series."""
    with contextlib.suppress(OSError):
        return {str(sorted(labels.items())): value for labels, value in instant(port, f"timestamp({probe})")}
    return {}


def _delays(port: int, probe: str, watched: timedelta) -> list[float]:
    """From the time of each new sample until it was there; some could not be seen, as others came after them."""
    known, delays = _times(port, probe), list[float]()
    deadline = time.monotonic() + watched.total_seconds()
    while time.monotonic() < deadline:
        time.sleep(_POLL)
        found, now = _times(port, probe), time.time()
        delays += [now - at for name, at in found.items() if at > known.get(name, at)]
        known |= found
    return delays


class _Relay:
    """Passes connections on, and counts their bytes; a thread of its own runs it."""

    def __init__(self, to: int) -> None:
        (self.port,) = free_ports(1)
        self._to = to
        self.passed = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._loop.run_until_complete(asyncio.start_server(self._relay, ADDRESS, self.port))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            below, above = await asyncio.open_connection(ADDRESS, self._to)
            await asyncio.gather(self._pass(reader, above), self._pass(below, writer))
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(2**16):
                self.passed += len(piece)
                writer.write(piece)
                await writer.drain()
        writer.close()


def report_table(costs: Sequence[Cost], load: float) -> Table:
    """Printed as Markdown, which is what docs/choosing.md holds."""
    most = costs[0].wire
    return table(
        machine(load),
        ["way up", "series", "KiB/s", "of all", "sender", "receiver", "p50 s", "p99 s"],
        [
            [
                each.way,
                str(each.series),
                f"{each.wire / 1024:.1f}",
                f"{each.wire / most:.2%}",
                f"{each.sender:.3f}",
                f"{each.receiver:.3f}",
                f"{each.median:.1f}",
                f"{each.late:.1f}",
            ]
            for each in costs
        ],
    )
