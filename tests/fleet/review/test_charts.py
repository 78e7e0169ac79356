"""Where a chart comes from: helm itself asks a registry, once for each version."""

import asyncio
import datetime as dt
import hashlib
import json
import ssl
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from fleet.review.charts import MissingChartError, find_chart
from fleet.review.description import ChartRef

CONFIG = json.dumps({"name": "small", "version": "1.2.3", "apiVersion": "v2"}).encode()


@dataclass
class Registry:
    """The part of an OCI registry that a pull asks."""

    port: int = 0
    asked: list[str] = field(default_factory=list[str])
    served: dict[str, tuple[str, bytes]] = field(default_factory=dict[str, tuple[str, bytes]])

    def keep(self, kind: str, content: bytes, *names: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        folder = "manifests" if names else "blobs"
        for name in (digest, *names):
            self.served[f"/v2/charts/small/{folder}/{name}"] = (kind, content)
        return {"mediaType": kind, "digest": digest, "size": len(content)}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    found = Registry()
    chart = found.keep("application/vnd.cncf.helm.chart.content.v1.tar+gzip", _archive(tmp_path))
    config = found.keep("application/vnd.cncf.helm.config.v1+json", CONFIG)
    manifest = {"schemaVersion": 2, "config": config, "layers": [chart]}
    found.keep("application/vnd.oci.image.manifest.v1+json", json.dumps(manifest).encode(), "1.2.3")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            kind, content = found.served.get(self.path, ("application/json", b"{}"))
            is_there = self.path in found.served or self.path == "/v2/"
            self.send_response(200 if is_there else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Content-Digest", f"sha256:{hashlib.sha256(content).hexdigest()}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815 (the library's name)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = _certificate(tmp_path)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found.port = server.server_address[1]
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def _archive(folder: Path) -> bytes:
    chart = folder / "small"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_bytes(CONFIG)
    with tarfile.open(folder / "small.tgz", "w:gz") as packed:
        packed.add(chart, "small")
    return (folder / "small.tgz").read_bytes()


def _certificate(folder: Path) -> Path:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(hours=1))
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    file = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return file


def reference(registry: Registry, version: str = "1.2.3") -> ChartRef:
    return ChartRef(source=f"oci://127.0.0.1:{registry.port}/charts/small", version=version)


def test_a_chart_is_pulled_once_for_each_version(registry: Registry, tmp_path: Path) -> None:
    first = asyncio.run(find_chart(reference(registry), []))
    asked = len(registry.asked)
    assert asked > 0
    assert asyncio.run(find_chart(reference(registry), [])) == first
    assert len(registry.asked) == asked
    listed = subprocess.run(["tar", "-tf", str(first.place)], capture_output=True, text=True, check=True).stdout
    assert "small/Chart.yaml" in listed
    assert [path.name for path in (tmp_path / "cache" / "prometheus-fleet" / "charts").iterdir()] == [first.place.name]


def test_a_chart_that_the_registry_does_not_have_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(MissingChartError, match=r"/charts/small 9\.9\.9: .*not found"):
        asyncio.run(find_chart(reference(registry, "9.9.9"), []))
    assert [*(tmp_path / "cache" / "prometheus-fleet" / "charts").iterdir()] == []


def test_without_helm_a_chart_is_missing_and_nothing_breaks(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingChartError, match="helm is not on PATH"):
        asyncio.run(find_chart(reference(registry), []))


def test_a_chart_in_the_work_tree_stands_in_where_the_base_has_none(tmp_path: Path) -> None:
    chart = tmp_path / "head" / "chart"
    chart.mkdir(parents=True)
    (chart / "Chart.yaml").write_text("version: 1.0.0\n")
    found = asyncio.run(find_chart(ChartRef(source="chart"), [tmp_path / "base", tmp_path / "head"]))
    assert (found.place, found.version) == (chart, "1.0.0")
