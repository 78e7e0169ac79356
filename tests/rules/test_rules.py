"""Every recording rule, evaluated by Prometheus's own engine on series that are known to be hard."""

import subprocess
from pathlib import Path

import pytest
import yaml

from fleet.plan import Plan
from fleet.rules import RULES, rule_groups

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*.test.yaml"))
GROUPS = {
    "cluster": ("eu-1", "cluster-aggregations"),
    "edges": ("hub", "cluster-aggregations"),
    "region": ("eu", "region-aggregations"),
    "global": ("hub", "global-aggregations"),
}


@pytest.fixture
def rendered(dev: Plan, tmp_path: Path) -> Path:
    for name, (cluster, group) in GROUPS.items():
        (found,) = [each for each in rule_groups(dev.clusters[cluster]) if each.name == group]
        (tmp_path / f"{name}.rules.yaml").write_text(yaml.safe_dump({"groups": [found.spec()]}))
    return tmp_path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_rules_compute_what_they_say(case: Path, rendered: Path) -> None:
    (rendered / case.name).write_text(case.read_text())
    done = subprocess.run(
        ["promtool", "test", "rules", case.name], cwd=rendered, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_rendered_rules_pass_promtools_lint(rendered: Path) -> None:
    files = [path.name for path in sorted(rendered.glob("*.rules.yaml"))]
    command = ["promtool", "check", "rules", "--lint=all", "--lint-fatal", *files]
    done = subprocess.run(command, cwd=rendered, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_of_rules_has_its_tests() -> None:
    of_leaves = {case.name.split(".")[0] for case in CASES} - {"edges", "region", "global"}
    assert of_leaves == {file.stem for file in RULES.glob("*.yaml")}


@pytest.mark.parametrize("file", sorted(RULES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_rule_is_evaluated_in_the_test_of_its_file(file: Path) -> None:
    tests = yaml.safe_load((HERE / f"{file.stem}.test.yaml").read_text())["tests"]
    asked = [each["expr"] for test in tests for each in test["promql_expr_test"]]
    records = [rule["record"] for rule in yaml.safe_load(file.read_text())]
    assert [record for record in records if not any(record in expr for expr in asked)] == []
