"""What a hostile child may answer, what its parent must make of each, and who the parent then names.

`PYTHONPATH=. python tests/fleet/hostile.py` writes the table of docs/security-hostile.md; test_hostile_leaf.py proves
each row with a real Prometheus.
"""

import gzip
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal, NamedTuple

from tests.places import Place

TABLE = Place(Path(__file__).parents[2] / "docs" / "security-hostile.md", "seen by Prometheus")

MIB = 2**20
PACE = 0.005
"""Seconds between two pieces of a body without end: about 200 MB/s, more than most networks between clusters."""

_TEXT = "text/plain; version=0.0.4"


class Proof(NamedTuple):
    attack: str
    expected: str
    seen: str


@dataclass(frozen=True)
class Speaker:
    """How a child of one tier speaks."""

    record: str
    """A metric that it was planned to serve."""
    own: str
    """Labels that are its own to say, and with which it may be known."""
    limit: int
    """Samples above which its scrape fails."""
    other: str
    """URL of another child."""


@dataclass
class Child:
    """A child on loopback that answers whatever it likes, and remembers which passwords it was shown."""

    answer: Callable[[BaseHTTPRequestHandler], None]
    shown: set[str] = field(default_factory=set[str])
    """Values of Authorization."""
    port: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator["Child"]:
        child = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                child.shown.add(self.headers.get("Authorization", ""))
                # The parent hangs up on most of what follows.
                with suppress(OSError):
                    child.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
                """Test output is no place for an access log."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


def reply(handler: BaseHTTPRequestHandler, text: str, content_type: str = _TEXT) -> None:
    _begin(handler, content_type)
    handler.wfile.write(text.encode())


def _begin(handler: BaseHTTPRequestHandler, content_type: str = _TEXT, **headers: str) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", content_type)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def _pour(handler: BaseHTTPRequestHandler, pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        handler.wfile.write(piece)
        time.sleep(PACE)


Answer = Callable[[BaseHTTPRequestHandler, Speaker], None]


def _says(*lines: str, content_type: str = _TEXT) -> Answer:
    """`RECORD` and `OWN` stand for what the plan gives the child, `FORGED` for labels of another."""

    def answer(handler: BaseHTTPRequestHandler, speaker: Speaker) -> None:
        text = "".join(f"{line}\n" for line in lines)
        forged = 'cluster="north",region="cold"'
        text = text.replace("RECORD", speaker.record).replace("OWN", speaker.own).replace("FORGED", forged)
        reply(handler, text, content_type)

    return answer


def _endless(handler: BaseHTTPRequestHandler, speaker: Speaker) -> None:
    _begin(handler)
    piece = (f'{speaker.record}{{{speaker.own},namespace="a"}} 1\n' * (MIB // 60)).encode()
    _pour(handler, itertools.repeat(piece))


def _ten_million(handler: BaseHTTPRequestHandler, speaker: Speaker) -> None:
    _begin(handler)
    step = 20_000
    pieces = (
        "".join(f'{speaker.record}{{{speaker.own},n="{number}"}} 1\n' for number in range(first, first + step)).encode()
        for first in range(0, 10_000_000, step)
    )
    _pour(handler, pieces)


def _new_series(excess: int = 0, ahead: int = 0) -> Answer:
    """So many above its limit, and new ones on every scrape; their samples may be seconds ahead."""

    def answer(handler: BaseHTTPRequestHandler, speaker: Speaker) -> None:
        now = time.monotonic_ns()
        stamp = f" {int(time.time() + ahead) * 1000}" if ahead else ""
        numbers = range(speaker.limit + excess)
        text = "".join(f'{speaker.record}{{{speaker.own},n="{now}-{number}"}} 1{stamp}\n' for number in numbers)
        reply(handler, text)

    return answer


def _metadata(handler: BaseHTTPRequestHandler, speaker: Speaker) -> None:
    now = time.monotonic_ns()
    # As much as fits below the limit on the body, of which each sample has 512 bytes.
    families = range(speaker.limit * 512 // 250)
    about = "".join(
        f"# TYPE {speaker.record}_{now}_{each} gauge\n# HELP {speaker.record}_{now}_{each} {'x' * 80}\n"
        for each in families
    )
    reply(handler, f'{about}{speaker.record}{{{speaker.own},namespace="a"}} 1\n')


def _drip(handler: BaseHTTPRequestHandler, speaker: Speaker) -> None:
    _begin(handler)
    for byte in itertools.cycle(f'{speaker.record}{{{speaker.own},namespace="a"}} 1\n'.encode()):
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.05)


_BOMB = gzip.compress(b"# " + b"x" * 64 * MIB + b"\n")


def _bomb(handler: BaseHTTPRequestHandler, _: Speaker) -> None:
    _begin(handler, Content_Encoding="gzip")
    # Members of gzip follow each other for as long as one likes: 1,000 bytes of it for every 1,000,000.
    _pour(handler, itertools.repeat(_BOMB))


def _headers(handler: BaseHTTPRequestHandler, _: Speaker) -> None:
    handler.send_response(200)
    handler.flush_headers()
    for number in itertools.count():
        handler.wfile.write(f"X-{number}: {'x' * 60_000}\r\n".encode())


def _redirect(location: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler, speaker: Speaker) -> None:
        handler.send_response(302)
        handler.send_header("Location", location.replace("OTHER", speaker.other))
        handler.end_headers()

    return answer


def _at(*seconds: int) -> Answer:
    """The planned metric, so many seconds from now each."""

    def answer(handler: BaseHTTPRequestHandler, speaker: Speaker) -> None:
        now = int(time.time())
        moments = [max(0, now + each) * 1000 for each in seconds]
        lines = (f'{speaker.record}{{{speaker.own},n="{number}"}} 1 {ms}\n' for number, ms in enumerate(moments))
        reply(handler, "".join(lines))

    return answer


Tier = Literal["leaf", "region"]

DOWN, FULL, FOREIGN = "FederationTargetDown", "FederationSampleLimit", "FederationLabelConflict"
CHURN = "FederationChurn"
"""Looks back an hour: once it fires, it goes on."""
SLOW = "FederationScrapeDuration"
"""Whether a scrape that fails has taken long by then is the machine's to say."""


@dataclass(frozen=True)
class Case:
    attack: str
    expected: str
    answer: Answer
    error: str = ""
    """Part of what Prometheus says about the scrape; empty where it succeeds."""
    alerts: tuple[str, ...] = ()
    """Those that fire and name the child; none where nothing has happened to anybody but the child itself."""
    of: tuple[Tier, ...] = ("leaf", "region")

    @property
    def proof(self) -> Proof:
        attack = self.attack if len(self.of) > 1 else f"{self.attack} ({self.of[0]})"
        scrape = f"the scrape fails: `{self.error}`" if self.error else "the scrape succeeds"
        alerts = ", ".join(self.alerts) or "no alert: it harms itself alone"
        return Proof(attack, self.expected, f"{scrape}; {alerts}")


_FORGED = 'RECORD{FORGED,namespace="a"} 666'
_OWN = 'RECORD{OWN,namespace="a"} 1'

CASES = {
    "cluster-of-a-leaf": Case(
        "says that its series are another's: labels `cluster` and `region`",
        "they stay its own: the parent overwrites both",
        _says(_FORGED, _OWN),
        of=("leaf",),
    ),
    "cluster-of-a-region": Case(
        "says that its series are of a cluster of another region",
        "dropped: the region may speak for its own clusters alone",
        _says(_FORGED, _OWN),
        alerts=(FOREIGN,),
        of=("region",),
    ),
    "job-and-up": Case(
        "forges `up`, `scrape_*` and `ALERTS` of another's job",
        "dropped: only planned metrics are kept",
        _says(
            *(f'{name}{{job="federate-{job}",instance="x",FORGED}} 0' for name in ("up", "scrape_samples_scraped")
              for job in ("north", "cold")),
            'ALERTS{alertname="Watchdog",alertstate="firing",FORGED} 1',
            _OWN,
        ),
        alerts=(FOREIGN,),
    ),
    "labels-of-the-path": Case(
        "sets `job`, `instance`, `prometheus_replica` and `exported_*` on a planned series",
        "kept without what only the path decides; the rest is a label as any other",
        _says('RECORD{OWN,namespace="a",job="federate-north",instance="x",prometheus_replica="r",exported_job="x"} 1'),
    ),
    "outside-of-the-matches": Case(
        "serves series that nobody asked for",
        "dropped: only planned metrics are kept",
        _says("kube_pod_info{FORGED} 1", "xRECORD{FORGED} 1", "team:cluster:x{FORGED} 1", _OWN),
        alerts=(FOREIGN,),
    ),
    "second-name": Case(
        "gives one series two names",
        "the whole scrape fails",
        _says('RECORD{OWN,__name__="up"} 0', _OWN),
        "__name__",
        alerts=(DOWN,),
    ),
    "name-of-any-letters": Case(
        "names a metric with letters that look like others",
        "the whole scrape fails: names are of ASCII letters",
        _says('{"RECORD\u2024",OWN} 1', _OWN),
        "invalid metric name or label names",
        alerts=(DOWN,),
    ),
    "many-labels": Case(
        "a series with 100 labels",
        "the whole scrape fails",
        _says("RECORD{OWN," + ",".join(f'l{number}="x"' for number in range(100)) + "} 1"),
        "label_limit exceeded",
        alerts=(DOWN,),
    ),
    "long-label": Case(
        "a label with a value of 100 kB",
        "the whole scrape fails",
        _says(f'RECORD{{OWN,l="{"x" * 100_000}"}} 1'),
        "label_value_length_limit exceeded",
        alerts=(DOWN,),
    ),
    "timestamps": Case(
        "samples of 1970, of two hours ago and of a year ahead",
        "dropped; nobody else's samples are refused for them",
        _at(-(2**40), -7200, 31_536_000),
    ),
    "slightly-ahead": Case(
        "samples nine minutes ahead, within what Prometheus tolerates",
        "kept as its own; nobody else's samples are refused for them",
        _at(540),
    ),
    "endless": Case(
        "a body that never ends",
        "cut off at the limit on the body",
        _endless,
        "body size limit exceeded",
        alerts=(DOWN,),
    ),
    "ten-million": Case(
        "10 million series",
        "cut off at the limit on the body",
        _ten_million,
        "body size limit exceeded",
        alerts=(DOWN,),
    ),
    "metadata": Case(
        "types and help texts of metrics, new ones on every scrape, up to the limit on the body",
        "forgotten again",
        _metadata,
    ),
    "drip": Case(
        "a byte now and then, for ever",
        "cut off at the timeout",
        _drip,
        "context deadline exceeded",
        alerts=(DOWN,),
    ),
    "invalid": Case(
        "what is no exposition",
        "the whole scrape fails",
        _says(_OWN, "RECORD{ this is none", _OWN),
        "expected",
        alerts=(DOWN,),
    ),
    "page": Case(
        "a page for people",
        "the whole scrape fails",
        _says("<html></html>", content_type="text/html"),
        "unsupported Content-Type",
        alerts=(DOWN,),
    ),
    "redirect-to-another": Case(
        "a redirect to another child",
        "not followed: nobody else is shown its password",
        _redirect("http://OTHER/federate"),
        "302",
        alerts=(DOWN,),
    ),
    "redirect-to-metadata": Case(
        "a redirect to the cloud's metadata",
        "not followed",
        _redirect("http://169.254.169.254/latest/meta-data/"),
        "302",
        alerts=(DOWN,),
    ),
    "bomb": Case(
        "gzip that unpacks to a thousand times its size, for ever",
        "cut off at the limit on the body, which counts what is unpacked",
        _bomb,
        "body size limit exceeded",
        alerts=(DOWN,),
    ),
    "headers": Case(
        "headers that never end",
        "cut off",
        _headers,
        "exceeded",
        alerts=(DOWN,),
    ),
    "too-many": Case(
        "one series above its limit, new ones on every scrape",
        "refused as a whole",
        _new_series(excess=1),
        "sample limit exceeded",
        alerts=(DOWN, FULL, CHURN),
    ),
    "churn": Case(
        "as many series as its limit allows, new ones on every scrape",
        "kept as its own, and said",
        _new_series(),
        alerts=(FULL, CHURN),
    ),
    "churn-ahead": Case(
        "the same, with samples nine minutes ahead: the marks of their end come before them, and are dropped",
        "kept as its own, and said",
        _new_series(ahead=540),
        alerts=(FULL, CHURN),
    ),
}  # fmt: skip


def table() -> str:
    lines = ["| attack | expected | seen |", "|---|---|---|"]
    lines += [f"| {' | '.join(case.proof)} |" for case in CASES.values()]
    return "\n".join(lines)


if __name__ == "__main__":
    TABLE.write(table())
