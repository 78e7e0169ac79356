"""The stand-in chart, with CRDs that are no more than their names: they are no part of what is compared."""

import re
import shutil
from pathlib import Path

import pytest

from local.chart_assembly import assemble

CHART = Path(__file__).parents[3] / "local" / "chart"


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    crds, out = tmp_path_factory.mktemp("crds"), tmp_path_factory.mktemp("charts") / "chart"
    name = "prometheuses.monitoring.coreos.com"
    crd = f"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: {name}\n"
    (crds / f"{name}.yaml").write_text(crd)
    assemble(CHART, crds, out)
    return out


@pytest.fixture(scope="session")
def newer_chart(chart: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As its next version would be: another operator, which brings another config reloader."""
    newer = tmp_path_factory.mktemp("newer") / "chart"
    shutil.copytree(chart, newer)
    for name, pattern, new in (
        ("Chart.yaml", r"(?m)^version: .*$", "version: 99.0.0"),
        ("Chart.yaml", r"(?m)^appVersion: .*$", "appVersion: v0.99.0"),
    ):
        file = newer / name
        changed, count = re.subn(pattern, new, file.read_text())
        assert count == 1
        file.write_text(changed)
    return newer
