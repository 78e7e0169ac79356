"""Nothing is recorded for nobody, nothing is asked for that nobody records, and docs/metrics.md says all of it."""

import pytest
from catalogue import PLACE, names_of, readers, table

from fleet.compiler import compile_page
from fleet.page import read_page
from fleet.plan import Plan
from fleet.promql import Selector
from fleet.rules import OwnRule, cluster_rules, rule_groups


def test_the_catalogue_says_what_is_recorded(dev: Plan) -> None:
    assert PLACE.text() == table(dev), "PYTHONPATH=. python tests/rules/catalogue.py"


@pytest.mark.parametrize("rule", cluster_rules(), ids=lambda rule: rule.record)
def test_a_rule_that_no_alert_and_no_dashboard_reads_says_why_it_is_there(rule: OwnRule, dev: Plan) -> None:
    found = [*readers(dev, names_of(rule))]
    assert (rule.unread is None) == bool(found), f"unread is for rules without a reader; this one has {found}"


@pytest.fixture
def every_way() -> Plan:
    clusters = {
        "hub": {"tier": "global"},
        "eu": {"tier": "regional", "region": "eu"},
        "eu-1": {"tier": "leaf", "region": "eu"},
        "lone": {"tier": "leaf"},
        "writes": {"tier": "leaf", "up": "remote_write"},
        "both": {"tier": "leaf", "region": "eu", "up": "both"},
        "shop-1": {"tier": "edge"},
    }
    located = {name: {"context": name, **cluster} for name, cluster in clusters.items()}
    return compile_page(read_page({"clusters": located}, {}))


def test_every_match_has_a_producer_and_every_record_of_a_child_is_matched(every_way: Plan) -> None:
    for edge in every_way.federation:
        records = {record for group in rule_groups(every_way.clusters[edge.child]) for record in group.records}
        selectors = [Selector.parse(match) for match in edge.matches]
        assert all(selector.selected(records) for selector in selectors)
        assert {name for name in records if not any(each.selects(name) for each in selectors)} == set()


def test_a_leaf_that_writes_sends_exactly_what_it_records(every_way: Plan) -> None:
    for edge in every_way.remote_write:
        records = {record for group in rule_groups(every_way.clusters[edge.sender]) for record in group.records}
        assert not records or set(edge.keep) == records
