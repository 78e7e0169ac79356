from pathlib import Path

import pytest

from fleet.page import read_stack
from fleet.plan import Plan, compile_page
from fleet.rules import source_metrics

ROOT = Path(__file__).parent.parent


@pytest.fixture
def dev() -> Plan:
    """Stack dev, whatever chart the environment names."""
    return compile_page(read_stack("dev", ROOT, {}), source_metrics())
