import os
import subprocess
from pathlib import Path

import pytest

from local import environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a folder whose name a shell would take apart."""
    folder = tmp_path / 'a "b" $HOME `c`'
    (folder / ".local").mkdir(parents=True)
    monkeypatch.setattr(environment, "CHECKOUT", folder)
    monkeypatch.setattr(environment, "LOCAL", folder / ".local")
    return folder


def sourced(checkout: Path) -> dict[str, str]:
    done = subprocess.run(
        ["bash", "-c", '. "$0" && env -0', checkout / ".local" / "env"],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)


def test_a_shell_gets_what_a_run_has_itself(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = environment.variables(
        tools=checkout / "tools", pulumi=None, standins=checkout / "standins", clusters=["a", "b"]
    )
    environment.write(found)
    in_shell = sourced(checkout)
    monkeypatch.setattr(os, "environ", {"PATH": "/usr/bin:/bin"})
    environment.enter(found)
    assert {name: in_shell[name] for name in found} == os.environ


def test_a_stand_in_comes_last_on_path_and_the_tools_first(checkout: Path) -> None:
    folders = {"tools": checkout / "tools", "pulumi": checkout / "pulumi", "standins": checkout / "standins"}
    environment.write(environment.variables(**folders, clusters=[]))
    assert sourced(checkout)["PATH"].split(":") == [
        str(checkout / ".venv" / "bin"),
        str(checkout / "pulumi"),
        str(checkout / "tools"),
        "/usr/bin",
        "/bin",
        str(checkout / "standins"),
    ]


def test_no_secret_is_in_the_environment_but_the_name_of_its_file(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.write(environment.variables(tools=checkout, pulumi=None, standins=None, clusters=[]))
    assert sourced(checkout)["PULUMI_CONFIG_PASSPHRASE_FILE"].endswith("dev.passphrase")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "it would win")
    assert "PULUMI_CONFIG_PASSPHRASE" not in sourced(checkout)


def test_another_chart_is_passed_on(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_CHART", "oci://registry.example/chart")
    monkeypatch.setenv("FLEET_CHART_VERSION", "1.2.3")
    environment.write(environment.variables(tools=checkout, pulumi=None, standins=None, clusters=[]))
    in_shell = sourced(checkout)
    assert (in_shell["FLEET_CHART"], in_shell["FLEET_CHART_VERSION"]) == ("oci://registry.example/chart", "1.2.3")
