"""Every alert, firing and not firing, as Prometheus's own engine and Alertmanager's readers see it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from fleet.alerts import RUNBOOKS, alert_groups, alerts, sent_by_edges
from fleet.compiler import compile_page
from fleet.names import Tier
from fleet.page import read_page
from fleet.plan import Plan
from fleet.promql import metric_names

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "alerts"
CASES = sorted(HERE.rglob("*.test.yaml"))


@pytest.fixture
def plan() -> Plan:
    """A fleet with every way up; its maintenance ends an hour after promtool's clock starts."""
    until = "1970-01-01T01:00:00Z"
    clusters = {
        "hub": {"tier": "global"},
        "eu": {"tier": "regional", "region": "eu"},
        "eu-1": {
            "tier": "leaf",
            "region": "eu",
            "up": "both",
            "maintenance": {"until": until, "reason": "a new {{ kernel }}"},
        },
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
    thanos = {"objectStorage": {"config": "thanos-objects"}, "senders": ["us-1", "lone"], "sidecars": "eu-1"}
    return compile_page(read_page({"clusters": located, "thanos": thanos}, {}))


def rules(plan: Plan, cluster: str) -> list[Any]:
    return [rule for group in alert_groups(plan, plan.clusters[cluster]) for rule in group.rules]


TIERS = {"hub": ".", "eu": "regional", "eu-1": "leaf"}
"""A cluster of each tier that evaluates alerts, and the folder of its tests."""


@pytest.fixture
def rendered(plan: Plan, tmp_path: Path) -> Path:
    for name, tier in TIERS.items():
        (tmp_path / tier).mkdir(exist_ok=True)
        for group in alert_groups(plan, plan.clusters[name]):
            concern = group.name.removeprefix("alerts-")
            (tmp_path / tier / f"{concern}.rules.yaml").write_text(yaml.safe_dump({"groups": [group.spec()]}))
    return tmp_path


def promtool(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.relative_to(HERE)).removesuffix(".test.yaml"))
def test_alerts_fire_when_they_say_and_only_then(case: Path, rendered: Path) -> None:
    folder = rendered / case.parent.relative_to(HERE)
    (folder / case.name).write_text(case.read_text())
    promtool(folder, "test", "rules", case.name)


def test_rendered_alerts_pass_promtools_lint(rendered: Path) -> None:
    for tier in TIERS.values():
        files = [path.name for path in sorted((rendered / tier).glob("*.rules.yaml"))]
        promtool(rendered / tier, "check", "rules", "--lint=all", "--lint-fatal", *files)


def test_the_tests_lie_as_the_alerts_do() -> None:
    assert {case.name.removesuffix(".test.yaml") for case in CASES} == set(alerts())


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
    for name in plan.clusters:
        for rule in rules(plan, name):
            for text in rule["annotations"].values():
                assert "$" not in re.sub(r"\{\{.*?\}\}", "", text), text


def test_every_alert_of_one_cluster_says_which_in_its_labels(plan: Plan) -> None:
    assert [rule["labels"] for rule in rules(plan, "hub") if rule["alert"] == "ClusterSilent"] == [
        {"severity": "critical", "cluster": "eu-1", "region": "eu"},
        {"severity": "critical", "cluster": "us-1", "region": "us"},
        {"severity": "critical", "cluster": "lone"},
        {"severity": "critical", "cluster": "shop-1"},
    ]


def test_alerts_are_evaluated_by_every_prometheus_that_can(plan: Plan) -> None:
    evaluating = {name for name, cluster in plan.clusters.items() if alert_groups(plan, cluster)}
    assert evaluating == {name for name, cluster in plan.clusters.items() if cluster.tier is not Tier.EDGE}


def test_every_alert_of_a_lower_tier_says_whose_it_is(plan: Plan) -> None:
    for name, expected in {"eu-1": {"cluster": "eu-1", "region": "eu"}, "eu": {"region": "eu"}}.items():
        for rule in rules(plan, name):
            if rule["alert"] in FROM_SERIES:
                continue
            assert expected.items() <= rule["labels"].items(), rule


FROM_SERIES = {"FederationTargetDown", "FederationNoSamples", "FederationStale", "FederationLabelConflict"}
"""Their series carry the labels of the child, which is another at every tier."""


def test_the_watchdogs_of_a_fleet_are_told_apart(plan: Plan) -> None:
    watchdogs = [rule["labels"] for name in plan.clusters for rule in rules(plan, name) if rule["alert"] == "Watchdog"]
    assert len(watchdogs) == len(plan.clusters) - 1
    assert all(watchdogs.count(each) == 1 for each in watchdogs)


def test_an_edge_sends_what_alerts_about_it_read(plan: Plan) -> None:
    (edge,) = [each for each in plan.remote_write if each.sender == "shop-1"]
    assert sent_by_edges() <= set(edge.keep)
    about_edges = [rule["expr"] for rule in rules(plan, "hub") if 'cluster=~"|shop-1"' in rule["expr"]]
    read = {name for expr in about_edges for name in metric_names(promql_parser.parse(expr))}
    assert read == sent_by_edges()


def test_an_operator_that_is_anothers_is_nobodys_alert() -> None:
    def jobs(values: dict[str, object]) -> list[str]:
        clusters = {"hub": {"tier": "global", "context": "hub", "values": values}}
        plan = compile_page(read_page({"clusters": clusters}, {}))
        return [rule["labels"]["job"] for rule in rules(plan, "hub") if rule["alert"] == "MonitorDown"]

    every = [f"kube-prometheus-stack-{each}" for each in ("prometheus", "operator", "alertmanager")]
    assert jobs({}) == every
    assert jobs({"prometheusOperator": {"enabled": False}}) == [every[0], every[2]]


@pytest.mark.parametrize(
    ("renew_before", "days"), [("60d", ["21", "3"]), ("8d", ["4", "2"])], ids=["in good time", "late on purpose"]
)
def test_nobody_is_called_for_a_certificate_before_its_renewal_is_due(renew_before: str, days: list[str]) -> None:
    page = {"authority": {"renewBefore": renew_before}, "clusters": {"hub": {"tier": "global", "context": "hub"}}}
    plan = compile_page(read_page(page, {}))
    limits = [rule["expr"].rpartition(" < ")[2] for rule in rules(plan, "hub") if rule["alert"] == "CertificateExpires"]
    assert limits == days
