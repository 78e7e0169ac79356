"""A run that is killed leaves nothing that the next `make demo` or `make down` cannot handle."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubectl import eventually
from live import ROOT, environment_of_a_user, make

from local import cgroups, leftovers
from local.environment import LOCAL

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(1200)]

UP_WITHIN = 600
"""Seconds that a busy machine takes to bring all of it up."""


class Demo:
    """A `make demo` under way, whose output is followed."""

    def __init__(self, folder: Path) -> None:
        self._output = folder / "demo.log"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                # What runs in the background, as CI may, has SIGINT ignored; at a terminal it is heard.
                ["env", "--default-signal=INT", sys.executable, "-m", "local", "demo"],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        return self._output.read_text()

    def wait_for(self, pattern: str) -> None:
        def seen() -> None:
            assert re.search(pattern, self.printed), self.printed
            assert self.process.poll() is None, self.printed

        eventually(seen, within=UP_WITHIN, every=0.1)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    started = Demo(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()
    make("down", within=60)


def left_on_the_machine() -> dict[str, list[str]]:
    links = subprocess.run(["ip", "-oneline", "link"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/self/mountinfo").read_text()
    return {
        "processes": [str(process) for process in leftovers.find(LOCAL)],
        "interfaces": re.findall(r"fleet[-0-9]\S*", links),
        "ports": listening_ports(),
        "cgroups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{cgroups.fleet_directory(LOCAL)}")],
        "mounts": [line for line in mounts.splitlines() if str(LOCAL) in line],
        "folders": [str(path) for path in LOCAL.glob("*")],
    }


def listening_ports() -> list[str]:
    """Of this checkout's processes; those of its clusters listen in namespaces that ended with them."""
    listed = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    pids = {process.pid for process in leftovers.find(LOCAL)}
    return [line for line in listed.splitlines() if any(f"pid={pid}," in line for pid in pids) or "172.30." in line]


NOTHING: dict[str, list[str]] = {
    what: [] for what in ("processes", "interfaces", "ports", "cgroups", "mounts", "folders")
}


@pytest.mark.parametrize(
    "moment", ["choose the provider plugins", "start cluster", "import the images", "Release eu-release creating"]
)
def test_down_takes_away_what_a_killed_demo_left(demo: Demo, moment: str) -> None:
    demo.wait_for(moment)
    demo.process.kill()
    demo.process.wait()
    _, seconds = make("down", within=60)
    assert left_on_the_machine() == NOTHING
    assert seconds <= 20


@pytest.mark.parametrize("moment", ["start cluster", "Release eu-release creating"])
def test_control_c_ends_with_one_line_and_no_traceback(demo: Demo, moment: str) -> None:
    demo.wait_for(moment)
    os.killpg(demo.process.pid, signal.SIGINT)
    assert demo.process.wait(timeout=120) != 0
    assert "Traceback" not in demo.printed
    assert demo.printed.rstrip().splitlines()[-1].startswith("Stopped.")
    # Pulumi has ended by itself: nothing of it runs, and the stack is not locked.
    assert [process for process in leftovers.find(LOCAL) if not process.node] == []
    assert list((LOCAL / "pulumi").glob("**/locks/**/*.json")) == []


@pytest.fixture(scope="module")
def gone_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What the next `make demo` after a killed one printed; its fleet is there."""
    killed = Demo(tmp_path_factory.mktemp("killed"))
    killed.wait_for("Release eu-release creating")
    killed.process.kill()
    killed.process.wait()
    try:
        yield make("demo", within=UP_WITHIN)[0]
    finally:
        make("down", within=60)


def test_demo_goes_on_where_a_killed_one_ended(gone_on: str) -> None:
    assert re.search(r"shop-1 → hub.* ok ", gone_on)
    assert "ended what a run that was killed had left" in gone_on


@pytest.mark.usefixtures("gone_on")
def test_destroy_by_hand_leaves_clusters_without_the_fleet() -> None:
    environment = {**os.environ, **environment_of_a_user()}
    destroy = ["pulumi", "destroy", "--yes", "--skip-preview", "--stack=dev"]
    done = subprocess.run(destroy, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for cluster in ("eu-1", "hub", "shop-1"):
        command = ["kubectl", "--context", cluster, "get", "namespaces", "--output=name"]
        names = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert "namespace/monitoring" not in names
