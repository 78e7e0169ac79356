"""A real API server with its store and controllers on loopback: all of Kubernetes but nodes."""

import base64
import contextlib
import datetime as dt
import ipaddress
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

START_SECONDS = 60.0
TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager")


@dataclass(frozen=True)
class ApiServer:
    url: str
    kubeconfig: str
    """Contents, with everything embedded."""

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self.kubeconfig)
            file.flush()
            command = ["kubectl", "--kubeconfig", file.name, *arguments]
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass(frozen=True)
class Pair:
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make_pair(name: str, organization: str = "", issuer: Pair | None = None) -> Pair:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    subject = x509.Name(attributes)
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]


def kubeconfig(url: str, ca: Pair, client: Pair) -> str:
    def data(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    cluster = {"server": url, "certificate-authority-data": data(ca.certificate_pem)}
    user = {
        "client-certificate-data": data(client.certificate_pem),
        "client-key-data": data(client.key_pem),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
    )


@contextlib.contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    missing = [tool for tool in (*TOOLS, "kubectl", "helm", "pulumi") if shutil.which(tool) is None]
    assert not missing, f"not on PATH: {', '.join(missing)}; run these tests in the shell that `. .local/env` prepares"
    store, peer, api, manager = free_ports(4)
    ca = make_pair("test-ca")
    server, client = make_pair("kube-apiserver", issuer=ca), make_pair("admin", "system:masters", issuer=ca)
    for name, content in {
        "ca.crt": ca.certificate_pem,
        "server.crt": server.certificate_pem,
        "server.key": server.key_pem,
        "kubeconfig": kubeconfig(f"https://127.0.0.1:{api}", ca, client).encode(),
    }.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)

    with contextlib.ExitStack() as running:

        def start(name: str, *arguments: str) -> None:
            log = running.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen([name, *arguments], stdout=log, stderr=subprocess.STDOUT, cwd=folder)
            running.callback(process.wait)
            running.callback(process.kill)

        start(
            "etcd",
            f"--data-dir={folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls=http://127.0.0.1:{store}",
            f"--advertise-client-urls=http://127.0.0.1:{store}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
        )
        start(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{store}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={api}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--tls-cert-file=server.crt",
            "--tls-private-key-file=server.key",
            "--client-ca-file=ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=server.key",
            "--service-account-signing-key-file=server.key",
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
        )
        cluster = ApiServer(f"https://127.0.0.1:{api}", (folder / "kubeconfig").read_text())
        wait_until_up(cluster, folder)
        start(
            "kube-controller-manager",
            "--kubeconfig=kubeconfig",
            "--service-account-private-key-file=server.key",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={manager}",
        )
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        yield cluster


def wait_until_up(cluster: ApiServer, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(verify=ssl.create_default_context(cafile=folder / "ca.crt")) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                # Anonymous requests may read /readyz; it answers once RBAC is set up.
                if client.get(f"{cluster.url}/readyz").is_success:
                    return
            time.sleep(0.2)
    log = (folder / "kube-apiserver.log").read_text()[-2000:]
    raise AssertionError(f"the API server is not up after {START_SECONDS:g} s:\n{log}")
