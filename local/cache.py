"""Folders of built files outside of the work tree: never half-done, checked before every use."""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from local.errors import LocalError
from local.progress import say

SUMS = "SHA256SUMS"
STAGING = ".staging"
_SUM = re.compile(r"^(?P<sum>\S+)  (?P<name>\S+)$", re.MULTILINE)


def root() -> Path:
    """`$XDG_CACHE_HOME/prometheus-fleet`, which the XDG specification wants absolute or else ignored."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "prometheus-fleet"


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def fault(entry: Path) -> str | None:
    """What is wrong with an entry that exists or not: `missing`, the file at fault, or nothing."""
    if not entry.is_dir():
        return "missing"
    try:
        sums = {line["name"]: line["sum"] for line in _SUM.finditer((entry / SUMS).read_text())}
        present = {file.name for file in entry.iterdir()} - {SUMS}
        if not sums or present != set(sums):
            return f"its files are not those of {SUMS}"
        for name, expected in sums.items():
            if digest(entry / name) != expected:
                return f"{name} does not match its sum"
    except (OSError, ValueError) as error:
        return f"{SUMS} or a file cannot be read ({error})"
    return None


def faults(entries: Iterable[Path]) -> dict[Path, str]:
    """The entries that cannot be used, and why; in threads, because hashlib lets go of the interpreter's lock."""
    listed = list(entries)
    with ThreadPoolExecutor() as pool:
        return {entry: why for entry, why in zip(listed, pool.map(fault, listed), strict=True) if why}


def fill(entry: Path, build: Callable[[Path, Path], None]) -> None:
    """Make sure that `entry` is sound: `build(files, scratch)` writes the entry's files into the folder `files`.

    Callers in other processes wait for each other. A killed caller leaves nothing at `entry`, only a
    staging folder that the next one removes.
    """
    staging = entry.parent / STAGING / entry.name
    try:
        staging.parent.mkdir(parents=True, exist_ok=True)
        with _locked(staging.parent / f"{entry.name}.lock", entry.name):
            why = fault(entry)
            if why is None:
                return
            if why != "missing":
                say(f"cached {entry.name} is damaged and made again: {why}")
            # A name of its own, because what a killed caller started may still write into the last one.
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(exist_ok=True)
            work = Path(tempfile.mkdtemp(dir=staging))
            files, scratch = work / "files", work / "scratch"
            files.mkdir()
            scratch.mkdir()
            build(files, scratch)
            _publish(files, entry, discarded=work / "discarded")
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise LocalError(
            f"cannot write the cache entry {entry}: {error}\n"
            f"Make room or permission there, or point XDG_CACHE_HOME elsewhere, and run again."
        ) from error


def _publish(files: Path, entry: Path, *, discarded: Path) -> None:
    built = sorted(files.iterdir())
    lines = [f"{digest(file)}  {file.name}\n" for file in built]
    (files / SUMS).write_text("".join(lines))
    if entry.exists():
        entry.rename(discarded)
    files.rename(entry)


@contextmanager
def _locked(file: Path, what: str) -> Generator[None]:
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is making {what}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
