"""What becomes of samples when senders write twice what was expected, and their receiver can not take that much.

Real agents scrape a made-up cluster and write through a real gateway to a real Prometheus, which may use one and a half
times the processors that the expected rate has just been seen to take. After a while the rate is as expected again.
"""

import contextlib
import os
import re
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import repeat
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

import yaml
from rich.table import Table

from fleet.compiler import compile_page
from fleet.duration import format_duration
from fleet.gateway import KeyPair, Tls, caddy_config
from fleet.names import GATEWAY_FACTS_PORT, GATEWAY_PORT, PROMETHEUS_PORT
from fleet.page import QueueSettings, read_page
from fleet.plan import Plan, RemoteWriteEdge
from fleet.queues import OLDEST_SENT, queue
from local import environment, pki, toolchain
from local.api_server import free_ports, running
from local.arrivals import COUNTING, LATEST, Place, is_ready, missing, taken_between_scrapes, taken_by
from local.limited import caller, limited, limited_gateway
from local.made_up import made_up, scrape_configs, serving
from local.markdown import machine, table
from local.progress import step
from local.prometheus import ADDRESS, RECEIVING, Start, metrics, own, prometheus, remote_write, taking_late, wait_until
from local.usage import cpu_seconds

SENDERS = 80
"""More than may write at once, of which each has one shard."""
SERIES = 1_250
"""That each has."""
SCRAPE = timedelta(seconds=20)
"""As expected; overload scrapes twice as often."""
OVERLOAD = timedelta(minutes=10)

_HUB = "hub"
_ROOM = 1.5
"""Times the processors that the expected rate takes: enough for it, and too few for twice as much."""
_MEMORY = 4 * 2**30
_SEEN = 4
"""Scrapes for which a rate is watched."""
_STARTS_WITHIN = 120.0
_SETTLED = 60.0
"""Seconds of later samples that are there as well before one is taken for caught up."""
_CATCHES_UP_WITHIN = 4
"""Times as long as the overload took."""


@dataclass(frozen=True)
class Report:
    expected: float
    """Samples per second, of all senders together."""
    sent: float
    """The same during the overload, as they were scraped."""
    cpu: float
    """Processors that the receiver may use."""
    overload: timedelta
    answers: Mapping[int, int]
    """Of the gateway to writes meanwhile, by their status."""
    behind: float
    """Age in seconds of the newest sample, at the end of the overload, of the sender for whom it is oldest."""
    caught_up: float
    """Seconds after it until all senders had caught up."""
    missing: int
    """Samples that never arrived."""
    load: float


def bench(
    senders: int = SENDERS, series: int = SERIES, scrape: timedelta = SCRAPE, overload: timedelta = OVERLOAD
) -> Report:
    """Raises LocalError."""
    environment.put_first(toolchain.ensure(("caddy", "prometheus")))
    jobs = made_up(series)
    rate = sum(map(len, jobs.values())) / scrape.total_seconds()
    with serving(jobs) as targets:
        trial = _Trial(_plan(senders), targets, scrape, rate)
        with step("what the expected rate takes"):
            cpu = _ROOM * trial.usual()
        return trial.overloaded(cpu, overload)


def _plan(senders: int) -> Plan:
    clusters: dict[str, object] = {_HUB: {"tier": "global", "context": _HUB}}
    for number in range(senders):
        clusters[f"shop-{number}"] = {"tier": "edge", "context": f"shop-{number}"}
    return compile_page(read_page({"clusters": clusters}))


@dataclass(frozen=True)
class _Sender:
    place: Place
    process: Popen[bytes]
    config: Callable[[timedelta], Mapping[str, object]]
    """With this interval between scrapes."""

    @property
    def cluster(self) -> str:
        return self.place.folder.name

    def scrape_every(self, interval: timedelta) -> None:
        (self.place.folder / "prometheus.yaml").write_text(yaml.safe_dump(self.config(interval)))
        self.process.send_signal(signal.SIGHUP)

    def behind(self) -> float:
        """Seconds, by the newest sample that the receiver has taken."""
        return time.time() - own(self.place.port, "prometheus_remote_storage_queue_highest_sent_timestamp_seconds")


@dataclass(frozen=True)
class _Fleet:
    receiver: Place
    process: Popen[bytes]
    facts: int
    """Port at which the gateway tells of itself."""
    senders: Sequence[_Sender]

    def scrape_every(self, interval: timedelta) -> None:
        for sender in self.senders:
            sender.scrape_every(interval)

    def taken(self) -> float:
        return sum(taken_by(sender.place) for sender in self.senders)

    def answers(self) -> Counter[int]:
        """To writes so far, by their status."""
        counted = (_ANSWERED.match(line) for line in metrics(self.facts))
        return Counter({int(found["status"]): int(found["times"]) for found in counted if found})


_ANSWERED = re.compile(
    r'caddy_http_request_duration_seconds_count\{code="(?P<status>\d+)",handler="subroute",.*'
    r'server="gateway"\} (?P<times>\d+)'
)


@dataclass(frozen=True)
class _Trial:
    plan: Plan
    targets: Mapping[str, int]
    scrape: timedelta
    rate: float
    """Samples per second that are expected of each sender."""

    def usual(self) -> float:
        """Processors that the receiver takes at the expected rate."""
        with TemporaryDirectory() as name, self._fleet(Path(name), float(os.cpu_count() or 1)) as fleet:
            before, began = cpu_seconds(fleet.process.pid), time.monotonic()
            time.sleep(_SEEN * self.scrape.total_seconds())
            return (cpu_seconds(fleet.process.pid) - before) / (time.monotonic() - began)

    def overloaded(self, cpu: float, overload: timedelta) -> Report:
        with TemporaryDirectory() as name:
            with self._fleet(Path(name), cpu) as fleet:
                with step(f"{overload.total_seconds():.0f} s of twice the expected rate"):
                    fleet.scrape_every(self.scrape / 2)
                    before, answered, began = fleet.taken(), fleet.answers(), time.monotonic()
                    time.sleep(overload.total_seconds())
                    answers = fleet.answers() - answered
                    sent = (fleet.taken() - before) / (time.monotonic() - began)
                behind = max(sender.behind() for sender in fleet.senders)
                fleet.scrape_every(self.scrape)
                ended = time.monotonic()
                with step("what was held up arrives"), ThreadPoolExecutor(len(fleet.senders)) as pool:
                    taken = [*pool.map(self._caught_up, fleet.senders, repeat(overload))]
                caught_up = time.monotonic() - ended
            # With all processors, as to count takes some, and nobody writes any more.
            with step("all samples are counted"), self._receiver(fleet.receiver, running):
                window = 6 * overload + timedelta(minutes=30)
                counted = zip(fleet.senders, taken, strict=True)
                lacking = sum(missing(fleet.receiver, window, *of, cluster=each.cluster) for each, of in counted)
        expected = self.rate * len(fleet.senders)
        return Report(expected, sent, cpu, overload, answers, behind, caught_up, round(lacking), os.getloadavg()[1])

    def _caught_up(self, sender: _Sender, overload: timedelta) -> tuple[float, float]:
        """What it had taken at a time, once its receiver has that; one shard may be ahead of another for a while."""
        taken, at = taken_between_scrapes(sender.place, self.scrape)
        within = _CATCHES_UP_WITHIN * overload.total_seconds() + LATEST
        wait_until(lambda: time.time() - sender.behind() > at + _SETTLED, f"{sender.cluster} has caught up", within)
        return taken, at

    @contextlib.contextmanager
    def _receiver(self, place: Place, start: Start) -> Generator[Popen[bytes]]:
        config = taking_late(self.plan.clusters[_HUB])
        with prometheus(place.folder, place.port, RECEIVING, COUNTING, config=config, start=start) as process:
            wait_until(lambda: is_ready(place), "the receiver is ready", within=_STARTS_WITHIN)
            yield process

    @contextlib.contextmanager
    def _fleet(self, folder: Path, cpu: float) -> Generator[_Fleet]:
        """That writes as expected, to a receiver that may use so many processors."""
        edges = self.plan.remote_write
        receiving, through, facts, *ports = free_ports(3 + len(edges))
        with contextlib.ExitStack() as programs:
            pki.ensure(folder / "pki", "bench", ADDRESS)
            served = KeyPair(*((folder / "pki" / f"apiserver.{kind}").read_text() for kind in ("crt", "key")))
            passwords = {edge.caller: secrets.token_hex(16) for edge in edges}
            callers = [caller(edge, passwords[edge.caller]) for edge in edges]
            hub = Place(folder / _HUB, receiving)
            process = programs.enter_context(self._receiver(hub, partial(limited, cpu=cpu, memory=_MEMORY)))
            moved = {PROMETHEUS_PORT: receiving, GATEWAY_PORT: through, GATEWAY_FACTS_PORT: facts}
            programs.enter_context(limited_gateway(folder / "gateway", caddy_config(callers, Tls([served], [])), moved))
            senders: list[_Sender] = []
            for edge, port in zip(edges, ports, strict=True):
                place = Place(folder / edge.sender, port)
                config = partial(self._config, edge, through, passwords[edge.caller], folder / "pki" / "ca.crt")
                flags = ("--agent", "--storage.agent.path=log")
                agent = prometheus(place.folder, port, *flags, config=config(self.scrape))
                senders.append(_Sender(place, programs.enter_context(agent), config))
            for sender in senders:
                wait_until(partial(self._has_begun, sender), "the first samples arrive", within=_STARTS_WITHIN)
            yield _Fleet(hub, process, facts, senders)

    def _has_begun(self, sender: _Sender) -> bool:
        with contextlib.suppress(OSError):
            return sender.behind() < _STARTS_WITHIN
        return False

    def _config(
        self, edge: RemoteWriteEdge, gateway: int, password: str, authority: Path, interval: timedelta
    ) -> Mapping[str, object]:
        own_interval = {"scrape_interval": format_duration(interval), "scrape_timeout": format_duration(interval)}
        sent = remote_write(gateway, queue(self.rate, QueueSettings(), kept=OLDEST_SENT))
        key = {
            "url": f"https://{ADDRESS}:{gateway}/api/v1/write",
            "basic_auth": {"username": edge.caller, "password": password},
            "tls_config": {"ca_file": str(authority)},
        }
        return {
            "global": {"external_labels": {"cluster": edge.sender}},
            "scrape_configs": [{**each, **own_interval} for each in scrape_configs(self.targets)],
            "remote_write": [{**sent, **key}],
        }


def report_table(report: Report) -> Table:
    """Printed as Markdown."""
    minutes = report.overload / timedelta(minutes=1)
    return table(
        f"{machine(report.load)}\n{report.expected:.0f} samples per second expected, {report.cpu:.3f} processors",
        ["what", "seen"],
        [
            [f"scraped in a second, for {minutes:g} min", f"{report.sent:.0f}"],
            *([f"writes answered with {status}", str(times)] for status, times in report.answers.items()),
            ["newest sample that is there at its end", f"{report.behind:.0f} s old"],
            ["all senders have caught up, after that", f"{report.caught_up:.0f} s"],
            ["samples missing", str(report.missing)],
        ],
    )
