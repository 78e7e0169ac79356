"""What the nodes of the local fleet take from Debian: it is not to be had as a Go module."""

import os
import shutil
import subprocess
from pathlib import Path

from local import cache
from local.errors import LocalError
from local.progress import step

PACKAGES = ("containerd", "runc", "containernetworking-plugins", "iptables", "iproute2")

# Where systemd runs, installing containerd starts its service, for which the fleet has no use. Packages ask
# for this folder before they start anything, so they are installed where it is hidden; a mount namespace
# ends with its process, however that ends.
_SYSTEMD = Path("/run/systemd/system")
_HIDE_SYSTEMD = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs tmpfs {_SYSTEMD.parent} && exec "$@"', "sh")


def ensure_debian_packages() -> None:
    """Install with apt-get which of PACKAGES are missing, and start none of their daemons; raises LocalError."""
    missing = missing_packages()
    if not missing:
        return
    wanted = " ".join(missing)
    if not can_fetch():
        raise LocalError(
            f"the local fleet needs {wanted} (names in Debian), and there is no apt-get here to install them: "
            f"install them and run again."
        )
    if os.geteuid() != 0:
        raise LocalError(
            f"the local fleet needs the Debian packages {wanted}: run as root, or install them yourself with\n"
            f"    sudo apt-get install --no-install-recommends {wanted}"
        )
    with step(f"install the Debian packages {wanted}"):
        _apt_get("update")
        _apt_get("install", "--yes", "--no-install-recommends", *missing)


def missing_packages() -> list[str]:
    """Which of PACKAGES dpkg does not have installed whole; all, where there is no dpkg."""
    if shutil.which("dpkg-query") is None:
        return [*PACKAGES]
    known = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.removesuffix(" installed") for line in known.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in PACKAGES if package not in installed]


def can_fetch() -> bool:
    """Whether this machine has Debian's packages to take from."""
    return shutil.which("apt-get") is not None


def unpacked(package: str, program: str) -> Path:
    """A program of a package that is taken into the cache and not installed: others may conflict with it here.

    Only where `can_fetch`. Raises LocalError.
    """

    def build(files: Path, scratch: Path) -> None:
        with step(f"unpack {program} from the Debian package {package}"):
            _apt_get("update")
            _apt_get("download", package, folder=scratch)
            (archive,) = scratch.glob("*.deb")
            subprocess.run(["dpkg-deb", "--extract", str(archive), str(scratch)], check=True)
            # With /usr merged or not.
            found = next(path for root in ("", "usr") if (path := scratch / root / "bin" / program).is_file())
            shutil.copyfile(found, files / program)
            (files / program).chmod(0o755)

    entry = cache.root() / "debian" / package
    cache.fill(entry, build)
    return entry / program


def _apt_get(*arguments: str, folder: Path | None = None) -> None:
    command = ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300", *arguments]
    if _SYSTEMD.is_dir():
        command = [*_HIDE_SYSTEMD, *command]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(f"    {line}" for line in done.stdout.splitlines()[-10:])
        raise LocalError(
            f"`apt-get {' '.join(arguments)}` failed:\n{tail}\n"
            f"Mend apt's sources or the network (`apt-get update` shows it), and run again."
        )
