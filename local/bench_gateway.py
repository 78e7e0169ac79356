"""What a gateway costs: a Prometheus with TLS of its own beside one behind a real Caddy, asked in turns.

In turns, so that what others do on the machine hits both alike: believe the ratios before the figures.
"""

import contextlib
import gzip
import http.client
import os
import secrets
import ssl
import statistics
import threading
import time
from base64 import b64encode
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

import yaml
from rich.table import Table

from fleet.compiler import compile_page
from fleet.gateway import KeyPair, Tls, caddy_config, match_query
from fleet.names import GATEWAY_FACTS_PORT, GATEWAY_PORT, PROMETHEUS_PORT
from fleet.page import read_page
from fleet.plan import Edge, FederationEdge, Key, RemoteWriteEdge
from fleet.scrape import federation_job
from local import environment, pki, remote_write, toolchain
from local.api_server import free_ports
from local.errors import LocalError
from local.limited import caller, limited_gateway
from local.markdown import machine, table
from local.progress import step
from local.prometheus import ADDRESS, RECEIVING, TIMEOUT, instant, prometheus, samples, wait_until
from local.usage import cpu_seconds, peak_memory

SIZES = (2_000, 50_000)
"""Series of an answer of `/federate`: a leaf's, and a large region's."""
SAMPLES = 2_000
"""Of a remote write: what Prometheus sends at a time."""
SENDERS = 4
"""Connections that write at the same time, as a queue's shards do."""
INTERVAL = timedelta(seconds=1)
"""Between scrapes while wrong passwords come."""


_WARMED = 2
"""Requests of each round that do not count."""
_WATCH_SECONDS = 0.2
_MIB = 2**20


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int = 10
    requests: int = 20
    """Of each size and side in a round."""
    writes: int = 25
    """Of each sender and side in a round."""
    flood: timedelta = timedelta(seconds=30)
    """And as long before."""
    attackers: int = 100
    """Connections, each with a wrong password at any time."""
    sizes: Sequence[int] = SIZES


@dataclass(frozen=True)
class Times:
    """In seconds."""

    median: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Times":
        return cls(statistics.median(seconds), statistics.quantiles(seconds, n=100, method="inclusive")[-1])


@dataclass(frozen=True)
class Federation:
    series: int
    compressed: int
    """Bytes of the answer."""
    direct: Times
    behind: Times


@dataclass(frozen=True)
class Writing:
    """Of one side, all rounds together."""

    samples: int
    seconds: float
    cpu: Mapping[str, float]
    """Seconds of processor time by program."""

    @property
    def throughput(self) -> float:
        return self.samples / self.seconds


@dataclass(frozen=True)
class Watch:
    """What right callers see in a while."""

    planned: int
    """Scrapes by the schedule; the one at its edge may lie outside."""
    done: int
    failed: int
    scrapes: Times
    queries: Times
    """Of the Prometheus itself, not by way of the gateway."""


@dataclass(frozen=True)
class Flood:
    attackers: int
    before: Watch
    during: Watch
    refused: int
    """Wrong passwords that were answered."""
    seconds: float
    resident: int
    """Bytes of the gateway's memory at its peak."""


@dataclass(frozen=True)
class Report:
    federation: Sequence[Federation]
    direct: Writing
    behind: Writing
    write_ratios: Sequence[float]
    """Throughput behind the gateway by direct throughput, of each round."""
    flood: Flood
    load: float
    """Of the machine, over the last five minutes."""


def bench(effort: Effort) -> Report:
    """Raises LocalError."""
    environment.put_first(toolchain.ensure(("caddy", "prometheus")))
    with TemporaryDirectory() as name, _sides(Path(name), effort.sizes) as sides:
        federation = [_federation(sides, size, effort) for size in effort.sizes]
        direct, behind, ratios = _writing(sides, effort)
        with step(f"{effort.attackers} connections with wrong passwords"):
            flood = _flood(sides, effort)
    return Report(federation, direct, behind, ratios, flood, os.getloadavg()[1])


# The two sides


@dataclass(frozen=True)
class _Side:
    port: int
    programs: Mapping[str, Popen[bytes]]
    passwords: Mapping[str, str]
    """By user."""

    def headers(self, edge: Edge) -> dict[str, str]:
        password = self.passwords.get(edge.caller)
        return _authorization(edge.caller, password) if password is not None else {}

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time so far."""
        return {name: cpu_seconds(program.pid) for name, program in self.programs.items()}


@dataclass(frozen=True)
class _Sides:
    folder: Path
    direct: _Side
    behind: _Side
    prometheus_port: int
    """Without TLS, of the one behind the gateway."""
    federation: FederationEdge
    write: RemoteWriteEdge

    @property
    def both(self) -> tuple[_Side, _Side]:
        return self.direct, self.behind

    def connect(self, side: _Side) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.folder / "pki" / "ca.crt"))
        return http.client.HTTPSConnection(ADDRESS, side.port, timeout=TIMEOUT, context=context)


@contextlib.contextmanager
def _sides(folder: Path, sizes: Sequence[int]) -> Generator[_Sides]:
    """Both Prometheuses and the gateway, with certificates of one kind."""
    pki.ensure(folder / "pki", "bench", ADDRESS)
    served, key = (folder / "pki" / f"apiserver.{kind}" for kind in ("crt", "key"))
    web = folder / "web.yaml"
    web.write_text(yaml.safe_dump({"tls_server_config": {"cert_file": str(served), "key_file": str(key)}}))
    direct, behind, port, facts = free_ports(4)
    federation, write = _edges(sizes)
    passwords = {edge.caller: secrets.token_hex(16) for edge in (federation, write)}
    tls = Tls([KeyPair(served.read_text(), key.read_text())], [])
    config = caddy_config([caller(edge, passwords[edge.caller]) for edge in (federation, write)], tls)
    ports = {PROMETHEUS_PORT: behind, GATEWAY_PORT: port, GATEWAY_FACTS_PORT: facts}
    with (
        prometheus(folder / "direct", direct, RECEIVING, f"--web.config.file={web}") as one,
        prometheus(folder / "behind", behind, RECEIVING) as other,
        limited_gateway(folder / "gateway", config, ports) as caddy,
    ):
        sides = _Sides(
            folder,
            _Side(direct, {"prometheus": one}, {}),
            _Side(port, {"prometheus": other, "gateway": caddy}, passwords),
            behind,
            federation,
            write,
        )
        for side in sides.both:
            wait_until(lambda side=side: _is_up(sides, side), f"port {side.port} answers")
        yield sides


def _edges(sizes: Sequence[int]) -> tuple[FederationEdge, RemoteWriteEdge]:
    extra = [{"match": _match(size), "reason": "measured", "series": size} for size in sizes]
    clusters = {
        "hub": {"tier": "global", "context": "hub"},
        "leaf-1": {"tier": "leaf", "context": "leaf-1", "budget": 2 * sum(sizes) + 4000},
        "shop-1": {"tier": "edge", "context": "shop-1"},
    }
    keep = [f"bench:of_{size}" for size in sizes]
    plan = compile_page(read_page({"keep": keep, "federate": extra, "clusters": clusters}, {}))
    (federation,), (write,) = plan.federations_of("leaf-1"), plan.remote_write
    # The second generation is the first of which three are accepted: that is what a wrong password costs most.
    return replace(federation, key=Key(generation=2)), replace(write, key=Key(generation=2))


def _match(size: int) -> str:
    return f'{{__name__="bench:of_{size}"}}'


def _is_up(sides: _Sides, side: _Side) -> bool:
    with contextlib.suppress(OSError), contextlib.closing(sides.connect(side)) as connection:
        connection.request(
            "GET", f"/federate?{match_query(sides.federation.matches)}", headers=side.headers(sides.federation)
        )
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def _authorization(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def _ask(
    connection: http.client.HTTPSConnection, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> bytes:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if not answer.status < http.HTTPStatus.MULTIPLE_CHOICES:
        raise LocalError(f"{method} {path} is answered with {answer.status}: {content[:200]!r}")
    return content


# Federation


def _federation(sides: _Sides, size: int, effort: Effort) -> Federation:
    path = f"/federate?{match_query([_match(size)])}"
    seconds: dict[int, list[float]] = {side.port: [] for side in sides.both}
    compressed = 0
    with contextlib.ExitStack() as closed, step(f"/federate of {size} series") as progress:
        connections = [(side, closed.enter_context(contextlib.closing(sides.connect(side)))) for side in sides.both]
        for _ in range(effort.rounds):
            for side, connection in connections:
                _fill(sides, side, connection, size)
                for _ in range(_WARMED):
                    _ask(connection, "GET", path, None, _scrape_headers(sides, side))
                answer = _ask(connection, "GET", path, None, _scrape_headers(sides, side))
                if (served := gzip.decompress(answer).count(b"\nbench:")) != size:
                    raise LocalError(f"{path} has {served} samples")
            for _ in range(effort.requests):
                for side, connection in connections:
                    headers = _scrape_headers(sides, side)
                    started = time.perf_counter()
                    compressed = len(_ask(connection, "GET", path, None, headers))
                    seconds[side.port].append(time.perf_counter() - started)
        direct, behind = (Times.of(seconds[side.port]) for side in sides.both)
        progress.detail = f"{behind.median / direct.median:.2f} of direct"
    return Federation(size, compressed, direct, behind)


def _scrape_headers(sides: _Sides, side: _Side) -> dict[str, str]:
    return {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "gzip", **side.headers(sides.federation)}


def _fill(sides: _Sides, side: _Side, connection: http.client.HTTPSConnection, size: int) -> None:
    """`/federate` serves what has a sample of the last five minutes."""
    for start in range(0, size, SAMPLES):
        series = [remote_write.encoded(_recorded(size, number)) for number in range(start, min(start + SAMPLES, size))]
        _write(sides, side, connection, remote_write.request(series, time.time() % 1000, round(time.time() * 1000)))


def _recorded(size: int, number: int) -> dict[str, str]:
    return {
        "__name__": f"bench:of_{size}",
        "cluster": "leaf-1",
        "namespace": f"team-{number % 40}",
        "workload": f"deployment-{number // 40}",
    }


# Remote write


def _write(sides: _Sides, side: _Side, connection: http.client.HTTPSConnection, body: bytes) -> None:
    _ask(connection, "POST", "/api/v1/write", body, {**remote_write.HEADERS, **side.headers(sides.write)})


def _writing(sides: _Sides, effort: Effort) -> tuple[Writing, Writing, list[float]]:
    queues = [
        [remote_write.encoded(_scraped(sender, number)) for number in range(SAMPLES)] for sender in range(SENDERS)
    ]
    seconds: dict[int, list[float]] = {side.port: [] for side in sides.both}
    cpu = {side.port: dict.fromkeys(side.programs, 0.0) for side in sides.both}
    first = round(time.time() * 1000) - 30 * 60 * 1000
    with (
        contextlib.ExitStack() as closed,
        ThreadPoolExecutor(SENDERS) as threads,
        step(f"remote write of {SENDERS} senders") as progress,
    ):
        connections = {
            side.port: [closed.enter_context(contextlib.closing(sides.connect(side))) for _ in queues]
            for side in sides.both
        }

        def turn(side: _Side, bodies: Sequence[Sequence[bytes]]) -> float:
            def send(connection: http.client.HTTPSConnection, own: Sequence[bytes]) -> None:
                for body in own:
                    _write(sides, side, connection, body)

            started = time.perf_counter()
            list(threads.map(send, connections[side.port], bodies))
            return time.perf_counter() - started

        for number in range(effort.rounds + 1):
            times = range(first + number * effort.writes * 500, first + (number + 1) * effort.writes * 500, 500)
            bodies = [[remote_write.request(queue, at % 997, at) for at in times] for queue in queues]
            for side in sides.both if number % 2 else reversed(sides.both):
                before = side.cpu()
                took = turn(side, bodies)
                if number:  # the first makes the series and the connections
                    seconds[side.port].append(took)
                    for program, used in side.cpu().items():
                        cpu[side.port][program] += used - before[program]
        sent = effort.rounds * effort.writes * SENDERS * SAMPLES
        direct, behind = (Writing(sent, sum(seconds[side.port]), cpu[side.port]) for side in sides.both)
        ratios = [one / other for one, other in zip(*(seconds[side.port] for side in sides.both), strict=True)]
        progress.detail = f"{statistics.median(ratios):.2f} of direct"
    return direct, behind, ratios


def _scraped(sender: int, number: int) -> dict[str, str]:
    return {
        "__name__": f"http_requests_{number % 20}_total",
        "cluster": "shop-1",
        "container": "app",
        "endpoint": "http",
        "instance": f"10.{sender}.{number // 250}.{number % 250}:8080",
        "job": f"team-{number % 7}/app",
        "namespace": f"team-{number % 7}",
        "pod": f"app-{sender}-{number // 20}-x2x4z",
        "service": "app",
    }


# Wrong passwords


@dataclass
class _Attack:
    """Wrong passwords of a right user, never the same one twice: Caddy remembers what it has refused."""

    sides: _Sides
    attackers: int
    refused: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def going_on(self) -> Generator[None]:
        threads = [threading.Thread(target=self._guess) for _ in range(self.attackers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _guess(self) -> None:
        user = self.sides.federation.caller
        path = f"/federate?{match_query(self.sides.federation.matches)}"
        while not self._ended.is_set():
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                contextlib.closing(self.sides.connect(self.sides.behind)) as connection,
            ):
                while not self._ended.is_set():
                    connection.request("GET", path, headers=_authorization(user, secrets.token_hex(16)))
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status == http.HTTPStatus.UNAUTHORIZED:
                        self.refused += 1


def _flood(sides: _Sides, effort: Effort) -> Flood:
    size = min(effort.sizes)
    folder = sides.folder / "keys"
    folder.mkdir()
    extra = tuple(each for each in sides.federation.extra if each.match == _match(size))
    edge = replace(sides.federation, extra=extra, interval=INTERVAL, timeout=INTERVAL)
    (folder / "password").write_text(sides.behind.passwords[edge.caller])
    job = {
        **federation_job(edge, f"{ADDRESS}:{sides.behind.port}"),
        "basic_auth": {"username": edge.caller, "password_file": str(folder / "password")},
        "tls_config": {"ca_file": str(sides.folder / "pki" / "ca.crt")},
    }
    (port,) = free_ports(1)
    with (
        contextlib.closing(sides.connect(sides.behind)) as connection,
        prometheus(sides.folder / "parent", port, config={"scrape_configs": [job]}),
    ):
        _fill(sides, sides.behind, connection, size)
        wait_until(lambda: _is_scraped(port, edge), "the parent scrapes")
        attack = _Attack(sides, effort.attackers)
        before = _watch(sides, port, edge, effort.flood)
        with attack.going_on():
            started = time.monotonic()
            during = _watch(sides, port, edge, effort.flood)
            refused, seconds = attack.refused, time.monotonic() - started
    return Flood(effort.attackers, before, during, refused, seconds, peak_memory(sides.behind.programs["gateway"].pid))


def _is_scraped(parent: int, edge: FederationEdge) -> bool:
    with contextlib.suppress(OSError):
        return len(instant(parent, f"up{{{edge.target}}} == 1")) > 0
    return False


def _watch(sides: _Sides, parent: int, edge: FederationEdge, duration: timedelta) -> Watch:
    queries: list[float] = []
    seconds = duration.total_seconds()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        started = time.perf_counter()
        instant(sides.prometheus_port, f"count({edge.extra[0].match})")
        queries.append(time.perf_counter() - started)
        time.sleep(_WATCH_SECONDS)
    (up,) = samples(parent, f"up{{{edge.target}}}[{seconds:.0f}s]")
    (took,) = samples(parent, f"scrape_duration_seconds{{{edge.target}}}[{seconds:.0f}s]")
    failed = sum(value != 1 for value in up)
    scrapes = Times.of(took)
    return Watch(duration // INTERVAL, len(took), failed, scrapes, Times.of(queries))


def report_tables(report: Report) -> list[Table]:
    """Printed as Markdown, which is what docs/gateway.md holds."""
    return [
        table(
            machine(report.load),
            ["`/federate`, series", "KiB", "direct, median ms", "p99", "gateway, median ms", "p99", "median, ratio"],
            [
                [
                    str(each.series),
                    f"{each.compressed / 1024:.0f}",
                    *_milliseconds(each.direct),
                    *_milliseconds(each.behind),
                    f"{each.behind.median / each.direct.median:.2f}",
                ]
                for each in report.federation
            ],
        ),
        table(
            f"remote write, throughput by the gateway {statistics.median(report.write_ratios):.2f} of direct"
            f" (median of {len(report.write_ratios)} rounds, {min(report.write_ratios):.2f} to"
            f" {max(report.write_ratios):.2f})",
            ["remote write", "samples/s", "CPU ms per 1,000 samples", "of Prometheus", "of the gateway"],
            [
                [
                    name,
                    f"{side.throughput:.0f}",
                    f"{sum(side.cpu.values()) / side.samples * 1e6:.2f}",
                    *(
                        f"{side.cpu[program] / side.samples * 1e6:.2f}" if program in side.cpu else "-"
                        for program in ("prometheus", "gateway")
                    ),
                ]
                for name, side in (("direct", report.direct), ("gateway", report.behind))
            ],
        ),
        table(
            f"{report.flood.attackers} connections, {report.flood.refused / report.flood.seconds:.0f} wrong passwords"
            f" per second, {report.flood.resident / _MIB:.0f} MiB of the gateway at most",
            ["wrong passwords", "scrapes", "planned", "failed", "median ms", "p99", "query, median ms", "p99"],
            [
                [
                    name,
                    str(watch.done),
                    str(watch.planned),
                    str(watch.failed),
                    *_milliseconds(watch.scrapes),
                    *_milliseconds(watch.queries),
                ]
                for name, watch in (("before", report.flood.before), ("during", report.flood.during))
            ],
        ),
    ]


def _milliseconds(times: Times) -> tuple[str, str]:
    return f"{times.median * 1000:.1f}", f"{times.p99 * 1000:.1f}"
