import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local import leftovers

ROOT = Path(__file__).parent.parent.parent
SLEEPS = "echo ready; exec sleep 60"
IGNORES_TERMINATION = "trap '' TERM; echo ready; exec sleep 60"


class Children:
    """Starts processes that end with the test; each has said `ready`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def start(self, script: str, **environment: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            ["bash", "-c", script], env={"PATH": os.environ["PATH"], **environment}, stdout=subprocess.PIPE
        )
        self._stack.callback(child.wait)
        self._stack.callback(child.kill)
        assert child.stdout
        self._stack.callback(child.stdout.close)
        assert child.stdout.readline() == b"ready\n"
        return child


@pytest.fixture
def children() -> Iterator[Children]:
    with ExitStack() as stack:
        yield Children(stack)


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    return tmp_path / ".local"


def test_only_processes_with_this_checkouts_mark_are_found(children: Children, owner: Path) -> None:
    ours = children.start(SLEEPS, PROMETHEUS_FLEET_LOCAL=str(owner))
    children.start(SLEEPS)
    children.start(SLEEPS, PROMETHEUS_FLEET_LOCAL=f"{owner}-of-another")
    children.start(SLEEPS, ANOTHER_VARIABLE=f"PROMETHEUS_FLEET_LOCAL={owner}")
    assert [process.pid for process in leftovers.find(owner)] == [ours.pid]


def test_a_process_tells_which_cluster_it_belongs_to(children: Children, owner: Path) -> None:
    children.start(SLEEPS, PROMETHEUS_FLEET_LOCAL=str(owner), PROMETHEUS_FLEET_NODE="eu-1")
    assert [(process.node, process.is_init) for process in leftovers.find(owner)] == [("eu-1", False)]


def test_a_process_that_ignores_termination_ends_too(children: Children, owner: Path) -> None:
    child = children.start(IGNORES_TERMINATION, PROMETHEUS_FLEET_LOCAL=str(owner))
    leftovers.end(owner)
    assert child.wait(timeout=1) == -9
    assert leftovers.find(owner) == []


def test_a_process_may_clean_up_before_it_ends(children: Children, owner: Path, tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"
    script = f"trap 'touch {cleaned}; exit' TERM; echo ready; sleep 60 & wait"
    children.start(script, PROMETHEUS_FLEET_LOCAL=str(owner))
    leftovers.end(owner)
    assert cleaned.exists()


def test_processes_of_others_live_on(children: Children, owner: Path) -> None:
    other = children.start(IGNORES_TERMINATION, PROMETHEUS_FLEET_LOCAL=f"{owner}-of-another")
    leftovers.end(owner)
    assert other.poll() is None


def test_strays_end_without_the_clusters(children: Children, owner: Path) -> None:
    marks = {"PROMETHEUS_FLEET_LOCAL": str(owner)}
    stray = children.start(SLEEPS, **marks)
    cluster = children.start(SLEEPS, **marks, PROMETHEUS_FLEET_NODE="eu-1")
    assert leftovers.end_strays(owner)
    assert (stray.wait(timeout=1), cluster.poll()) == (-15, None)


def test_a_number_that_now_belongs_to_another_process_is_not_signalled(children: Children, owner: Path) -> None:
    stranger = children.start(IGNORES_TERMINATION)
    leftovers.kill(owner, [leftovers.Process(stranger.pid, node=None, is_init=False)])
    with pytest.raises(subprocess.TimeoutExpired):
        stranger.wait(timeout=0.2)


def test_neither_the_caller_nor_its_ancestors_are_ended(owner: Path) -> None:
    program = (
        f"from pathlib import Path; from local import leftovers; leftovers.end(Path({str(owner)!r})); print('alive')"
    )
    shell = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "$PROGRAM"; echo shell alive'],
        env={"PATH": os.environ["PATH"], "PROGRAM": program, "PROMETHEUS_FLEET_LOCAL": str(owner)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout.splitlines() == ["alive", "shell alive"]


def test_a_claimed_program_carries_the_mark_and_keeps_its_arguments(owner: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from local import leftovers;"
        f" leftovers.claim(Path({str(owner)!r}));"
        " print(sys.argv[1:], b'PROMETHEUS_FLEET_LOCAL' in Path('/proc/self/environ').read_bytes())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "--chart", "a b"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['demo', '--chart', 'a b'] True\n"


def test_waiting_for_an_end_takes_no_longer_than_the_end(children: Children, owner: Path) -> None:
    children.start(SLEEPS, PROMETHEUS_FLEET_LOCAL=str(owner))
    started = time.monotonic()
    leftovers.end(owner)
    assert time.monotonic() - started < leftovers.TERMINATION_SECONDS / 2
