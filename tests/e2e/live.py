"""A live local fleet, handled as a user does: by make and by the environment of `.local/env`."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Fleet:
    """A live local fleet; the environment of `.local/env` is this process's own."""

    first_run: str
    """What `make demo` printed."""
    tree_before: str
    """What git saw of the work tree before it."""

    def run(self, *command: str, within: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=within, check=False
        )


def work_tree() -> str:
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def make(target: str, within: float) -> tuple[str, float]:
    started = time.monotonic()
    done = subprocess.run(
        ["make", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=within,
        check=False,
    )
    assert done.returncode == 0, f"make {target}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr, time.monotonic() - started


def environment_of_a_user() -> dict[str, str]:
    """What `. .local/env` gives to a shell."""
    done = subprocess.run(
        ["bash", "-c", ". .local/env && env -0"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
