"""A receiver of remote write that keeps what it is shown, and reads both versions of what it is sent."""

import contextlib
import json
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cramjam
from certificates import Authority
from running_gateway import LOOPBACK

from fleet.gateway import KeyPair

TOKEN = "a token for a while"  # noqa: S105 (nobody's)


@dataclass(frozen=True)
class Sample:
    labels: Mapping[str, str]
    value: float
    milliseconds: int


@dataclass(frozen=True)
class Write:
    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    caller: str | None
    """The common name in the certificate that was shown."""
    status: int
    samples: Sequence[Sample]


@dataclass
class Receiver:
    port: int
    status: int = 204
    """What writers are answered."""
    writes: list[Write] = field(default_factory=list[Write])
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(who asked for a token, with which words)."""

    def to(self, path: str, status: int = 204) -> list[Write]:
        return [each for each in [*self.writes] if (each.path, each.status) == (path, status)]

    def taken(self, path: str) -> list[Sample]:
        return [sample for write in self.to(path) for sample in write.samples]


@contextlib.contextmanager
def receiver(folder: Path, shown: KeyPair, callers: Authority, port: int = 9443) -> Iterator[Receiver]:
    """TLS, and certificates of `callers` for who has one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("crt", shown.certificate), ("key", shown.key)):
        (folder / name).write_text(text)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=callers.pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_cert_chain(folder / "crt", folder / "key")
    seen = Receiver(port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/token":
                seen.asked.append((self.headers["Authorization"], body.decode()))
                answer = json.dumps({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}).encode()
                self._answer(200, answer, {"Content-Type": "application/json"})
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            samples = [*_samples(headers["content-type"], bytes(cramjam.snappy.decompress_raw(body)))]
            seen.writes.append(Write(self.path, headers, self._caller(), seen.status, samples))
            written = {f"X-Prometheus-Remote-Write-{what}-Written": "0" for what in ("Histograms", "Exemplars")}
            self._answer(seen.status, b"", {**written, "X-Prometheus-Remote-Write-Samples-Written": str(len(samples))})

        def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _caller(self) -> str | None:
            found = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
            subject = dict(name for names in (found or {}).get("subject", ()) for name in names)
            return subject.get("commonName")

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _samples(content_type: str, body: bytes) -> Iterator[Sample]:
    """Of a prometheus.WriteRequest, or of an io.prometheus.write.v2.Request."""
    is_second = "io.prometheus.write.v2.Request" in content_type
    symbols = [text.decode() for number, text in _fields(body) if number == 4] if is_second else []
    for number, series in _fields(body):
        if number == (5 if is_second else 1):
            labels = _referred(series, symbols) if is_second else _spelled(series)
            for each, content in _fields(series):
                if each == 2:
                    found = dict(_fields(content))
                    yield Sample(labels, struct.unpack("<d", found[1])[0], int.from_bytes(found[2], "little"))


def _spelled(series: bytes) -> Mapping[str, str]:
    pairs = (dict(_fields(label)) for number, label in _fields(series) if number == 1)
    return {pair[1].decode(): pair[2].decode() for pair in pairs}


def _referred(series: bytes, symbols: Sequence[str]) -> Mapping[str, str]:
    packed = next(content for number, content in _fields(series) if number == 1)
    at, references = 0, list[int]()
    while at < len(packed):
        reference, at = _varint(packed, at)
        references.append(reference)
    texts = [symbols[reference] for reference in references]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, content); a varint as eight bytes, the lowest first."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        match tag & 7:
            case 0:
                value, at = _varint(message, at)
                content = value.to_bytes(8, "little")
            case 1:
                content, at = message[at : at + 8], at + 8
            case 2:
                size, at = _varint(message, at)
                content, at = message[at : at + size], at + size
            case wire:
                raise ValueError(f"no field of a write has wire type {wire}")
        yield tag >> 3, content


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """(value, where it ends)."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
