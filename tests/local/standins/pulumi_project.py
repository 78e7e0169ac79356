"""A Pulumi project on a file backend, driven by the real engine with the stand-ins as its plugins."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import yaml
from pulumi import automation

from local.api_server import ApiServer

ROOT = Path(__file__).parents[3]
PLUGINS = ROOT / "local" / "standins" / "bin"
WAIT_SECONDS = 30.0

Program = Callable[[pulumi.ResourceOptions], None]
"""Makes resources with these options; they hold the provider."""


def nothing(options: pulumi.ResourceOptions) -> None:
    """The empty program."""


class Project:
    def __init__(self, cluster: ApiServer, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.kubeconfig = cluster.kubeconfig
        self.settings: dict[str, Any] = {}
        self.said: list[str] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        """Of the program that was called last."""
        self.environment = {
            "PULUMI_BACKEND_URL": folder.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PATH": f"{PLUGINS}:{os.environ['PATH']}",
        }

    def stack(self, program: Program) -> automation.Stack:
        def run() -> None:
            self.loop = asyncio.get_running_loop()
            provider = k8s.Provider(
                "cluster",
                kubeconfig=pulumi.Output.secret(self.kubeconfig),
                cluster_identifier="test",
                **self.settings,
            )
            program(pulumi.ResourceOptions(provider=provider))

        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        return automation.create_or_select_stack(
            stack_name="test",
            project_name="standins",
            program=run,
            work_dir=str(work),
            opts=automation.LocalWorkspaceOptions(env_vars=self.environment),
        )

    def up(self, program: Program, **options: Any) -> Mapping[str, int]:
        """Resources by what was done with them."""
        self.said.clear()
        done = self.stack(program).up(on_output=self.said.append, **options)
        return done.summary.resource_changes or {}

    def preview(self, program: Program) -> Mapping[str, int]:
        self.said.clear()
        done = self.stack(program).preview(on_output=self.said.append)
        return {str(kind): count for kind, count in done.change_summary.items()}

    def fails(self, program: Program) -> str:
        """What a user sees of an `up` that fails."""
        self.said.clear()
        with suppress(automation.CommandError):
            self.stack(program).up(on_output=self.said.append)
            raise AssertionError("up succeeded")
        return self.output

    @property
    def output(self) -> str:
        return "\n".join(self.said)

    def refresh(self) -> Mapping[str, int]:
        self.said.clear()
        done = self.stack(nothing).refresh(on_output=self.said.append)
        return done.summary.resource_changes or {}

    def destroy(self) -> Mapping[str, int]:
        done = self.stack(nothing).destroy(on_output=self.said.append)
        return done.summary.resource_changes or {}

    def state(self, name: str) -> dict[str, Any]:
        """One resource as the backend keeps it, secrets encrypted."""
        found = [item for item in self._kept() if item["urn"].endswith(f"::{name}")]
        assert found, f"{name} is not in the state"
        return found[0]

    def knows(self, name: str) -> bool:
        return any(item["urn"].endswith(f"::{name}") for item in self._kept())

    def _kept(self) -> list[dict[str, Any]]:
        return json.loads(self.kept_text())["checkpoint"]["latest"].get("resources", [])

    def kept_text(self) -> str:
        return (self.folder / ".pulumi" / "stacks" / "standins" / "test.json").read_text()

    def start(self, program: Program) -> "Running":
        self.said.clear()
        pool = ThreadPoolExecutor(1)
        future = pool.submit(self.stack(program).up, on_output=self.said.append)
        pool.shutdown(wait=False)
        return Running(self, future)

    def processes(self, name: str) -> list[int]:
        """Processes of this project whose command line has the name."""
        mark = f"PULUMI_HOME={self.folder / 'home'}\0".encode()
        return [pid for pid in _pids() if name.encode() in _read(pid, "cmdline") and mark in _read(pid, "environ")]

    def live(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        return yaml.safe_load(self.cluster.kubectl("get", kind, name, "-n", namespace, "-o", "yaml"))


class Running:
    """An `up` in the background."""

    def __init__(self, project: Project, future: "Future[Any]") -> None:
        self.project = project
        self.future = future

    def until(self, ready: Callable[[], bool], what: str) -> None:
        until(lambda: ready() or self.future.done(), what)
        assert not self.future.done(), f"up ended before {what}: {self.project.output}"

    def kill(self, number: signal.Signals) -> str:
        """What a user sees of the `up` that the signal ends."""
        for pid in self.project.processes("\0up\0"):
            os.kill(pid, number)
        error = self.future.exception(WAIT_SECONDS)
        assert isinstance(error, automation.CommandError), error
        # The program lives in this process, and for a moment longer than its engine: the next one must not meet it.
        until(lambda: self.project.loop is None or not self.project.loop.is_running(), "the program to end")
        return self.project.output


def until(ready: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
