"""Rules that could not do their work at some level."""

from collections import Counter
from collections.abc import Iterator, Sequence

import promql_parser

from fleet.errors import Problem
from fleet.promql import result_labels
from fleet.rules import Rule


def rule_problems(rules: Sequence[Rule]) -> Iterator[Problem]:
    for record, count in Counter(rule.record for rule in rules).items():
        if count > 1:
            yield Problem(f"rules.{record}", f"is recorded by {count} rules")
    for rule in rules:
        try:
            labels = result_labels(promql_parser.parse(rule.expr))
        except ValueError as error:
            yield Problem(f"rules.{rule.record}.expr", f"does not parse: {error}")
            continue
        if labels is None:
            message = "aggregates by no labels of its own choice, so nobody can say how many series it makes"
            yield Problem(f"rules.{rule.record}.expr", message, f"expr: sum by (cluster) ({rule.expr.strip()})")
            continue
        if "cluster" not in labels:
            message = "drops the label cluster, without which clusters cannot be told apart at the level above"
            by = ", ".join(("cluster", *sorted(labels)))
            yield Problem(f"rules.{rule.record}.expr", message, f"expr: sum by ({by}) (…)")
        for label in rule.region.by:
            if label not in labels:
                message = f"keeps the label {label} for the region, which the rule itself drops"
                kept = ", ".join(each for each in rule.region.by if each in labels)
                yield Problem(f"rules.{rule.record}.region.by", message, f"by: [{kept}]")
