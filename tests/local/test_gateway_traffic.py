"""Real Prometheuses through a real Caddy: what is planned arrives, also while keys and certificates change."""

import contextlib
import json
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from attacks import (
    AUTHORITY,
    EDGES,
    GENERATION,
    NAME,
    PLANNED,
    SERVED,
    TLS,
    WRITING,
    bcrypt_hash,
    certificate,
    outcome,
    password,
)
from cryptography import x509
from isolation import hand_over_connections, own_network
from running_gateway import LOOPBACK, Program, gateway, prometheus, wait_until, write_config

from fleet.gateway import WRITES_AT_ONCE, Caller, KeyPair, MountedKeyPair, Tls, caddy_config
from fleet.names import GATEWAY_FACTS_PORT
from fleet.plan import FederationEdge
from fleet.scrape import federation_job

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

CHILD, PARENT = 9090, 9091
RECORD = "cluster:answer:sum"
INTERVAL, JOBS = timedelta(seconds=3), 16
"""Together a scrape every 0.2 s, each with the time that a busy machine takes."""


def ask(port: int, promql: str) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"query": promql})
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/api/v1/query?{query}", timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def read(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=10) as answer:
        return answer.read().decode()


HASHES = {
    (edge.caller, generation): bcrypt_hash(password(edge.caller, generation))
    for edge in EDGES.values()
    if edge.key.auth != "mtls"
    for generation in range(GENERATION - 1, GENERATION + 4)
}


def callers(generation: int = GENERATION) -> list[Caller]:
    """As the callee's side plans them at this generation."""

    def caller(name: str) -> Caller:
        edge = replace(EDGES[name], key=replace(EDGES[name].key, generation=generation))
        hashes = {each: HASHES[name, each] for each in edge.key.accepted} if edge.key.auth != "mtls" else {}
        return Caller(edge, hashes)

    return [caller(name) for name in EDGES]


def parental(folder: Path) -> dict[str, Any]:
    """Several jobs for each way to show who one is, and a queue; all with the keys of `GENERATION`."""
    folder.mkdir()
    (folder / "ca.crt").write_text(AUTHORITY.pem)
    tls: dict[str, object] = {"ca_file": str(folder / "ca.crt"), "server_name": NAME}

    def keyed(name: str) -> dict[str, object]:
        pair = certificate(EDGES[name])
        (folder / f"{name}.crt").write_text(pair.certificate)
        (folder / f"{name}.key").write_text(pair.key)
        return {**tls, "cert_file": str(folder / f"{name}.crt"), "key_file": str(folder / f"{name}.key")}

    def job(name: str, number: int) -> dict[str, Any]:
        edge = EDGES[name]
        assert isinstance(edge, FederationEdge)
        made: dict[str, Any] = {
            **federation_job(replace(edge, interval=INTERVAL, timeout=INTERVAL), f"{LOOPBACK}:9443"),
            "job_name": f"{name}-{number}",
            "tls_config": tls if edge.key.auth == "basic" else keyed(name),
        }
        (folder / edge.child).write_text("")
        if edge.key.auth == "mtls":
            made.pop("basic_auth", None)
        else:
            (folder / name).write_text(password(name, GENERATION))
            made["basic_auth"] = {"username": edge.caller, "password_file": str(folder / name)}
        return made

    (folder / "shop-1").write_text(password("shop-1", GENERATION))
    queue = {
        "url": f"https://{LOOPBACK}:9443/api/v1/write",
        "basic_auth": {"username": "shop-1", "password_file": str(folder / "shop-1")},
        "tls_config": tls,
    }
    jobs = [job(name, number) for name in ("eu", "us", "certified", "careful") for number in range(JOBS // 4)]
    failures = {"scrape_failure_log_file": str(folder / "failures")}
    return {"global": failures, "scrape_configs": jobs, "remote_write": [queue]}


def child(folder: Path) -> dict[str, Any]:
    rules = folder / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [{"record": RECORD, "expr": "vector(42)"}]}]}))
    return {"global": {"evaluation_interval": "1s"}, "rule_files": [str(rules)]}


@dataclass(frozen=True)
class Traffic:
    folder: Path
    gateway: Program
    config: Path

    def rewrite(self, generation: int) -> None:
        write_config(self.config, caddy_config(callers(generation), TLS))
        accepted = f'prometheus_fleet_accepted_generation{{edge="{EDGES["eu"].id}",caller="eu"}} {generation}'

        def is_accepted() -> bool:
            # The old server of these facts may close a connection as it ends.
            with contextlib.suppress(ConnectionError):
                return accepted in read(GATEWAY_FACTS_PORT, "/facts")
            return False

        wait_until(is_accepted, f"generation {generation} is accepted")


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    folder = tmp_path_factory.mktemp("traffic")
    with contextlib.ExitStack() as running:
        running.enter_context(own_network())
        hand_over_connections()
        running.enter_context(prometheus(folder / "child", child(folder), "--web.enable-remote-write-receiver"))
        proxy = running.enter_context(gateway(folder / "gateway", caddy_config(callers(), TLS), LOOPBACK, "--watch"))
        running.enter_context(prometheus(folder / "parent", parental(folder / "keys"), port=PARENT))
        wait_until(lambda: len(ask(PARENT, "up == 1")) == JOBS, "every job has scraped")
        yield Traffic(folder, proxy, folder / "gateway" / "caddy.json")


@pytest.mark.usefixtures("traffic")
def test_a_parent_federates_through_the_gateway_whichever_way_it_shows_who_it_is() -> None:
    found = {series["metric"]["cluster"]: series["value"][1] for series in ask(PARENT, RECORD)}
    assert found == {"eu-1": "42"}


@pytest.mark.usefixtures("traffic")
def test_a_sender_writes_through_the_gateway() -> None:
    wait_until(lambda: len(ask(CHILD, 'up{cluster="eu-1"}')) > 0, "samples arrived")


def test_a_configuration_that_changes_again_and_again_costs_no_request(traffic: Traffic) -> None:
    started = time.time()
    for number in range(20):
        traffic.rewrite(GENERATION + (number + 1) % 2)
    passed = int(time.time() - started)
    scrapes = [float(value) for series in ask(PARENT, f"up[{passed}s]") for _, value in series["values"]]
    assert len(scrapes) >= JOBS * (timedelta(seconds=passed) // INTERVAL - 1)
    failures = (traffic.folder / "keys" / "failures").read_text()
    assert set(scrapes) == {1}, failures
    own = read(PARENT, "/metrics")
    for lost in ("failed", "dropped"):
        totals = [
            line for line in own.splitlines() if line.startswith(f"prometheus_remote_storage_samples_{lost}_total")
        ]
        assert all(line.endswith(" 0") for line in totals), totals


def handshake(name: str | None = NAME) -> tuple[ssl.SSLSocket, int]:
    """A connection, and the serial number of the certificate that was shown."""
    context = ssl.create_default_context(cadata=AUTHORITY.pem)
    context.check_hostname = name is not None
    connection = context.wrap_socket(socket.create_connection((LOOPBACK, 9443), timeout=10), server_hostname=name)
    shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return connection, x509.load_der_x509_certificate(shown).serial_number


def serial(pair: KeyPair) -> int:
    return x509.load_pem_x509_certificate(pair.certificate.encode()).serial_number


def test_a_key_is_dropped_also_where_the_connection_was_there_before(traffic: Traffic) -> None:
    """HTTP/1.1 on one connection: what was authenticated once stays open no longer than its request."""
    credential = b64encode(f"eu:{password('eu', GENERATION)}".encode()).decode()
    request = f"GET {PLANNED} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credential}\r\n\r\n".encode()
    connection, _ = handshake()
    with connection:
        connection.sendall(request)
        assert connection.recv(2**16).startswith(b"HTTP/1.1 200 ")
        traffic.rewrite(GENERATION + 2)
        answer = b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            connection.sendall(request)
            answer = connection.recv(2**16)
        assert not answer or answer.startswith(b"HTTP/1.1 401 ")
    again, _ = handshake()
    with again:
        again.sendall(request)
        assert again.recv(2**16).startswith(b"HTTP/1.1 401 ")
    traffic.rewrite(GENERATION)


@pytest.mark.parametrize("generation", EDGES["shop-1"].key.accepted)
def test_while_prometheus_is_away_a_sender_is_told_to_try_again(tmp_path: Path, generation: int) -> None:
    """After a 401 or a 403 it would drop its samples for good."""
    sent = replace(WRITING, password=password("shop-1", generation))
    with own_network(), gateway(tmp_path / "gateway", caddy_config(callers(), TLS)):
        assert outcome(sent, tmp_path) == "502"


@contextlib.contextmanager
def answering_nothing(port: int) -> Iterator[list[socket.socket]]:
    """What has asked it waits."""
    waiting: list[socket.socket] = []
    with socket.create_server((LOOPBACK, port), backlog=2 * WRITES_AT_ONCE) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    waiting.append(listener.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield waiting
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in waiting:
                each.close()


def asking(user: str, request: str, body: str = "", length: int | None = None) -> bytes:
    credential = b64encode(f"{user}:{password(user, GENERATION)}".encode()).decode()
    size = f"Content-Length: {len(body) if length is None else length}\r\n"
    return f"{request} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credential}\r\n{size}\r\n{body}".encode()


WRITE = asking("shop-1", f"POST {WRITING.target}", "x")


@contextlib.contextmanager
def under_way(request: bytes, count: int) -> Iterator[None]:
    """On connections of their own."""
    with contextlib.ExitStack() as connections:
        for _ in range(count):
            connections.enter_context(handshake()[0]).sendall(request)
        yield


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[list[socket.socket]]:
    """What has come through a gateway to one who never answers."""
    with (
        own_network(),
        gateway(tmp_path / "gateway", caddy_config(callers(), TLS)),
        answering_nothing(CHILD) as waiting,
    ):
        yield waiting


def test_above_what_prometheus_can_bear_at_once_a_sender_is_told_to_try_again(
    silent: list[socket.socket], tmp_path: Path
) -> None:
    with under_way(WRITE, WRITES_AT_ONCE):
        wait_until(lambda: len(silent) == WRITES_AT_ONCE, "all of them are under way")
        assert outcome(WRITING, tmp_path) == "503"
    name = "caddy_http_request_duration_seconds_count"
    counted = f'{name}{{code="503",handler="headers",method="POST",server="gateway"}} 1\n'
    assert counted in read(GATEWAY_FACTS_PORT, "/metrics"), "dashboards and runbooks ask for it"


@pytest.mark.parametrize(
    ("others", "arriving"),
    [
        pytest.param(asking("eu", f"GET {PLANNED}"), WRITES_AT_ONCE, id="asked"),
        pytest.param(asking("shop-1", f"POST {WRITING.target}", "x", length=2), 0, id="still sent"),
    ],
)
def test_what_is_asked_or_still_sent_keeps_no_write_out(
    silent: list[socket.socket], others: bytes, arriving: int
) -> None:
    with under_way(others, WRITES_AT_ONCE):
        wait_until(lambda: len(silent) == arriving, "all of them are under way")
        with under_way(WRITE, 1):
            wait_until(lambda: any(b"/api/v1/write" in seen(each) for each in silent), "it is under way")


def seen(connection: socket.socket) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return connection.recv(2**16, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    return b""


@pytest.mark.usefixtures("traffic")
def test_no_tls_session_outlives_its_connection() -> None:
    """A resumed one would bring along a certificate that was believed at its beginning: so Caddy gives no tickets."""
    context = ssl.create_default_context(cadata=AUTHORITY.pem)
    session: ssl.SSLSession | None = None
    for _ in range(2):
        plain = socket.create_connection((LOOPBACK, 9443), timeout=10)
        with context.wrap_socket(plain, server_hostname=NAME, session=session) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(2**16).startswith(b"HTTP/1.1 404 ")
            session = connection.session
            assert not connection.session_reused
            assert session is None or not session.has_ticket


def mount(directory: Path, pair: KeyPair) -> None:
    """As a kubelet does: a new folder each time, and one link that is moved to it."""
    version = directory / f"..{serial(pair)}"
    version.mkdir(parents=True)
    (version / "tls.crt").write_text(pair.certificate)
    (version / "tls.key").write_text(pair.key)
    link = directory / "..new"
    link.symlink_to(version.name)
    link.rename(directory / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (directory / name).exists():
            (directory / name).symlink_to(f"..data/{name}")


def test_a_mounted_certificate_that_changes_is_shown_to_the_next_who_connects(tmp_path: Path) -> None:
    first, second = (AUTHORITY.signed("eu-1", dns=[NAME, "eu-1.example.com"]) for _ in range(2))
    mounted = MountedKeyPair(str(tmp_path / "tls"), "a-path-that-nobody-knows")
    mount(tmp_path / "tls", first)
    with (
        own_network(),
        gateway(tmp_path / "gateway", caddy_config(callers(), Tls([], [AUTHORITY.pem], mounted))),
    ):
        before, shown = handshake()
        assert shown == serial(first)
        mount(tmp_path / "tls", second)
        for name in (NAME, "eu-1.example.com", "EU-1.example.com"):
            after, shown = handshake(name)
            after.close()
            assert shown == serial(second)
        before.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert before.recv(2**16).startswith(b"HTTP/1.1 404 "), "who is connected stays so"
        before.close()
        for path in ("/", "/guessed", f"/{mounted.path}x"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                read(9445, path)
        assert "PRIVATE" in read(9445, f"/{mounted.path}"), "or the test before would prove nothing"


def test_a_certificate_of_the_fleet_is_shown_beside_a_mounted_one(tmp_path: Path) -> None:
    other = AUTHORITY.signed("eu-1", dns=["eu-1.example.com"])
    mounted = MountedKeyPair(str(tmp_path / "tls"), "path")
    mount(tmp_path / "tls", other)
    with own_network(), gateway(tmp_path / "gateway", caddy_config(callers(), Tls([SERVED], [AUTHORITY.pem], mounted))):
        for name, pair in {NAME: SERVED, "eu-1.example.com": other}.items():
            connection, shown = handshake(name)
            connection.close()
            assert shown == serial(pair)


def test_without_its_file_the_gateway_answers_nobody_until_it_is_there(tmp_path: Path) -> None:
    mounted = MountedKeyPair(str(tmp_path / "tls"), "path")
    with own_network(), gateway(tmp_path / "gateway", caddy_config(callers(), Tls([], [AUTHORITY.pem], mounted))):
        with pytest.raises(ssl.SSLError):
            handshake()
        mount(tmp_path / "tls", SERVED)
        connection, shown = handshake()
        connection.close()
        assert shown == serial(SERVED)
