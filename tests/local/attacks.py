"""What is tried on a gateway, and what must become of it.

`PYTHONPATH=.:tests/local python tests/local/attacks.py` writes what did become of it into docs/security-proof.md.
"""

import contextlib
import datetime as dt
import gzip
import os
import re
import socket
import ssl
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import bcrypt
from certificates import DAY, Authority
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived, StreamReset
from h2.exceptions import ProtocolError
from isolation import own_network
from running_gateway import ALERTMANAGER, Program, alertmanager, gateway, prometheus

from fleet.compiler import compile_page
from fleet.gateway import (
    ALERT_LIMIT,
    BEGINNING,
    WRITE_LIMIT,
    Caller,
    KeyPair,
    Tls,
    caddy_config,
    certificate_identity,
    match_query,
)
from fleet.page import read_page
from fleet.plan import Edge, Key, Reader
from local import toolchain
from tests.places import Place

TABLE = Place(Path(__file__).parents[2] / "docs" / "security-proof.md", "tried on a real Caddy")

PAGE = {
    "federate": [
        {"of": "leaf", "match": 'kube_pod_info{pod=~"a+b c.*"}', "reason": "escapes of every kind", "series": 1}
    ],
    "clusters": {
        "hub": {"tier": "global", "context": "hub"},
        "eu": {"tier": "regional", "region": "eu", "context": "eu"},
        "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
        "shop-1": {"tier": "edge", "context": "shop-1"},
    },
}
PLAN = compile_page(read_page(PAGE, {}))
(FEDERATION,) = PLAN.federations_of("eu-1")
(WRITE,) = PLAN.remote_write
(OF_REGION,), (OF_LEAF,) = PLAN.alerts_of("eu"), PLAN.alerts_of("eu-1")
GENERATION = 3
EDGES: Mapping[str, Edge | Reader] = {
    "eu": replace(FEDERATION, parent="eu", key=Key("basic", GENERATION)),
    "us": replace(FEDERATION, parent="us", extra=(), key=Key("basic", GENERATION)),
    "certified": replace(FEDERATION, parent="certified", key=Key("mtls", GENERATION)),
    "careful": replace(FEDERATION, parent="careful", key=Key("both", GENERATION)),
    "shop-1": replace(WRITE, key=Key("basic", GENERATION)),
    "eu-1": replace(OF_LEAF, key=Key("basic", GENERATION)),
    "region": replace(OF_REGION, sender="region", key=Key("basic", GENERATION)),
    "grafana": Reader("grafana", "eu-1", Key("basic", GENERATION)),
}
NAME = "eu-1.prometheus-fleet.internal"
SOME, ALL = "127.0.0.1", "127.0.0.2"
"""Gateways: one that some call with a certificate, and one that everybody calls with one."""


def password(caller: str, generation: int) -> str:
    return f"{caller}-{generation}-".ljust(32, "x")


def _hashes(edge: Edge | Reader) -> dict[int, str]:
    if edge.key.auth == "mtls":
        return {}
    return {each: bcrypt_hash(password(edge.caller, each)) for each in edge.key.accepted}


def bcrypt_hash(text: str) -> str:
    return bcrypt.hashpw(text.encode(), bcrypt.gensalt(10)).decode()


def _beginnings(edge: Edge) -> dict[int, str]:
    return {each: password(edge.caller, each)[:BEGINNING] for each in edge.key.accepted}


AUTHORITY, STRANGER = Authority.new("fleet-1"), Authority.new("fleet-1")
SERVED = AUTHORITY.signed("eu-1", dns=[NAME])
TLS = Tls([SERVED], [AUTHORITY.pem])


def certificate(
    edge: Edge | Reader, generation: int = GENERATION, authority: Authority = AUTHORITY, **how: dt.timedelta
) -> KeyPair:
    return authority.signed(edge.caller, uris=[certificate_identity(edge, generation)], **how)


def _shown(edge: Edge) -> str | None:
    return certificate(edge).certificate if edge.key.has_certificate else None


CALLERS = [Caller(edge, _hashes(edge), _beginnings(edge), _shown(edge)) for edge in EDGES.values()]

CERTIFICATES = {
    "certified": certificate(EDGES["certified"]),
    "certified, previous": certificate(EDGES["certified"], GENERATION - 1),
    "certified, dropped": certificate(EDGES["certified"], GENERATION - 2),
    "certified, expired": certificate(EDGES["certified"], lifetime=-DAY / 24),
    "certified, of a stranger": certificate(EDGES["certified"], authority=STRANGER),
    "careful": certificate(EDGES["careful"]),
    "of a gateway": SERVED,
    "of another cluster": certificate(replace(FEDERATION, parent="certified", child="eu-2")),
    "without a name": AUTHORITY.signed("certified"),
    "of two names": AUTHORITY.signed(
        "certified", uris=["urn:example:1", certificate_identity(EDGES["certified"], GENERATION)]
    ),
}

PLANNED = f"/federate?{match_query(FEDERATION.matches)}"
FIRST, SECOND = (match_query([match]) for match in FEDERATION.matches)
ADMIN = "api/v1/admin/tsdb/delete_series?match[]=up"


@dataclass(frozen=True)
class Attempt:
    name: str
    expected: str
    target: str = PLANNED
    method: str = "GET"
    user: str | None = "eu"
    password: str = password("eu", GENERATION)
    certificate: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    chunked: bool = False
    gateway: str = SOME
    newest_tls: ssl.TLSVersion | None = ssl.TLSVersion.TLSv1_3
    """None for plain HTTP."""
    http2: bool = False

    @property
    def is_let_in(self) -> bool:
        return self.expected in {"200", "204"}


REFUSED = "no connection"

_US = {"user": "us", "password": password("us", GENERATION)}
_CAREFUL = {"user": "careful", "password": password("careful", GENERATION)}
_SHOP = {"user": "shop-1", "password": password("shop-1", GENERATION)}
_READS = {"user": "grafana", "password": password("grafana", GENERATION)}
_QUERY = "/api/v1/query?query=up"
_WRITE = {"target": "/api/v1/write", "method": "POST", **_SHOP}


def posted(labels: str = '"cluster":"eu-1","region":"eu"', more: str = "") -> bytes:
    """As Prometheus writes it."""
    times = '"endsAt":"2036-01-01T00:00:00.000Z","startsAt":"2026-01-01T00:00:00.000Z"'
    annotations = r'"annotations":{"summary":"\"cluster\":\"us-1\" \u003e 1 é"}'
    link = '"generatorURL":"http://eu-1:9090/graph?g0.expr=up"'
    return f'[{{{annotations},{times},{link},"labels":{{"alertname":"A",{labels},"severity":"none"}}{more}}}]'.encode()


_JSON = {"Content-Type": "application/json"}
_LEAF = {
    "target": "/api/v2/alerts",
    "method": "POST",
    "user": "eu-1",
    "password": password("eu-1", GENERATION),
    "headers": _JSON,
}
_REGION = {**_LEAF, "user": "region", "password": password("region", GENERATION)}
_OWN, _OTHERS = posted(), posted('"cluster":"eu-2","region":"eu"')
WRITING = Attempt("remote write of what is no sample", "400", body=b"x", **_WRITE)
_LARGE, _MANY_ALERTS = str(WRITE_LIMIT + 1), str(ALERT_LIMIT + 1)
ATTEMPTS = [
    # Who
    Attempt("the planned scrape", "200"),
    Attempt("over HTTP/2", "200", http2=True),
    Attempt("no credentials", "401", user=None),
    Attempt("no credentials over HTTP/2", "401", user=None, http2=True),
    Attempt("a user that nobody planned", "401", user="mallory"),
    Attempt("a user whose name begins with a planned one", "401", user="eu:"),
    Attempt("a user of the same name in capitals", "401", user="EU"),
    Attempt("a wrong password", "401", password="guessed"),  # noqa: S106 (it opens nothing)
    Attempt("a wrong password that begins as the right one", "401", password=password("eu", GENERATION)[:-1]),
    Attempt("an empty password", "401", password=""),
    Attempt("a password with more behind it", "401", password=password("eu", GENERATION) + "x"),
    Attempt("a password of 4,000 bytes", "401", password="x" * 4000),
    Attempt("another edge's password", "401", password=password("us", GENERATION)),
    Attempt("another edge's user and password", "403", **_US),
    Attempt("the password of the next generation", "200", password=password("eu", GENERATION + 1)),
    Attempt("the password of the previous generation", "200", password=password("eu", GENERATION - 1)),
    Attempt("a password dropped two generations ago", "401", password=password("eu", GENERATION - 2)),
    Attempt("two credentials in one header", "401", headers={"Authorization": "Basic eA==, Basic eA=="}, user=None),
    Attempt("two headers with a credential", "401", headers={"authorization": "Basic eA=="}),
    Attempt("a bearer token", "401", headers={"Authorization": "Bearer x"}, user=None),
    Attempt("a planned certificate", "200", user=None, certificate="certified"),
    Attempt("a planned certificate over HTTP/2", "200", user=None, certificate="certified", http2=True),
    Attempt("the previous generation's certificate", "200", user=None, certificate="certified, previous"),
    Attempt("a certificate dropped two generations ago", "401", user=None, certificate="certified, dropped"),
    Attempt("an expired certificate", REFUSED, user=None, certificate="certified, expired"),
    Attempt(
        "a certificate of another authority of the same name",
        REFUSED,
        user=None,
        certificate="certified, of a stranger",
    ),
    Attempt("a certificate of another cluster's edge", "401", user=None, certificate="of another cluster"),
    Attempt("a certificate of the fleet without an edge", "401", user=None, certificate="without a name"),
    Attempt("a planned name as the second of a certificate", "401", user=None, certificate="of two names"),
    Attempt("a gateway's own certificate", "401", user=None, certificate="of a gateway"),
    Attempt("password and certificate where both are needed", "200", certificate="careful", **_CAREFUL),
    Attempt("a password without the certificate where both are needed", "401", **_CAREFUL),
    Attempt("a certificate without the password where both are needed", "401", user=None, certificate="careful"),
    Attempt(
        "a password with another cluster's certificate where both are needed",
        "401",
        certificate="of another cluster",
        **_CAREFUL,
    ),
    Attempt("a user's name without a password where a certificate is needed", "401", user="certified", password=""),
    Attempt("no certificate where everybody needs one", REFUSED, user=None, gateway=ALL),
    Attempt("a password alone where everybody needs a certificate", REFUSED, gateway=ALL, **_CAREFUL),
    Attempt(
        "an expired certificate where everybody needs one",
        REFUSED,
        user=None,
        certificate="certified, expired",
        gateway=ALL,
    ),
    Attempt("a planned certificate where everybody needs one", "200", user=None, certificate="certified", gateway=ALL),
    Attempt("plain HTTP to the TLS port", "400", newest_tls=None),
    Attempt("TLS 1.2", "200", newest_tls=ssl.TLSVersion.TLSv1_2),
    Attempt("TLS 1.1", REFUSED, newest_tls=ssl.TLSVersion.TLSv1_1),
    # What
    Attempt("one of two planned selectors", "200", target=f"/federate?{FIRST}"),
    Attempt("planned selectors in another order", "200", target=f"/federate?{SECOND}&{FIRST}"),
    Attempt("a planned selector in the place of another", "200", target=f"/federate?{FIRST}&{FIRST}"),
    Attempt("a planned selector once more than planned", "403", target=f"{PLANNED}&{FIRST}"),
    Attempt("an extra selector", "403", target=f"{PLANNED}&match%5B%5D=up"),
    Attempt("an extra selector without escapes", "403", target=f"{PLANNED}&match[]=up"),
    Attempt("an extra selector behind a semicolon", "403", target=f"{PLANNED};match%5B%5D=up"),
    Attempt("an extra selector over HTTP/2", "403", target=f"{PLANNED}&match%5B%5D=up", http2=True),
    Attempt("another selector", "403", target="/federate?match%5B%5D=up"),
    Attempt("a selector of another edge's plan", "403", target=f"/federate?{SECOND}", **_US),
    Attempt("no selector", "403", target="/federate"),
    Attempt("a planned query in other escapes", "403", target=PLANNED.replace("match", "%6Datch")),
    Attempt("a planned query with a fragment", "403", target=f"{PLANNED}#x"),
    Attempt("a planned query and a parameter", "403", target=f"{PLANNED}&debug=1"),
    Attempt("a query of Prometheus", "401", target="/api/v1/query?query=up"),
    Attempt("its admin API", "404", target=f"/{ADMIN}", method="POST"),
    Attempt("its admin API behind an allowed path", "404", target=f"/federate/../{ADMIN}", method="POST"),
    Attempt("the same with escapes", "404", target=f"/federate/%2e%2e/{ADMIN}", method="POST"),
    Attempt("the same with escaped slashes", "404", target=f"/federate%2f..%2f{ADMIN}", method="POST"),
    Attempt("the same with backslashes", "404", target=f"/federate\\..\\{ADMIN}", method="POST"),
    Attempt(
        "the same behind the allowed path of remote write",
        "404",
        **{**_WRITE, "target": f"/api/v1/write/../{ADMIN[7:]}"},
    ),
    Attempt("its shutdown", "404", target="/-/quit", method="PUT"),
    Attempt("its shutdown in escapes", "404", target="/%2d/quit", method="POST"),
    Attempt(
        "its shutdown behind an allowed path, over HTTP/2",
        "404",
        target="/federate/../-/quit",
        method="POST",
        http2=True,
    ),
    Attempt("its shutdown in absolute form", "404", target=f"https://{NAME}/-/quit", method="POST"),
    Attempt("an allowed path in capitals", "404", target=PLANNED.replace("/f", "/F")),
    Attempt("an allowed path in escapes", "404", target=PLANNED.replace("/f", "/%66")),
    Attempt("an allowed path with two slashes", "404", target=f"/{PLANNED}"),
    Attempt("an allowed path with a slash at its end", "404", target=PLANNED.replace("?", "/?")),
    Attempt("the gateway's own metrics", "404", target="/metrics"),
    Attempt("an allowed path by POST", "404", method="POST"),
    Attempt("an allowed path by HEAD", "404", method="HEAD"),
    Attempt("an allowed path by OPTIONS", "404", method="OPTIONS"),
    Attempt("an allowed path by TRACE", "404", method="TRACE"),
    Attempt("an allowed path by get", "404", method="get"),
    Attempt("CONNECT to Prometheus", "404", target="127.0.0.1:9090", method="CONNECT"),
    Attempt("another method in a header", "404", target="/-/quit", headers={"X-HTTP-Method-Override": "PUT"}),
    Attempt("another path in headers", "200", headers={"X-Original-URL": "/-/quit", "X-Rewrite-URL": "/-/quit"}),
    Attempt("an upgrade to another protocol", "200", headers={"Connection": "Upgrade", "Upgrade": "h2c"}),
    Attempt("a scrape with a body", "413", body=b"match[]=up"),
    Attempt("a scrape with a body of unknown length", "413", body=b"match[]=up", chunked=True),
    # Remote write
    WRITING,
    Attempt("remote write without credentials", "401", **{**_WRITE, "user": None}),
    Attempt("remote write with a key to federate", "401", target="/api/v1/write", method="POST"),
    Attempt("a scrape with a key to write", "401", **_SHOP),
    Attempt("remote write by GET", "404", **{**_WRITE, "method": "GET"}),
    Attempt("remote write with a query", "403", **{**_WRITE, "target": "/api/v1/write?tenant=x"}),
    # Alerts
    Attempt("a leaf's alert of its own", "200", body=_OWN, **_LEAF),
    Attempt("two of them", "200", body=_OWN[:-1] + b"," + _OWN[1:], **_LEAF),
    Attempt("the same in a body of unknown length", "200", body=_OWN, chunked=True, **_LEAF),
    Attempt("a region's alert of one of its leaves", "200", body=_OWN, **_REGION),
    Attempt("a region's alert of its own", "200", body=posted('"region":"eu"'), **_REGION),
    Attempt(
        "an own alert with the previous generation's password",
        "200",
        body=_OWN,
        **{**_LEAF, "password": password("eu-1", GENERATION - 1)},
    ),
    Attempt(
        "another cluster's alert with that password",
        "403",
        body=_OTHERS,
        **{**_LEAF, "password": password("eu-1", GENERATION - 1)},
    ),
    Attempt(
        "alerts above the limit with that password, that do not say so",
        "413",
        body=b" " * (ALERT_LIMIT + 1),
        chunked=True,
        **{**_LEAF, "password": password("eu-1", GENERATION - 1)},
    ),
    Attempt("an own alert over HTTP/2", "200", body=_OWN, http2=True, **_LEAF),
    Attempt("an alert without credentials", "401", body=_OWN, **{**_LEAF, "user": None}),
    Attempt("an alert with another sender's password", "401", body=_OWN, **{**_LEAF, "user": "region"}),
    Attempt("an alert with a key to federate", "401", body=_OWN, target="/api/v2/alerts", method="POST"),
    Attempt("an alert with a key to write", "401", body=_OWN, **{**_LEAF, **_SHOP}),
    Attempt("an alert with a key to read", "401", body=_OWN, **{**_LEAF, **_READS}),
    Attempt("remote write with a key to send alerts", "401", **{**_LEAF, "target": "/api/v1/write"}),
    Attempt("a leaf's alert of another cluster", "403", body=_OTHERS, **_LEAF),
    Attempt(
        "another cluster's alert behind an own one",
        "403",
        body=_OWN[:-1] + b"," + _OTHERS[1:],
        **_LEAF,
    ),
    Attempt("a leaf's alert of another region", "403", body=posted('"cluster":"eu-1","region":"us"'), **_LEAF),
    Attempt("a leaf's alert of its whole region", "403", body=posted('"region":"eu"'), **_LEAF),
    Attempt("a leaf's alert of the whole fleet", "403", body=posted('"a":"b"'), **_LEAF),
    Attempt("a region's alert of another region", "403", body=posted('"region":"us"'), **_REGION),
    Attempt("a region's alert of the whole fleet", "403", body=posted('"a":"b"'), **_REGION),
    Attempt(
        "a region's alert of another region's leaf", "403", body=posted('"cluster":"us-1","region":"eu"'), **_REGION
    ),
    Attempt("a second label cluster", "403", body=posted('"cluster":"eu-1","cluster":"eu-2","region":"eu"'), **_LEAF),
    Attempt(
        "a second label cluster in escapes",
        "403",
        body=posted(r'"cluster":"eu-1","\u0063luster":"eu-2","region":"eu"'),
        **_LEAF,
    ),
    Attempt("a label cluster in escapes", "403", body=posted(r'"\u0063luster":"eu-2","region":"eu"'), **_LEAF),
    Attempt("labels a second time", "403", body=posted(more=',"labels":{"cluster":"eu-2"}'), **_LEAF),
    Attempt("labels a second time in capitals", "403", body=posted(more=',"LABELS":{"cluster":"eu-2"}'), **_LEAF),
    Attempt("labels that are no text", "403", body=posted('"cluster":["eu-1"],"region":"eu"'), **_LEAF),
    Attempt("an own alert with blanks", "403", body=_OWN.replace(b":", b": "), **_LEAF),
    Attempt("something behind an own alert", "403", body=_OWN + b"[]", **_LEAF),
    Attempt("a new line behind an own alert", "403", body=_OWN + b"\n", **_LEAF),
    Attempt("no alert", "403", **_LEAF),
    Attempt(
        "an own alert that is compressed",
        "403",
        body=gzip.compress(_OWN),
        **{**_LEAF, "headers": {**_JSON, "Content-Encoding": "gzip"}},
    ),
    Attempt("an own alert with a query", "403", body=_OWN, **{**_LEAF, "target": "/api/v2/alerts?active=true"}),
    Attempt("alerts by GET", "404", **{**_LEAF, "method": "GET"}),
    Attempt("alerts by DELETE", "404", **{**_LEAF, "method": "DELETE"}),
    Attempt("a silence", "404", body=b"{}", **{**_LEAF, "target": "/api/v2/silences"}),
    Attempt("silences by GET", "404", **{**_LEAF, "target": "/api/v2/silences", "method": "GET"}),
    Attempt("silences behind the allowed path", "404", **{**_LEAF, "target": "/api/v2/alerts/../silences"}),
    Attempt("Alertmanager's status", "404", **{**_LEAF, "target": "/api/v2/status", "method": "GET"}),
    Attempt("groups of alerts", "404", **{**_LEAF, "target": "/api/v2/alerts/groups", "method": "GET"}),
    Attempt("Alertmanager's reload", "404", **{**_LEAF, "target": "/-/reload"}),
    Attempt(
        "alerts above the limit that say so",
        "413",
        body=b" " * 2**19,
        **{**_LEAF, "headers": {**_JSON, "Content-Length": _MANY_ALERTS}},
    ),
    Attempt("an own alert as plain text", "415", body=_OWN, **{**_LEAF, "headers": {}}),
    Attempt("alerts above the limit that do not say so", "413", body=b" " * (ALERT_LIMIT + 1), chunked=True, **_LEAF),
    # Readers
    Attempt("a reader's query", "200", target=_QUERY, **_READS),
    Attempt("a reader's values of a label", "200", target="/api/v1/label/job/values", **_READS),
    Attempt("a query by POST", "400", target="/api/v1/query", method="POST", body=b"query=up", **_READS),
    Attempt("a query with a key to federate", "401", target=_QUERY),
    Attempt("a query with a key to write", "401", **{**_SHOP, "target": _QUERY}),
    Attempt("a query without credentials", "401", target=_QUERY, user=None),
    Attempt("a scrape with a key to read", "401", **_READS),
    Attempt("remote write with a key to read", "401", **{**_WRITE, **_READS}),
    Attempt("the configuration with a key to read", "404", target="/api/v1/status/config", **_READS),
    Attempt("the admin API with a key to read", "404", target=f"/{ADMIN}", method="POST", **_READS),
    Attempt("a query of 64 KiB in a body", "413", target="/api/v1/query", method="POST", body=b"q" * 2**17, **_READS),
    Attempt("another path behind a label", "404", target="/api/v1/label/../status/config", **_READS),
    # How much
    Attempt("headers of 64 KiB", "431", headers={"X-Large": "x" * 2**16}),
    Attempt("headers of 8 KiB over HTTP/2", "431", headers={"x-large": "x" * 2**13}, http2=True),
    Attempt("a query of 64 KiB", "431", target=f"/federate?{'x' * 2**16}"),
    Attempt(
        "a body above the limit that says so", "413", headers={"Content-Length": _LARGE}, body=b"\0" * 2**19, **_WRITE
    ),
    Attempt(
        "a body above the limit that does not say so", "413", body=b"\0" * (WRITE_LIMIT + 1), chunked=True, **_WRITE
    ),
]


@contextlib.contextmanager
def under_attack(folder: Path) -> Iterator[tuple[Program, Mapping[str, Program]]]:
    """Prometheus, with all switched on that must not be reached, and the gateways by address."""
    with contextlib.ExitStack() as running:
        running.enter_context(own_network())
        flags = ("--web.enable-lifecycle", "--web.enable-admin-api", "--web.enable-remote-write-receiver")
        guarded = running.enter_context(prometheus(folder / "prometheus", {}, *flags))
        running.enter_context(alertmanager(folder / "alertmanager"))
        with_certificates = [caller for caller in CALLERS if caller.edge.key.auth != "basic"]
        gateways = {
            address: running.enter_context(gateway(folder / address, caddy_config(callers, TLS, ALERTMANAGER), address))
            for address, callers in {SOME: CALLERS, ALL: with_certificates}.items()
        }
        for name, pair in CERTIFICATES.items():
            (folder / f"{name}.pem").write_text(pair.certificate + pair.key)
        yield guarded, gateways


def outcome(attempt: Attempt, folder: Path) -> str:
    """The status, or that there was no connection to ask on."""
    with contextlib.suppress(ssl.SSLError, ConnectionError, ProtocolError), _connection(attempt, folder) as connection:
        return _ask_http2(attempt, connection) if attempt.http2 else _ask(attempt, connection)
    return REFUSED


@contextlib.contextmanager
def _connection(attempt: Attempt, folder: Path) -> Iterator[socket.socket]:
    with socket.create_connection((attempt.gateway, 9443), timeout=20) as plain:
        if attempt.newest_tls is None:
            yield plain
            return
        context = ssl.create_default_context(cadata=AUTHORITY.pem)
        if attempt.newest_tls < ssl.TLSVersion.TLSv1_2:
            # Or the client itself would refuse.
            context.set_ciphers("DEFAULT@SECLEVEL=0")
            context.minimum_version = attempt.newest_tls
        context.maximum_version = attempt.newest_tls
        context.set_alpn_protocols(["h2"] if attempt.http2 else ["http/1.1"])
        if attempt.certificate is not None:
            context.load_cert_chain(folder / f"{attempt.certificate}.pem")
        with context.wrap_socket(plain, server_hostname=NAME) as secure:
            yield secure


def _headers(attempt: Attempt) -> dict[str, str]:
    given: dict[str, str] = {}
    if attempt.user is not None:
        given["Authorization"] = "Basic " + b64encode(f"{attempt.user}:{attempt.password}".encode()).decode()
    if attempt.chunked:
        given["Transfer-Encoding"] = "chunked"
    elif attempt.body:
        given["Content-Length"] = str(len(attempt.body))
    return {**given, **attempt.headers}


def _ask(attempt: Attempt, connection: socket.socket) -> str:
    """By hand: a client of some quality would mend what is sent."""
    lines = [f"{attempt.method} {attempt.target} HTTP/1.1", f"Host: {attempt.gateway}:9443"]
    lines += [f"{name}: {value}" for name, value in _headers(attempt).items()]
    body = attempt.body
    if attempt.chunked:
        body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    # It may answer and close before all of it is sent.
    with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    answer = connection.recv(2**16)
    found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    return found[1].decode() if found else REFUSED


def _ask_http2(attempt: Attempt, connection: socket.socket) -> str:
    client = H2Connection(H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False))
    client.initiate_connection()
    pseudo = {":method": attempt.method, ":scheme": "https", ":authority": NAME, ":path": attempt.target}
    headers = {name.lower(): value for name, value in _headers(attempt).items()}
    client.send_headers(1, [*pseudo.items(), *headers.items()], end_stream=not attempt.body)
    if attempt.body:
        client.send_data(1, attempt.body, end_stream=True)
    connection.sendall(client.data_to_send())
    while received := connection.recv(2**16):
        for event in client.receive_data(received):
            if isinstance(event, ResponseReceived):
                return dict(event.headers)[b":status"].decode()
            if isinstance(event, StreamReset):
                return REFUSED
        connection.sendall(client.data_to_send())
    return REFUSED


def table(outcomes: Mapping[str, str]) -> str:
    lines = ["| what is tried | expected | seen |", "|---|---|---|"]
    lines += [f"| {attempt.name} | {attempt.expected} | {outcomes[attempt.name]} |" for attempt in ATTEMPTS]
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ["PATH"] = f"{toolchain.ensure(('caddy', 'prometheus', 'alertmanager'))}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with under_attack(directory):
            seen = {attempt.name: outcome(attempt, directory) for attempt in ATTEMPTS}
    TABLE.write(table(seen))
