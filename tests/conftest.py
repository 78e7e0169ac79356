import os
from pathlib import Path

import pytest

from fleet.compiler import compile_page
from fleet.page import read_stack
from fleet.plan import Plan
from local import toolchain

ROOT = Path(__file__).parent.parent
WITHOUT_CLUSTERS = ("alertmanager", "amtool", "helm", "promtool")


def pytest_collection_finish(session: pytest.Session) -> None:
    """The tools that the chosen tests run are built once, and first on PATH."""
    if session.config.option.collectonly:
        return
    if any(item.get_closest_marker("cluster") for item in session.items):
        folders = [toolchain.pulumi_bin(), toolchain.ensure(), toolchain.judges()]
    else:
        folders = [toolchain.ensure(WITHOUT_CLUSTERS), toolchain.judges()]
    os.environ["PATH"] = os.pathsep.join([*(str(folder) for folder in folders if folder), os.environ["PATH"]])


@pytest.fixture
def dev() -> Plan:
    """Stack dev, whatever chart the environment names."""
    return compile_page(read_stack("dev", ROOT, {}))
