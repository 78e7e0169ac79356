"""The processes of this checkout, found by a mark in their environment: no list of them can be lost or go stale.

Every process that the local fleet starts inherits the mark. Pods do not, and end with their cluster's namespace.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MARK = "PROMETHEUS_FLEET_LOCAL"
NODE_MARK = "PROMETHEUS_FLEET_NODE"
TERMINATION_SECONDS = 2.0
KILL_SECONDS = 10.0


@dataclass(frozen=True)
class Process:
    """A process of this checkout; `node` names the cluster it belongs to, `is_init` says that it is PID 1 there."""

    pid: int
    node: str | None
    is_init: bool


def claim(owner: Path) -> None:
    """Start this program again with the mark, unless it has it: a killed `make` must not hide what it left."""
    if os.environ.get(MARK) != str(owner):
        os.environ[MARK] = str(owner)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # no shell is the point


def find(owner: Path) -> list[Process]:
    """Living processes that carry `owner`'s mark, without this one and those that led to it."""
    own = _lineage()
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process for pid in pids if pid not in own and (process := _read(pid, owner))]


def end(owner: Path) -> None:
    """End every process of `owner`: clusters at once, by the PID 1 of their namespaces, the rest gently first."""
    kill(owner, (process for process in find(owner) if process.node))
    end_strays(owner)
    deadline = time.monotonic() + KILL_SECONDS
    while (left := find(owner)) and time.monotonic() < deadline:  # a stray may have started a cluster meanwhile
        kill(owner, left)


def end_strays(owner: Path) -> bool:
    """End what a killed run left beside the clusters, such as a pulumi that nobody waits for; says if there was any."""

    def strays() -> list[Process]:
        return [process for process in find(owner) if not process.node]

    found = strays()
    _signal_and_wait(owner, found, signal.SIGTERM, TERMINATION_SECONDS)
    deadline = time.monotonic() + KILL_SECONDS
    while (left := strays()) and time.monotonic() < deadline:  # a process may have forked meanwhile
        kill(owner, left)
    return bool(found)


def kill(owner: Path, processes: Iterable[Process]) -> None:
    """SIGKILL, PID 1 of namespaces first as it takes its whole tree along; returns when they are gone."""
    in_order = sorted(processes, key=lambda process: not process.is_init)
    _signal_and_wait(owner, in_order, signal.SIGKILL, KILL_SECONDS)


def _signal_and_wait(owner: Path, processes: Iterable[Process], number: signal.Signals, seconds: float) -> None:
    waiting: set[int] = set()
    for process in processes:
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        if _read(process.pid, owner) != process:  # the number already belongs to another process
            os.close(descriptor)
            continue
        waiting.add(descriptor)
        with contextlib.suppress(ProcessLookupError):  # it has ended since, which the descriptor tells as well
            signal.pidfd_send_signal(descriptor, number)
    deadline = time.monotonic() + seconds
    ended: set[int] = set()
    while (left := waiting - ended) and (remaining := deadline - time.monotonic()) > 0:
        ended.update(select.select(left, [], [], remaining)[0])
    for descriptor in waiting:
        os.close(descriptor)


def _read(pid: int, owner: Path) -> Process | None:
    try:
        environment = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
        status = (Path("/proc") / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    if f"{MARK}={owner}".encode() not in environment:
        return None
    prefix = f"{NODE_MARK}=".encode()
    nodes = [entry.removeprefix(prefix).decode() for entry in environment if entry.startswith(prefix)]
    # NSpid lists the number in every PID namespace from ours inwards.
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
    return Process(pid, nodes[0] if nodes else None, is_init=len(numbers) > 1 and numbers[-1] == "1")


def _lineage() -> set[int]:
    pids: set[int] = set()
    pid = os.getpid()
    while pid > 0:
        pids.add(pid)
        stat = (Path("/proc") / str(pid) / "stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])  # the command's name before it may hold spaces
    return pids
