"""One local cluster: a real single-node Kubernetes as one process tree, with a folder for all that it keeps.

The folder: `pki/`, `config/`, `log/COMPONENT.log`, `lib/` (/var/lib inside) and `node.json`, what init runs from.
"""

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import httpx
import yaml

from local import cgroups, components, leftovers, network, pki
from local import init as node_init
from local.errors import LocalError
from local.kubeconfig import kubeconfig
from local.progress import Step, step

START_SECONDS = 180.0
ANSWER_SECONDS = 5.0
POLL_SECONDS = 0.2
LOG_LINES = 12
_NAMESPACES = ("--pid", "--mount-proc", "--mount", "--net", "--uts", "--ipc")
_SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Node:
    """A cluster's only node; `number` counts from 1 and decides its address."""

    name: str
    number: int

    @property
    def address(self) -> str:
        return network.node_address(self.number)


def stop(owner: Path, name: str) -> None:
    """End cluster `name` and take away what it has on this machine, its folder excepted."""
    leftovers.kill(owner, (process for process in leftovers.find(owner) if process.node == name))
    cgroups.remove(owner, name)


def remove(owner: Path, name: str) -> None:
    """Stop cluster `name` and forget it."""
    stop(owner, name)
    _kubeconfig_path(owner, name).unlink(missing_ok=True)
    shutil.rmtree(_folder(owner, name))


class Cluster:
    """The cluster of `node` in the folder `owner` (a checkout's `.local`), run from the programs in `tools`."""

    def __init__(self, node: Node, owner: Path, tools: Path) -> None:
        self.node = node
        self.owner = owner
        self.tools = tools
        self.folder = _folder(owner, node.name)
        self.kubeconfig = _kubeconfig_path(owner, node.name)
        self._logs = self.folder / "log"

    async def is_well(self) -> bool:
        """Whether it runs, is made from what it would be made from now, and Ready."""
        if self._first_process() is None or not self._is_as_specified():
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS), self._api() as api:
                await _until_ready(api, self.node)
                return True
        return False

    async def start(self) -> None:
        """Start it, again if it runs, and wait until its node is Ready; raises LocalError with what stood in the way.

        It ends with this process if that ends before.
        """
        with step(f"start cluster {self.node.name}") as progress:
            stop(self.owner, self.node.name)
            self._write_files()
            process = self._spawn()
            try:
                async with asyncio.timeout(START_SECONDS):
                    await self._bring_up(process, progress)
            except BrokenPipeError:
                raise LocalError(self._why_it_ended()) from None
            except TimeoutError:
                raise LocalError(
                    f"Cluster {self.node.name} was not Ready within {START_SECONDS:.0f} s (waiting for"
                    f" {progress.detail}): its logs are in {self._logs}."
                ) from None
            finally:
                for pipe in (process.stdin, process.stdout):
                    if pipe:
                        pipe.close()
            progress.detail = f"Ready at {self.node.address}"

    def import_images(self, archive: Path) -> bool:
        """Import an image archive into containerd unless all that it holds is there; returns whether it did."""
        record = self.folder / "lib" / "imported-images.json"
        wanted = _images(archive)
        present = cast("dict[str, str]", json.loads(record.read_text())) if record.exists() else {}
        if wanted.items() <= present.items():
            return False
        with archive.open("rb") as content:  # its path may mean something else inside
            self.run(["ctr", "--namespace", "k8s.io", "images", "import", "-"], stdin=content)
        fresh = record.with_suffix(".new")
        fresh.write_text(json.dumps(present | wanted))
        fresh.rename(record)
        return True

    def run(self, command: Sequence[str], stdin: IO[bytes] | int = subprocess.DEVNULL) -> str:
        """Run a command inside, as on the node's own shell, and return its stdout; LocalError where it fails."""
        result = subprocess.run(
            [*self._enter(), *command],
            env={"PATH": _SAFE_PATH, leftovers.MARK: str(self.owner)},
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise LocalError(
                f"`{' '.join(command)}` in cluster {self.node.name} failed: {result.stderr.strip()[-500:]}"
            )
        return result.stdout

    def _enter(self) -> list[str]:
        first = self._first_process()
        if first is None:
            raise LocalError(f"Cluster {self.node.name} is not running: start it with `make demo`.")
        return ["nsenter", "--target", str(first.pid), "--mount", "--net", "--pid", "--uts", "--ipc", "--"]

    def _first_process(self) -> leftovers.Process | None:
        own = (process for process in leftovers.find(self.owner) if process.node == self.node.name)
        return next((process for process in own if process.is_init), None)

    def _is_as_specified(self) -> bool:
        if not self.kubeconfig.exists() or not pki.is_current(self.folder / "pki", self.node.address):
            return False
        specification = json.loads((self.folder / "node.json").read_text())
        config = self.folder / "config"
        return specification == self._specification() and all(
            (config / name).exists() and (config / name).read_text() == text
            for name, text in self._configuration().items()
        )

    def _specification(self) -> node_init.Specification:
        return {
            "name": self.node.name,
            "address": f"{self.node.address}/{network.SUBNET.prefixlen}",
            "gateway": str(network.HOST_ADDRESS),
            "pod_subnet": components.POD_SUBNET,
            "state": str(self.folder),
            "tools": str(self.tools),
            "cgroups": [str(path) for path in cgroups.memberships(self.owner, self.node.name)],
            "servers": components.servers(self.node.address),
            "clients": components.clients(self.node.name, self.node.address),
        }

    def _configuration(self) -> dict[str, str]:
        """Files below `config/`, by name."""
        identities = {
            "kube-controller-manager": "kube-controller-manager.yaml",
            "kube-scheduler": "kube-scheduler.yaml",
            "kube-proxy": "kube-proxy.yaml",
            "kubelet": "kubelet.kubeconfig.yaml",
        }
        cgroup = f"/{cgroups.fleet_directory(self.owner)}/{self.node.name}"
        return {
            "containerd.toml": components.containerd_configuration(),
            "cni/10-pods.conflist": json.dumps(components.pod_network()),
            "kubelet.yaml": _dump(components.kubelet_configuration(cgroup)),
            **{file: self._kubeconfig(identity) for identity, file in identities.items()},
        }

    def _write_files(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("lib", "log"):
            (self.folder / name).mkdir(exist_ok=True)
        pki.ensure(self.folder / "pki", self.node.name, self.node.address)
        for name, text in self._configuration().items():
            _write_private(self.folder / "config" / name, text)
        cgroups.prepare(self.owner, self.node.name)
        _write_private(self.folder / "node.json", json.dumps(self._specification()))
        _write_private(self.kubeconfig, self._kubeconfig("admin"))

    def _kubeconfig(self, identity: str) -> str:
        server = f"https://{self.node.address}:{components.API_PORT}"
        return kubeconfig(self.folder / "pki", names=[self.node.name], server=server, identity=identity)

    def _spawn(self) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": _SAFE_PATH,
            leftovers.MARK: str(self.owner),
            leftovers.NODE_MARK: self.node.name,
        }
        init = [sys.executable, "-I", "-S", node_init.__file__, str(self.folder / "node.json")]
        with (self._logs / "init.log").open("wb") as log:
            return subprocess.Popen(
                ["unshare", "--fork", "--kill-child", *_NAMESPACES, *init],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,  # Ctrl-C in the terminal is for the program that starts clusters
            )

    async def _bring_up(self, process: subprocess.Popen[bytes], progress: Step) -> None:
        def send(line: str) -> None:
            if process.stdin:
                process.stdin.write(f"{line}\n".encode())

        async with self._api() as api:
            progress.detail = "its namespaces"
            await self._while_alive(process, _until_said(process))
            network.attach(self.owner, self.node.number, process.pid)
            send("network")
            progress.detail = "kube-apiserver"
            await self._while_alive(process, _until_answered(api, "/readyz"))
            await self._while_alive(process, _forget_readiness(api, self.node))
            send("clients")
            progress.detail = "kubelet"
            await self._while_alive(process, _until_ready(api, self.node))
            progress.detail = "kube-proxy"
            health = f"http://{self.node.address}:{components.PROXY_HEALTH_PORT}/healthz"
            await self._while_alive(process, _until_answered(api, health))
            send("stay")

    async def _while_alive(self, process: subprocess.Popen[bytes], work: Coroutine[None, None, None]) -> None:
        working = asyncio.create_task(work)
        ended = asyncio.create_task(_until_ended(process.pid))
        try:
            await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
            if process.poll() is not None:
                raise LocalError(self._why_it_ended())
            await working
        finally:
            working.cancel()
            ended.cancel()

    def _why_it_ended(self) -> str:
        said = _tail(self._logs / "init.log", LOG_LINES)
        name = said[-1].partition(":")[0] if said else ""
        log = self._logs / f"{name}.log"
        if not name or not log.exists():
            log = self._logs / "init.log"
            return "\n".join([f"Cluster {self.node.name} ended while it started; {log} says:", *said])
        return "\n".join(
            [
                f"Cluster {self.node.name} ended while it started: {said[-1]}. The end of {log}:",
                *_tail(log, LOG_LINES),
            ]
        )

    def _api(self) -> httpx.AsyncClient:
        folder = self.folder / "pki"
        context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
        return httpx.AsyncClient(
            base_url=f"https://{self.node.address}:{components.API_PORT}",
            verify=context,
            trust_env=False,  # a proxy of the user's has no way to the bridge
            timeout=ANSWER_SECONDS,
        )


def _folder(owner: Path, name: str) -> Path:
    return owner / "clusters" / name


def _kubeconfig_path(owner: Path, name: str) -> Path:
    return owner / "kubeconfigs" / f"{name}.yaml"


async def _until_answered(api: httpx.AsyncClient, url: str) -> None:
    while True:
        with contextlib.suppress(httpx.TransportError):
            if (await api.get(url)).is_success:
                return
        await asyncio.sleep(POLL_SECONDS)


async def _forget_readiness(api: httpx.AsyncClient, node: Node) -> None:
    """Of a cluster that is started again: what its kubelet said last would be taken for what it says now."""
    unknown = {"type": "Ready", "status": "Unknown", "reason": "Restarted"}
    with contextlib.suppress(httpx.TransportError):
        await api.patch(
            f"/api/v1/nodes/{node.name}/status",
            json={"status": {"conditions": [unknown]}},
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )


async def _until_ready(api: httpx.AsyncClient, node: Node) -> None:
    """Watch the node until it is Ready; the API server may end a watch at any time."""
    parameters = {"watch": "true", "fieldSelector": f"metadata.name={node.name}"}
    while True:
        with contextlib.suppress(httpx.TransportError):
            async with api.stream("GET", "/api/v1/nodes", params=parameters, timeout=None) as events:
                async for line in events.aiter_lines():
                    if events.is_success and _is_ready(json.loads(line)["object"]):
                        return
        await asyncio.sleep(POLL_SECONDS)


async def _until_said(process: subprocess.Popen[bytes]) -> None:
    """Wait for the first line, or for the end of a process that says none."""
    if process.stdout:
        await _until_readable(process.stdout.fileno())
        if not process.stdout.readline():
            await _until_ended(process.pid)


async def _until_ended(pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    try:
        await _until_readable(descriptor)
    finally:
        os.close(descriptor)


async def _until_readable(descriptor: int) -> None:
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)


def _is_ready(node: Mapping[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _images(archive: Path) -> dict[str, str]:
    """What an archive holds: the digest of the image's configuration by reference."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        if manifest is None:
            raise LocalError(f"{archive} is no image archive: it has no manifest.json.")
        entries = cast("list[dict[str, Any]]", json.load(manifest))
    return {reference: entry["Config"] for entry in entries for reference in entry["RepoTags"]}


def _tail(log: Path, lines: int) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []


def _dump(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
