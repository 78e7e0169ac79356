import os
from collections.abc import Callable
from pathlib import Path

import pytest

from local import debian
from local.errors import LocalError

Fake = Callable[[str, str], None]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Puts a program alone on PATH, with this shell script as its text; each call is noted in `calls`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(debian, "_SYSTEMD", tmp_path / "no-systemd")

    def program(name: str, script: str) -> None:
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/calls\n{script}\n')
        (folder / name).chmod(0o755)

    return program


def calls(tmp_path: Path) -> list[str]:
    noted = tmp_path / "calls"
    return noted.read_text().splitlines() if noted.exists() else []


ALL = "\n".join(f"echo {package} installed" for package in debian.PACKAGES)
NO_RUNC = "echo containerd half-installed; echo iptables installed; echo iproute2 installed; exit 1"


def test_nothing_is_touched_where_all_packages_are_installed(fake: Fake, tmp_path: Path) -> None:
    fake("dpkg-query", ALL)
    fake("apt-get", "exit 1")
    debian.ensure_debian_packages()
    assert not any(call.startswith("apt-get") for call in calls(tmp_path))


def test_only_what_is_missing_or_half_installed_is_installed(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    fake("dpkg-query", NO_RUNC)
    fake("apt-get", "")
    debian.ensure_debian_packages()
    update, install = [call for call in calls(tmp_path) if call.startswith("apt-get")]
    assert update.endswith(" update")
    assert install.endswith("--no-install-recommends containerd runc containernetworking-plugins")


def test_without_root_the_command_to_run_is_told(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    fake("dpkg-query", NO_RUNC)
    fake("apt-get", "exit 1")
    with pytest.raises(LocalError, match=r"sudo apt-get install .* containerd runc containernetworking-plugins$"):
        debian.ensure_debian_packages()


def test_another_distribution_is_told_what_to_install(fake: Fake) -> None:
    fake("true", "")
    with pytest.raises(LocalError, match=r"needs containerd runc .*no apt-get here"):
        debian.ensure_debian_packages()


def test_a_failing_apt_get_is_quoted(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    fake("dpkg-query", NO_RUNC)
    fake("apt-get", 'echo "E: Unable to fetch some archives" >&2; exit 100')
    with pytest.raises(LocalError, match=r"`apt-get update` failed:\n    E: Unable to fetch"):
        debian.ensure_debian_packages()


def test_packages_start_no_daemon_where_systemd_runs(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian, "_SYSTEMD", tmp_path)
    fake("dpkg-query", NO_RUNC)
    fake("apt-get", "exit 1")
    fake("unshare", "")
    debian.ensure_debian_packages()
    update, install = [call for call in calls(tmp_path) if "apt-get" in call]
    assert update.startswith("unshare --mount ")
    assert install.startswith("unshare --mount ")


def test_a_package_is_unpacked_and_not_installed(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake("apt-get", 'case "$*" in *" download small-static") : >small.deb;; esac')
    fake("dpkg-deb", '/bin/mkdir "$3/bin"; echo "the program small" >"$3/bin/small"')

    found = debian.unpacked("small-static", "small")
    assert found.read_text() == "the program small\n"
    assert os.access(found, os.X_OK)
    assert not any(" install " in call for call in calls(tmp_path))

    before = calls(tmp_path)
    assert debian.unpacked("small-static", "small") == found
    assert calls(tmp_path) == before
