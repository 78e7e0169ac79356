"""Every alert, firing and not firing, as Prometheus's own engine and Alertmanager's readers see it."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from fleet.alerts import RUNBOOKS, alert_groups, alerts
from fleet.compiler import compile_page
from fleet.page import read_page
from fleet.plan import Plan

ROOT = Path(__file__).parents[2]
CASES = sorted((Path(__file__).parent / "alerts").glob("*.test.yaml"))


@pytest.fixture
def plan() -> Plan:
    """A fleet with every way up; its maintenance ends an hour after promtool's clock starts."""
    until = "1970-01-01T01:00:00Z"
    clusters = {
        "hub": {"tier": "global"},
        "eu": {"tier": "regional", "region": "eu"},
        "eu-1": {"tier": "leaf", "region": "eu", "maintenance": {"until": until, "reason": "a new {{ kernel }}"}},
        "us": {
            "tier": "regional",
            "region": "us",
            "discover": {"found": {"namespace": "shop"}},
            "maintenance": {"until": until, "reason": "the network moves"},
        },
        "us-1": {"tier": "leaf", "region": "us"},
        "lone": {"tier": "leaf", "budget": 1000, "expect": {"services": 1}},
        "shop-1": {"tier": "edge"},
    }
    located = {name: {"context": name, **cluster} for name, cluster in clusters.items()}
    return compile_page(read_page({"clusters": located}, {}))


@pytest.fixture
def rendered(plan: Plan, tmp_path: Path) -> Path:
    for group in alert_groups(plan, plan.clusters["hub"]):
        concern = group.name.removeprefix("alerts-")
        (tmp_path / f"{concern}.rules.yaml").write_text(yaml.safe_dump({"groups": [group.spec()]}))
    return tmp_path


def promtool(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.split(".")[0])
def test_alerts_fire_when_they_say_and_only_then(case: Path, rendered: Path) -> None:
    (rendered / case.name).write_text(case.read_text())
    promtool(rendered, "test", "rules", case.name)


def test_rendered_alerts_pass_promtools_lint(rendered: Path) -> None:
    files = [path.name for path in sorted(rendered.glob("*.rules.yaml"))]
    assert [name.split(".")[0] for name in files] == list(alerts())
    promtool(rendered, "check", "rules", "--lint=all", "--lint-fatal", *files)


@pytest.mark.parametrize("name", [each.alert for of_concern in alerts().values() for each in of_concern])
def test_every_alert_is_seen_firing_and_not_firing(name: str) -> None:
    found = [
        each["exp_alerts"]
        for case in CASES
        for test in yaml.safe_load(case.read_text())["tests"]
        for each in test["alert_rule_test"]
        if each["alertname"] == name
    ]
    # What never ends has no other side.
    assert {bool(each) for each in found} == ({True} if name == "Watchdog" else {True, False})


@pytest.mark.parametrize("name", [each.alert for of_concern in alerts().values() for each in of_concern])
def test_every_alert_has_a_runbook_with_what_one_needs_at_night(name: str) -> None:
    text = (ROOT / RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Meaning", "Impact", "Diagnosis", "Remedy"]


def test_every_runbook_belongs_to_an_alert() -> None:
    known = {each.alert for of_concern in alerts().values() for each in of_concern}
    assert {path.stem for path in (ROOT / RUNBOOKS).glob("*.md")} == known


def test_no_placeholder_is_left_in_what_people_read(plan: Plan) -> None:
    for group in alert_groups(plan, plan.clusters["hub"]):
        for rule in group.rules:
            for text in rule["annotations"].values():
                assert "$" not in re.sub(r"\{\{.*?\}\}", "", text), text


def test_every_alert_of_one_cluster_says_which_in_its_labels(plan: Plan) -> None:
    rules = [rule for group in alert_groups(plan, plan.clusters["hub"]) for rule in group.rules]
    labels = {name: [rule["labels"] for rule in rules if rule["alert"] == name] for name in ("ClusterSilent",)}
    assert labels["ClusterSilent"] == [
        {"severity": "critical", "cluster": "eu-1", "region": "eu"},
        {"severity": "critical", "cluster": "us-1", "region": "us"},
        {"severity": "critical", "cluster": "lone"},
        {"severity": "critical", "cluster": "shop-1"},
    ]


def test_alerts_are_evaluated_where_they_can_be_sent_from(plan: Plan) -> None:
    assert {name for name, cluster in plan.clusters.items() if alert_groups(plan, cluster)} == {"hub"}


@pytest.mark.parametrize(
    ("renew_before", "days"), [("60d", ["21", "3"]), ("8d", ["4", "2"])], ids=["in good time", "late on purpose"]
)
def test_nobody_is_called_for_a_certificate_before_its_renewal_is_due(renew_before: str, days: list[str]) -> None:
    page = {"authority": {"renewBefore": renew_before}, "clusters": {"hub": {"tier": "global", "context": "hub"}}}
    plan = compile_page(read_page(page, {}))
    rules = [rule for group in alert_groups(plan, plan.clusters["hub"]) for rule in group.rules]
    limits = [rule["expr"].rpartition(" < ")[2] for rule in rules if rule["alert"] == "CertificateExpires"]
    assert limits == days
