"""A real API server with its store, on loopback and without nodes: for what asks Kubernetes and runs nothing in it."""

import contextlib
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import httpx

from local import pki
from local.errors import LocalError
from local.kubeconfig import kubeconfig

TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
"""What has to be on PATH."""

START_SECONDS = 60.0
POLL_SECONDS = 0.2
_ADDRESS = "127.0.0.1"
_NAME = "test"


@dataclass(frozen=True)
class ApiServer:
    url: str
    folder: Path
    """Its keys, its data and its logs."""

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def kubeconfig(self) -> str:
        """Contents, with everything embedded."""
        return self.kubeconfig_of(_NAME)

    def kubeconfig_of(self, *clusters: str) -> str:
        """As if there were these clusters; all of them are this one."""
        return kubeconfig(self.pki, names=clusters, server=self.url)

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Raises LocalError with what kubectl said."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self.kubeconfig)
            file.flush()
            command = ["kubectl", "--kubeconfig", file.name, *arguments]
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LocalError(f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout


@contextlib.contextmanager
def api_server(folder: Path) -> Generator[ApiServer]:
    """Run etcd and kube-apiserver until the block or this process ends; raises LocalError."""
    pki.ensure(folder / "pki", _NAME, _ADDRESS)
    store, peer, port = free_ports(3)
    cluster = ApiServer(f"https://{_ADDRESS}:{port}", folder)
    etcd = (
        f"--data-dir={folder / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls=http://{_ADDRESS}:{store}",
        f"--advertise-client-urls=http://{_ADDRESS}:{store}",
        f"--listen-peer-urls=http://{_ADDRESS}:{peer}",
        f"--initial-advertise-peer-urls=http://{_ADDRESS}:{peer}",
        f"--initial-cluster=default=http://{_ADDRESS}:{peer}",
    )
    server = (
        f"--etcd-servers=http://{_ADDRESS}:{store}",
        f"--bind-address={_ADDRESS}",
        f"--advertise-address={_ADDRESS}",
        f"--secure-port={port}",
        f"--service-cluster-ip-range={pki.SERVICE_SUBNET}",
        "--tls-cert-file=pki/apiserver.crt",
        "--tls-private-key-file=pki/apiserver.key",
        "--client-ca-file=pki/ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=pki/sa.pub",
        "--service-account-signing-key-file=pki/sa.key",
        "--authorization-mode=RBAC",
        "--endpoint-reconciler-type=none",
    )
    with running(folder, "etcd", *etcd), running(folder, "kube-apiserver", *server):
        _wait_until_up(cluster)
        yield cluster


@contextlib.contextmanager
def controllers(cluster: ApiServer) -> Generator[None]:
    """Run kube-controller-manager, which makes pods of workloads and empties namespaces; raises LocalError."""
    client = kubeconfig(cluster.pki, names=[_NAME], server=cluster.url, identity="kube-controller-manager")
    file = cluster.folder / "kube-controller-manager.yaml"
    file.touch(mode=0o600)
    file.write_text(client)
    (port,) = free_ports(1)
    arguments = (
        f"--kubeconfig={file}",
        "--service-account-private-key-file=pki/sa.key",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        f"--bind-address={_ADDRESS}",
        f"--secure-port={port}",
    )
    with running(cluster.folder, "kube-controller-manager", *arguments):
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        yield


@contextlib.contextmanager
def running(folder: Path, *command: str) -> Generator[subprocess.Popen[bytes]]:
    """A process with `folder` as its own; it does not outlive this one, however that ends."""
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command], stdout=log, stderr=subprocess.STDOUT, cwd=folder
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind((_ADDRESS, 0))
        return [item.getsockname()[1] for item in sockets]


def _wait_until_up(cluster: ApiServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    tls = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
    with httpx.Client(verify=tls, trust_env=False) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                # Anonymous requests may read /readyz; it answers once RBAC is set up.
                if client.get(f"{cluster.url}/readyz").is_success:
                    return
            time.sleep(POLL_SECONDS)
    log = (cluster.folder / "kube-apiserver.log").read_text()[-2000:]
    raise LocalError(f"the API server is not up after {START_SECONDS:g} s:\n{log}")
