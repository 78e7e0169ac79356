"""The cgroups of the local fleet: one directory for all of a checkout, in it one for each cluster.

A cluster's components are in `NAME/system`, its pods in `NAME/kubepods`, so `NAME` is what a cluster costs.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Generator
from pathlib import Path

from local.errors import LocalError

ROOT = Path("/sys/fs/cgroup")
REMOVAL_SECONDS = 5.0


def fleet_directory(owner: Path) -> str:
    """Name, below the root of a hierarchy, of what belongs to `owner`."""
    return f"fleet-{hashlib.sha256(str(owner).encode()).hexdigest()[:8]}"


def memberships(owner: Path, name: str) -> list[Path]:
    """The `cgroup.procs` that the first process of cluster `name` has to join, one in each hierarchy."""
    return [hierarchy / fleet_directory(owner) / name / "system" / "cgroup.procs" for hierarchy in _hierarchies()]


def prepare(owner: Path, name: str) -> None:
    """Make the cgroups of cluster `name`; raises LocalError."""
    try:
        for hierarchy in _hierarchies():
            _prepare(hierarchy, owner, name)
    except OSError as error:
        raise LocalError(
            f"Cannot make a cgroup for cluster {name} ({error}): the local fleet needs root and a writable {ROOT}."
        ) from error


def remove(owner: Path, name: str = "") -> None:
    """Remove the cgroups of cluster `name`, or of the whole fleet; its processes have ended."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    for hierarchy in _hierarchies():
        directory = hierarchy / fleet_directory(owner) / name
        while directory.exists():
            with contextlib.suppress(OSError):  # busy until the kernel has let go of the last process
                for path, _, _ in os.walk(directory, topdown=False):
                    Path(path).rmdir()
            if directory.exists():
                if time.monotonic() > deadline:
                    raise LocalError(
                        f"Cgroup {directory} does not become empty: see `cat {directory}/**/cgroup.procs`."
                    )
                time.sleep(0.02)


@contextlib.contextmanager
def limited(owner: Path, cpu: float, memory: int) -> Generator[list[Path]]:
    """A cgroup with a container's limits, processors and bytes; yields the `cgroup.procs` for its process to join.

    At the end, its processes have ended. Raises LocalError.
    """
    period = 100_000  # microseconds, as kubelets have it
    quota = round(cpu * period)
    settings = {
        "cpu.max": f"{quota} {period}",
        "memory.max": str(memory),
        # The same in cgroup v1.
        "cpu.cfs_period_us": str(period),
        "cpu.cfs_quota_us": str(quota),
        "memory.limit_in_bytes": str(memory),
    }
    prepare(owner, "limited")
    members = memberships(owner, "limited")
    try:
        for setting, value in settings.items():
            for member in members:
                if (member.parent / setting).exists():
                    (member.parent / setting).write_text(value)
        yield members
    finally:
        remove(owner)


def _hierarchies() -> list[Path]:
    """Mount points: the only one of cgroup v2, or one for each controller of v1 (and what v2 is beside them)."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return [Path(mount[1]) for mount in mounts if mount[2] in ("cgroup", "cgroup2")]


def _prepare(hierarchy: Path, owner: Path, name: str) -> None:
    parent = hierarchy
    for part in (fleet_directory(owner), name, "system"):
        _hand_down_controllers(parent)
        child = parent / part
        child.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # v1 starts them empty, and then no process may join
            if (child / setting).exists() and not (child / "cgroup.controllers").exists():
                (child / setting).write_text((parent / setting).read_text())
        parent = child


def _hand_down_controllers(directory: Path) -> None:
    controllers = directory / "cgroup.controllers"
    if controllers.exists():
        wanted = " ".join(f"+{controller}" for controller in controllers.read_text().split())
        (directory / "cgroup.subtree_control").write_text(wanted)
