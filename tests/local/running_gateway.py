"""A real Caddy before a real Prometheus, in the network of the test."""

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

LOOPBACK = "127.0.0.1"
ALERTMANAGER = f"{LOOPBACK}:9093"
SECONDS = 30


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.02)


def listens(port: int, address: str = LOOPBACK) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


@dataclass(frozen=True)
class Program:
    process: subprocess.Popen[bytes]
    log: Path

    def is_running(self) -> bool:
        return self.process.poll() is None


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, is_ready: Callable[[], bool]) -> Iterator[Program]:
    homes = {name: str(log.parent) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **homes}) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or is_ready(), f"{command[0]} is ready")
            assert process.poll() is None, log.read_text()
            yield Program(process, log)
        finally:
            process.terminate()


@contextlib.contextmanager
def prometheus(folder: Path, config: Mapping[str, Any], *flags: str, port: int = 9090) -> Iterator[Program]:
    folder.mkdir(parents=True)
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        *flags,
    ]
    with running(command, folder / "log", lambda: _is_ready(port)) as program:
        yield program


@contextlib.contextmanager
def alertmanager(folder: Path) -> Iterator[Program]:
    folder.mkdir(parents=True)
    file = folder / "alertmanager.yaml"
    file.write_text(yaml.safe_dump({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}))
    command = [
        "alertmanager",
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={ALERTMANAGER}",
        "--cluster.listen-address=",
    ]
    with running(command, folder / "log", lambda: _is_ready(9093)) as program:
        yield program


def _is_ready(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://{LOOPBACK}:{port}/-/ready", trust_env=False).is_success
    return False


def write_config(file: Path, config: Mapping[str, object], address: str = LOOPBACK) -> None:
    """As a kubelet writes it: a reader sees the old or the new, and never half of one."""
    text = json.dumps(config).replace('":9443"', f'"{address}:9443"').replace(f"{LOOPBACK}:944", f"{address}:944")
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(text)
    unfinished.rename(file)


@contextlib.contextmanager
def gateway(folder: Path, config: Mapping[str, object], address: str = LOOPBACK, *flags: str) -> Iterator[Program]:
    """`address` lets several run beside each other, where a pod has one on every address."""
    folder.mkdir(parents=True)
    file = folder / "caddy.json"
    write_config(file, config, address)
    command = ["caddy", "run", "--config", str(file), *flags]
    with running(command, folder / "log", lambda: listens(9443, address)) as program:
        yield program
