"""Recording rules of a user's own: they get what the program's rules get, and are judged as those are."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.compiler import compile_page
from fleet.errors import FleetError
from fleet.explain import explain
from fleet.page import read_page
from fleet.plan import Plan
from fleet.rules import rule_groups

ROOT = Path(__file__).parents[2]
ABOUT = {"unit": "carts", "reason": "who is about to pay", "owner": "shop"}
CARTS: dict[str, Any] = {
    "record": "cluster:carts:sum",
    "expr": "sum by (cluster, region, namespace) (carts)",
    **ABOUT,
    "region": {"aggregate": "sum", "by": ["namespace"]},
    "global": {"by": []},
}
FULLEST = {"record": "region:carts:max", "expr": "max by (region) (region:cluster_carts:sum)", **ABOUT}
EVERYWHERE = {"record": "global:carts:max", "expr": "max by (region) (region:carts:max)", **ABOUT}


def compiled(rules: object, root: Path = Path()) -> Plan:
    clusters = {
        "hub": {"tier": "global"},
        "eu": {"tier": "regional", "region": "eu"},
        "eu-1": {"tier": "leaf", "region": "eu"},
        "eu-2": {"tier": "leaf", "region": "eu"},
        "shop-1": {"tier": "edge"},
    }
    located = {name: {"context": name, **cluster} for name, cluster in clusters.items()}
    return compile_page(read_page({"rules": rules, "clusters": located}, {}, root))


def recorded(plan: Plan, cluster: str) -> dict[str, str]:
    return {record: expr for group in rule_groups(plan.clusters[cluster]) for record, expr in group.rules}


def refused(rules: object, root: Path = Path()) -> FleetError:
    with pytest.raises(FleetError) as error:
        compiled(rules, root)
    return error.value


def test_a_rule_of_leaves_has_its_counterparts_at_every_tier() -> None:
    plan, without = compiled({"leaf": {"inline": [CARTS]}}), compiled({})
    more = {name: set(recorded(plan, name)) - set(recorded(without, name)) for name in ("eu-1", "eu", "hub")}
    assert more == {
        "eu-1": {"cluster:carts:sum"},
        "eu": {"region:carts:sum", "region:cluster_carts:sum"},
        # Of the edge, and of all.
        "hub": {"cluster:carts:sum", "global:carts:sum"},
    }
    (edge,) = plan.remote_write
    assert "carts" in edge.keep
    # 30 namespaces in each of two leaves, over the region and apart.
    costs = [
        after.estimate - before.estimate for after, before in zip(plan.federation, without.federation, strict=True)
    ]
    assert costs == [30, 30, 120]


def test_rules_of_the_upper_tiers_read_what_reaches_them() -> None:
    rules = {"leaf": {"inline": [CARTS]}, "regional": {"inline": [FULLEST]}, "global": {"inline": [EVERYWHERE]}}
    plan = compiled(rules)
    assert recorded(plan, "eu")["region:carts:max"] == FULLEST["expr"]
    assert recorded(plan, "hub")["global:carts:max"] == EVERYWHERE["expr"]
    assert "global:carts:max" not in recorded(plan, "eu")
    told = explain(plan, plan.rules, "carts").splitlines()
    assert told[-1].startswith("at hub: carts, cluster:carts:sum, ")
    assert told[-1].endswith("global:carts:max")


def test_rules_may_lie_in_files_beside_the_page(tmp_path: Path) -> None:
    (tmp_path / "carts.yaml").write_text(yaml.safe_dump([CARTS]))
    plan = compiled(
        {"leaf": {"files": ["carts.yaml"], "inline": [{**CARTS, "record": "cluster:others:sum"}]}}, tmp_path
    )
    assert {"cluster:carts:sum", "cluster:others:sum"} <= set(recorded(plan, "eu-1"))


MISTAKES: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "a name of no level": ("leaf", {**CARTS, "record": "carts"}, "record", "'carts' is not what this tier records"),
    "a name of another level": ("regional", {**FULLEST, "record": "global:x:max"}, "record", "is not what this tier"),
    "no owner": ("leaf", {key: CARTS[key] for key in CARTS if key != "owner"}, "owner", "is missing"),
    "a key that is none": ("leaf", {**CARTS, "reigon": {}}, "reigon", "unknown key; did you mean region?"),
    "a key that has no effect here": ("leaf", {**CARTS, "unread": "by hand"}, "unread", "unknown key"),
    "no PromQL": ("leaf", {**CARTS, "expr": "sum by ("}, "expr", "does not parse: "),
    "no cluster": ("leaf", {**CARTS, "expr": "sum by (namespace) (carts)"}, "expr", "drops the label cluster"),
    "labels of somebody's choice": ("leaf", {**CARTS, "expr": "carts"}, "expr", "aggregates by no labels of its own"),
    "a label that is dropped below": (
        "leaf",
        {**CARTS, "region": {"aggregate": "sum", "by": ["pod"]}},
        "region.by",
        "keeps the label pod for the region, which the rule itself drops",
    ),
    "a label that the region drops": (
        "leaf",
        {**CARTS, "global": {"by": ["pod"]}},
        "global.by",
        "keeps the label pod, which the region drops",
    ),
    "an average of averages": (
        "leaf",
        {**CARTS, "region": {"aggregate": "avg", "by": ["namespace"]}},
        "region.aggregate",
        "would be an average of averages",
    ),
    "a name that is taken": (
        "leaf",
        {**CARTS, "record": "cluster:namespace_cpu:sum"},
        "record",
        "is recorded by another",
    ),
    "a name that is taken above": (
        "regional",
        {
            **FULLEST,
            "record": "region:cluster_namespace_cpu:sum",
            "expr": "max by (region) (cluster:namespace_cpu:sum)",
        },
        "record",
        "is recorded by another rule already",
    ),
    "an edge's part of what edges have": ("leaf", {**CARTS, "edge": "sum by (cluster) (x)"}, "edge", "has no effect"),
    "no region": ("regional", {**FULLEST, "expr": "max(cluster:namespace_cpu:sum)"}, "expr", "drops the label region"),
    "nobody's series": (
        "global",
        {**EVERYWHERE, "expr": "max by (region) (region:cluster_namespace_cup:sum)"},
        "expr",
        "no rule that this tier hears of records region:cluster_namespace_cup:sum; did you mean",
    ),
}


@pytest.mark.parametrize(("tier", "rule", "field", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_wrong_rule_is_refused_where_it_stands(
    tier: str, rule: dict[str, Any], field: str, message: str, tmp_path: Path
) -> None:
    (inline,) = refused({tier: {"inline": [rule]}}).problems
    assert inline.path == f"rules.{tier}.inline.0.{field}"
    assert message in inline.message
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump([rule]))
    (of_file,) = refused({tier: {"files": ["mine.yaml"]}}, tmp_path).problems
    assert (of_file.path, of_file.message) == (f"mine.yaml.0.{field}", inline.message)


@pytest.mark.parametrize(
    "tier_and_rule", [(tier, rule) for tier, rule, field, _ in MISTAKES.values() if field in {"expr", "region.by"}]
)
def test_a_rule_is_accepted_as_it_is_offered(tier_and_rule: tuple[str, dict[str, Any]]) -> None:
    tier, rule = tier_and_rule
    (problem,) = refused({tier: {"inline": [rule]}}).problems
    compiled(yaml.safe_load(problem.fix)["rules"])


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    assert refused({"leaf": {"files": ["none.yaml"]}}, tmp_path).problems[0].path == "rules.leaf.files.0"
    (tmp_path / "broken.yaml").write_text("- record: [")
    assert refused({"leaf": {"files": ["broken.yaml"]}}, tmp_path).problems[0].path == "broken.yaml"


def test_what_rules_cost_counts_in_the_budget() -> None:
    dear = {**CARTS, "expr": "sum by (cluster, region, namespace, service, node) (carts)"}
    assert "is expected to carry 8913 series" in str(refused({"leaf": {"inline": [dear]}}))


def test_the_rules_in_the_documentation_do_what_it_says(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```yaml\n(rules:\n.*?)```", (ROOT / "docs" / "page.md").read_text(), re.DOTALL)
    rules = yaml.safe_load(shown)["rules"]
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "shop.yaml").write_text("[]")
    plan = compiled(rules, tmp_path)
    assert {"region:shop_carts:sum", "region:cluster_shop_carts:sum", "region:shop_carts:max"} <= set(
        recorded(plan, "eu")
    )
    assert {"global:shop_carts:sum", "global:shop_carts_share:ratio"} <= set(recorded(plan, "hub"))
