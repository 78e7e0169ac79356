"""The plugin as a process: it announces its port, and never outlives its engine."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[3] / "local" / "standins" / "bin"
SECONDS = 20.0


@pytest.fixture(params=["kubernetes", "random", "tls"])
def plugin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Started in a folder that has a package named like the stand-ins' own."""
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "__init__.py").touch()
    process = subprocess.Popen(
        [PLUGINS / f"pulumi-resource-{request.param}", "127.0.0.1:1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        text=True,
    )
    with process:
        yield process
        process.kill()


def port(plugin: subprocess.Popen[str]) -> int:
    assert plugin.stdout
    return int(plugin.stdout.readline())


def test_the_first_line_is_the_port(plugin: subprocess.Popen[str]) -> None:
    assert 0 < port(plugin) < 65536


def test_it_ends_when_its_engine_is_gone(plugin: subprocess.Popen[str]) -> None:
    port(plugin)
    assert plugin.stdin
    plugin.stdin.close()
    assert plugin.wait(SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_asked(plugin: subprocess.Popen[str], number: signal.Signals) -> None:
    port(plugin)
    plugin.send_signal(number)
    assert plugin.wait(SECONDS) == 0


def test_an_idle_plugin_is_small(plugin: subprocess.Popen[str]) -> None:
    port(plugin)
    status = Path(f"/proc/{plugin.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    assert resident < 60 * 1024, f"{resident} KiB, of which a fleet has one per cluster"
