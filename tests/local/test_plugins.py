"""An official plugin wins wherever it can be had; who serves is said in one line each."""

import os
from importlib.metadata import version
from pathlib import Path

import pytest

from local import plugins

KUBERNETES = version("pulumi-kubernetes")
ALL = ["pulumi-resource-kubernetes", "pulumi-resource-random", "pulumi-resource-tls"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, with a pulumi that has no plugins and reaches no network."""
    folder = tmp_path / "bin"
    folder.mkdir()
    pulumi(folder, installed="[]", install=1)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def pulumi(folder: Path, *, installed: str, install: int) -> None:
    script = (
        f'#!/bin/sh\n[ "$2" = ls ] && echo \'{installed}\' && exit 0\n[ "$4" = random ] && exit 1\nexit {install}\n'
    )
    program(folder, "pulumi", script)


def program(folder: Path, name: str, script: str = "#!/bin/sh\n") -> None:
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


def in_use() -> Path:
    return Path(os.environ["PATH"].split(":")[0]).parent / "standins"


def standins() -> list[str]:
    folder = plugins.standins(in_use())
    return sorted(path.name for path in folder.iterdir()) if folder else []


@pytest.mark.usefixtures("machine")
def test_stand_ins_serve_where_nothing_official_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    assert standins() == ALL
    assert capsys.readouterr().err.count("the stand-in serves") == len(plugins.PLUGINS)


def test_an_official_plugin_on_path_wins(machine: Path) -> None:
    program(machine, "pulumi-resource-kubernetes")
    assert standins() == ["pulumi-resource-random", "pulumi-resource-tls"]


def test_an_installed_plugin_wins_in_the_version_of_its_sdk_alone(machine: Path) -> None:
    pulumi(machine, installed=f'[{{"name": "kubernetes", "version": "{KUBERNETES}"}}]', install=1)
    assert standins() == ["pulumi-resource-random", "pulumi-resource-tls"]
    pulumi(machine, installed='[{"name": "kubernetes", "version": "1.0.0"}]', install=1)
    assert standins() == ALL


def test_a_plugin_that_can_be_installed_wins(machine: Path) -> None:
    pulumi(machine, installed="[]", install=0)
    assert standins() == ["pulumi-resource-random"]


def test_a_stand_in_that_is_no_longer_needed_leaves_path(machine: Path) -> None:
    assert len(standins()) == len(plugins.PLUGINS)
    for name in plugins.PLUGINS:
        program(machine, f"pulumi-resource-{name}")
    assert plugins.standins(in_use()) is None
    assert not in_use().exists()
