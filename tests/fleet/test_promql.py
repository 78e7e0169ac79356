import promql_parser
import pytest

from fleet.compiler import compile_page
from fleet.errors import FleetError
from fleet.page import InRegion, Rule, read_page
from fleet.promql import Selector, result_labels, values_named


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ("x", None),
        ("sum(x)", ""),
        ("sum by (a, b) (x)", "a b"),
        ("sum without (a) (x)", None),
        ("sum without (a) (sum by (a, b) (x))", "b"),
        ("topk(3, sum by (a) (x))", "a"),
        ("rate(x[5m])", None),
        ("1 - avg by (a) (x)", "a"),
        ("avg by (a) (x) * 100", "a"),
        ("sum by (a, b) (x) / on (a) sum by (a) (y)", "a"),
        ("sum by (a, b) (x) / ignoring (b) sum by (a) (y)", "a"),
        ("sum by (a, b) (x) * on (a) group_left (c) y", "a b c"),
        ("sum by (a) (x) * on (a) group_right sum by (a, b) (y)", "a b"),
        ("sum by (a, b) (x) or sum by (a) (y)", "a"),
        ("sum by (a, b) (x) and y", "a b"),
        ("absent(x)", ""),
        ("vector(1)", ""),
        ('label_replace(sum by (a) (x), "b", "$1", "a", "(.*)")', "a b"),
        ("histogram_quantile(0.9, sum by (a, le) (x))", "a"),
        ("max_over_time(sum by (a) (x)[5m:1m])", "a"),
        ("-(sum by (a) (x))", "a"),
    ],
)
def test_the_labels_of_a_result_are_read_off_its_expression(expr: str, labels: str | None) -> None:
    expected = frozenset(labels.split()) if labels is not None else None
    assert result_labels(promql_parser.parse(expr)) == expected


@pytest.mark.parametrize(
    ("expr", "count"),
    [
        ('rate(x_bucket{le="1"}[5m])', 1),
        ('sum by (le) (rate(x_bucket{le=~"0.1|1([.]0)?|[+]Inf"}[5m]))', 3),
        ('x{le=~"1|2"} or y{le=~"1|2|3"}', 3),
        ('x{le=~"1|2"} or y', None),
        ('x{le=~"1|2"} or label_replace(y, "le", "3", "", "")', 3),
        ('x{le=~"1([.]0)?|2"} or label_replace(y, "le", "1.0", "", "")', 2),
        ('x{le=~"1|2"} or label_replace(y, "le", "$1", "a", "(.*)")', None),
        ('x{le=~"1|2"} or label_replace(y, "other", "3", "", "")', None),
        ('x{le=~"1|2"} / 60', 2),
        ('x{le=~"1.*"}', None),
        ('x{le!="1"}', None),
        ("vector(1)", None),
    ],
)
def test_values_are_counted_where_every_selector_names_them(expr: str, count: int | None) -> None:
    assert values_named(promql_parser.parse(expr), "le") == count


def rule(expr: str, *by: str) -> Rule:
    region = InRegion(aggregate="sum", by=by)
    about = {"unit": "things", "reason": "to be counted", "owner": "platform"}
    return Rule(record="cluster:thing:sum", expr=expr, region=region, **about)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            [rule("sum by (namespace) (x)")],
            "rules/cluster:thing:sum.expr: drops the label cluster, without which clusters cannot be told apart",
        ),
        (
            [rule("sum without (pod) (x)")],
            "rules/cluster:thing:sum.expr: aggregates by no labels of its own choice, so nobody can say how many",
        ),
        (
            [rule("sum by (cluster) (x)", "namespace")],
            "rules/cluster:thing:sum.region.by: keeps the label namespace for the region, which the rule itself drops",
        ),
        ([rule("sum by (cluster (x)")], "rules/cluster:thing:sum.expr: does not parse: "),
        ([rule("sum by (cluster) (x)")] * 2, "rules/cluster:thing:sum: is recorded by 2 rules"),
    ],
)
def test_a_rule_that_could_not_do_its_work_is_refused(rules: list[Rule], message: str) -> None:
    page = {"clusters": {"hub": {"tier": "global", "context": "hub"}, "eu-1": {"tier": "leaf", "context": "eu-1"}}}
    with pytest.raises(FleetError) as refused:
        compile_page(read_page(page, {}), rules)
    assert str(refused.value).splitlines()[0].startswith(message)


@pytest.mark.parametrize(
    ("match", "selected"),
    [
        ("aa", {"aa"}),
        ('{__name__="aa"}', {"aa"}),
        ('{__name__=~"a."}', {"aa", "ab"}),
        ('{__name__=~"a",x="y"}', set[str]()),
        ('{__name__=~"a.*",__name__!="ab"}', {"aa", "aab"}),
        ('{__name__=~"a.*",__name__!~"aa.*"}', {"ab"}),
    ],
)
def test_a_selector_selects_as_prometheus_does_anchored_at_both_ends(match: str, selected: set[str]) -> None:
    assert set(Selector.parse(match).selected(["aa", "ab", "aab"])) == selected
