"""Memory is that of a process and of all below it, with what they share counted once."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from local.memory import use_below, watch

MIB = 2**20
SIZE = 64 * MIB
BESIDE = 24 * MIB
"""More than an interpreter takes that does nothing else."""

KEEP = f"""
import os, sys
kept = bytearray(b'x') * {SIZE}
for _ in range(FORKS):
    os.fork()
os.write(1, b'kept\\n')
sys.stdin.read()
"""


def kind_of(command: str) -> str:
    return "keeper" if "kept" in command else "other"


@contextmanager
def keeper(forks: int = 0) -> Generator[subprocess.Popen[str]]:
    """Below a shell, so that what is found is below the process asked for; it ends with its standard input."""
    command = ["sh", "-c", '"$0" -c "$1"; exit', sys.executable, KEEP.replace("FORKS", str(forks))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for _ in range(2**forks):
            assert process.stdout.readline() == "kept\n"
        yield process
        process.communicate()


def test_a_descendant_is_counted_with_its_kind() -> None:
    with keeper() as process:
        found = use_below(process.pid, lambda command: "shell" if command.startswith("sh ") else kind_of(command))
    assert (found["keeper"].processes, found["shell"].processes) == (1, 1)
    assert SIZE <= found["keeper"].pss <= SIZE + BESIDE


def test_what_processes_share_counts_once() -> None:
    with keeper(forks=2) as process:
        found = use_below(process.pid, kind_of)
    assert found["keeper"].processes >= 4
    assert SIZE <= found["keeper"].pss <= SIZE + 2 * BESIDE


def test_the_heaviest_moment_is_kept_after_its_processes_have_ended() -> None:
    with keeper() as process, watch(process.pid, kind_of, every=0.01) as peak:
        while not peak.pss:
            assert process.poll() is None
        process.communicate()
    assert peak.pss >= SIZE
    assert use_below(process.pid, kind_of) == {}
