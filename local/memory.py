"""Memory of a process and of all below it, as PSS: a page that several share counts once, in equal parts."""

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Use:
    """Of the processes of one kind."""

    processes: int
    pss: int
    """Bytes."""


@dataclass
class Peak:
    """The heaviest moment so far."""

    by_kind: Mapping[str, Use] = field(default_factory=dict[str, Use])

    @property
    def pss(self) -> int:
        return sum(use.pss for use in self.by_kind.values())

    @property
    def processes(self) -> int:
        return sum(use.processes for use in self.by_kind.values())


def use_below(root: int, kind_of: Callable[[str], str]) -> Mapping[str, Use]:
    """Of process `root` and its descendants, by what `kind_of` makes of their command lines."""
    found: dict[str, Use] = {}
    for pid in _below(root):
        # A process may end at any moment, and one that has ended has no memory.
        with suppress(OSError):
            pss = _pss(pid)
            kind = kind_of((_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            before = found.get(kind, Use(0, 0))
            found[kind] = Use(before.processes + 1, before.pss + pss)
    return found


@contextmanager
def watch(root: int, kind_of: Callable[[str], str], every: float) -> Generator[Peak]:
    """Samples during the block, each `every` seconds after the last; a sample itself takes a while."""
    peak, ended = Peak(), threading.Event()

    def follow() -> None:
        while not ended.wait(every):
            now = Peak(use_below(root, kind_of))
            if now.pss > peak.pss:
                peak.by_kind = now.by_kind

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        yield peak
    finally:
        ended.set()
        follower.join()


def _below(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # The command's name, in parentheses, may hold anything.
                parent = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _pss(pid: int) -> int:
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
