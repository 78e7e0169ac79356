"""The CRDs come before the rest, on a real cluster and through the whole program.

An API server drops fields that its CRD does not know. So an object that has kept a new field was written after its
CRD was updated.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from one_cluster import ROOT, Program, program

from local import golang
from local.chart_assembly import assemble, operator_crds

CRD = "prometheusrules.monitoring.coreos.com"
NEW_FIELD = "limit"

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def newer() -> Path:
    return operator_crds(golang.find(), ROOT / "local" / "tools" / "operator")


@pytest.fixture(scope="module")
def older(newer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's CRDs as they were before PrometheusRules had the field."""
    folder = tmp_path_factory.mktemp("older")
    for path in newer.glob("*.yaml"):
        text = path.read_text()
        if f"name: {CRD}\n" in text:
            crd = yaml.safe_load(text)
            assert group_fields(crd).pop(NEW_FIELD)
            text = yaml.safe_dump(crd)
        (folder / path.name).write_text(text)
    return folder


def group_fields(crd: dict[str, Any]) -> dict[str, Any]:
    (version,) = crd["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["groups"]["items"]["properties"]


@pytest.fixture(scope="module")
def installed(older: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program, whose release was made from the chart with the older CRDs."""
    with program(tmp_path_factory.mktemp("crds"), older) as made:
        made.up()
        yield made


def rules(*names: str) -> dict[str, Any]:
    """Chart values of PrometheusRules of these names, with the new field."""
    groups = [{"name": "all", NEW_FIELD: 7, "rules": [{"record": "one", "expr": "vector(1)"}]}]
    return {"additionalPrometheusRulesMap": {name: {"groups": groups} for name in names}}


def test_an_upgrade_updates_the_crds_before_the_objects_that_need_them(installed: Program, newer: Path) -> None:
    def group(name: str) -> dict[str, Any]:
        found = installed.live("prometheusrule", f"kube-prometheus-stack-{name}", "--namespace=monitoring")
        return found["spec"]["groups"][0]

    assert NEW_FIELD not in group_fields(installed.live("crd", CRD))
    assemble(ROOT / "local" / "chart", newer, installed.chart)

    # What Helm does by itself, of which this test has to tell the difference.
    installed.say({**rules("before"), "crds": {"upgradeJob": {"enabled": False}}})
    installed.up()
    assert NEW_FIELD not in group_fields(installed.live("crd", CRD))
    assert NEW_FIELD not in group("before")

    installed.say(rules("before", "after"))
    installed.up()
    assert NEW_FIELD in group_fields(installed.live("crd", CRD))
    assert group("after")[NEW_FIELD] == 7
