"""What is recorded, and who reads it.

`PYTHONPATH=. python tests/rules/catalogue.py` writes it into docs/metrics.md.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import promql_parser

from fleet.alerts import alerts
from fleet.compiler import compile_page
from fleet.compiler.budgets import series_of
from fleet.dashboards import dashboards
from fleet.names import Tier
from fleet.page import Expected, Rule, read_stack
from fleet.plan import Plan
from fleet.promql import result_labels
from fleet.rules import OwnRule, coverage_names, coverage_rules, global_rules, own_rules, region_rules, rule_files
from tests.places import Place

ROOT = Path(__file__).parents[2]
PLACE = Place(ROOT / "docs" / "metrics.md", "recorded by rules/")
PAGE = Expected()
"""The cluster whose series are counted: one of which the page says nothing."""


def names_of(rule: Rule) -> Mapping[str, str]:
    """Every name under which it is recorded, with the aggregation that makes it."""
    above = (*region_rules([rule]), *own_rules([rule]), *global_rules([rule]))
    return {rule.record: rule.text, **dict(above)}


def readers(plan: Plan, names: Iterable[str]) -> Iterator[str]:
    """Rules about the fleet as a whole, alerts and dashboards that read any of `names`."""
    pattern = re.compile("|".join(rf"(?<![\w:]){re.escape(name)}(?![\w:])" for name in names))
    for cluster in plan.clusters.values():
        yield from (f"`{record}`" for record, expr in coverage_rules(cluster) if pattern.search(expr))
    for of_concern in alerts().values():
        yield from sorted({each.alert for each in of_concern if pattern.search(each.expr)})
    for text in dashboards(plan).values():
        board = json.loads(text)
        exprs = (target["expr"] for panel in board["panels"] for target in panel.get("targets", []))
        if any(pattern.search(expr) for expr in exprs):
            yield f"“{board['title']}”"


def table(plan: Plan) -> str:
    return "\n\n".join([*(_file(plan, name, rules) for name, rules in rule_files().items()), _coverage(plan)])


_HEAD = """\
| metric | what it is worth | unit | labels | owner | series | above | read by |
|---|---|---|---|---|---|---|---|"""


def _file(plan: Plan, name: str, rules: Iterable[OwnRule]) -> str:
    rows = "\n".join(_row(plan, rule) for rule in rules)
    return f"### [{name}](../rules/{name}.yaml)\n\n{_HEAD}\n{rows}"


def _row(plan: Plan, rule: OwnRule) -> str:
    labels = result_labels(promql_parser.parse(rule.expr)) or frozenset()
    cells = (
        f"`{rule.record}`",
        rule.reason,
        rule.unit,
        _code(sorted(labels - {"cluster", "region"})),
        rule.owner,
        str(series_of(rule, PAGE)),
        "<br>".join(_above(rule)),
        ", ".join(dict.fromkeys(readers(plan, names_of(rule)))) or f"nobody: {rule.unread}",
    )
    return f"| {' | '.join(cells)} |"


def _above(rule: Rule) -> Iterator[str]:
    for name, _ in (*region_rules([rule]), *own_rules([rule]), *global_rules([rule])):
        by = rule.at_the_top.by if name.startswith("global:") and rule.at_the_top is not None else rule.region.by
        yield f"`{name}`" + (f" by {_code(by)}" if by else "")


def _code(labels: Iterable[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def _coverage(plan: Plan) -> str:
    about = (
        "clusters whose heartbeats should be there, as the page says",
        "clusters whose heartbeats are there; a total is complete where these are as many",
    )
    rows = [
        f"| `{name}` | {what} | {tier} | {', '.join(dict.fromkeys(readers(plan, [name]))) or 'queries by hand'} |"
        for level, tier in (("region", Tier.REGIONAL), ("global", Tier.GLOBAL))
        for name, what in zip(coverage_names(level), about, strict=True)
    ]
    head = "| metric | what it is | recorded at tier | read by |\n|---|---|---|---|"
    return "\n".join(["### Who reports\n", "By `region`, from the plan and the heartbeats.\n", head, *rows])


if __name__ == "__main__":
    PLACE.write(table(compile_page(read_stack("dev", ROOT, {}))))
