"""Every recording rule, evaluated by Prometheus's own engine on series that are known to be hard."""

import subprocess
from pathlib import Path

import pytest
import yaml

from fleet.plan import Plan
from fleet.rules import cluster_rules, rule_groups

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*.test.yaml"))


@pytest.fixture
def rendered(dev: Plan, tmp_path: Path) -> Path:
    for name, cluster in {"cluster": "eu-1", "region": "eu", "global": "hub"}.items():
        # Of edges the global cluster records what a leaf records of itself.
        own = [group for group in rule_groups(dev.clusters[cluster]) if group.name.startswith(name)]
        groups = [group.spec() for group in own]
        (tmp_path / f"{name}.rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
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


def test_every_rule_is_named_in_a_test() -> None:
    text = "".join(case.read_text() for case in CASES)
    assert [rule.record for rule in cluster_rules() if f"expr: {rule.record}" not in text] == []
