import os
from pathlib import Path

import pytest

from fleet.compiler import compile_page
from fleet.page import read_stack
from fleet.plan import Plan
from local import toolchain

ROOT = Path(__file__).parent.parent
WITHOUT_CLUSTERS = ("alertmanager", "amtool", "helm", "promtool")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Workers, which start after this, have what it puts on PATH."""
    if session.config.getoption("numprocesses", None):
        tools = WITHOUT_CLUSTERS if session.config.option.markexpr == "not cluster" else None
        _put_on_path(toolchain.ensure(tools), toolchain.judges())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file run one after another in one process, whatever others run beside it: they share clusters."""
    for item in items:
        if item.get_closest_marker("cluster"):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """The tools that the chosen tests run are built once, and first on PATH."""
    if session.config.option.collectonly:
        return
    if any(item.get_closest_marker("cluster") for item in session.items):
        _put_on_path(toolchain.pulumi_bin(), toolchain.ensure(), toolchain.judges())
    elif "PYTEST_XDIST_WORKER" not in os.environ:
        _put_on_path(toolchain.ensure(WITHOUT_CLUSTERS), toolchain.judges())


def _put_on_path(*folders: Path | None) -> None:
    os.environ["PATH"] = os.pathsep.join([*(str(folder) for folder in folders if folder), os.environ["PATH"]])


@pytest.fixture
def dev() -> Plan:
    """Stack dev, whatever chart the environment names."""
    return compile_page(read_stack("dev", ROOT, {}))
