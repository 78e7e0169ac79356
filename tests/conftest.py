from pathlib import Path

import pytest

from fleet.compiler import compile_page
from fleet.page import read_stack
from fleet.plan import Plan

ROOT = Path(__file__).parent.parent


@pytest.fixture
def dev() -> Plan:
    """Stack dev, whatever chart the environment names."""
    return compile_page(read_stack("dev", ROOT, {}))
