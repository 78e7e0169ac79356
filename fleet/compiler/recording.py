"""Rules that could not do their work at some level."""

from collections import Counter
from collections.abc import Iterator, Sequence

import promql_parser
from promql_parser import AggModifierType, AggregateExpr

from fleet.errors import Problem, dotted, yaml_at
from fleet.page import Page, Recorded, Rule
from fleet.page.problems import did_you_mean
from fleet.promql import Labels, result_labels
from fleet.rules import coverage_names, global_rules, own_rules, reads, region_rules

_Mistake = tuple[str, str, dict[str, object]]
"""(field, what is wrong, fields that would do)."""


def rule_problems(rules: Sequence[Rule]) -> Iterator[Problem]:
    """Of those in `rules/`."""
    for record, count in Counter(rule.record for rule in rules).items():
        if count > 1:
            yield Problem(f"rules/{record}", f"is recorded by {count} rules")
    for rule in rules:
        for field, message, right in _mistakes(rule):
            yield Problem(f"rules/{rule.record}.{field}", message, yaml_at((), right))


def added_rule_problems(page: Page, rules: Sequence[Rule]) -> Iterator[Problem]:
    """Of those that the page adds to `rules`."""
    own = page.rules.leaf.inline
    below = {name for rule in (*rules, *own) for name in _names_of(rule)} | {*coverage_names("region")}
    at_the_top = {name for name, _ in global_rules((*rules, *own))} | {*coverage_names("global")}
    regional = {rule.record for rule in page.rules.regional.inline}
    taken = Counter([*(name for rule in rules for name in _names_of(rule)), *coverage_names("region")])
    taken.update(name for rule in own for name in _names_of(rule))
    for number, rule in enumerate(own):
        where = ("rules", "leaf", "inline", number)
        yield from _of_page(where, rule, [*_taken(rule.record, taken), *_mistakes(rule)])
    taken.update([*regional, *at_the_top])
    taken.update(rule.record for rule in page.rules.global_.inline)
    for number, rule in enumerate(page.rules.regional.inline):
        found = [*_taken(rule.record, taken), *_above(rule, "region", below | regional)]
        yield from _of_page(("rules", "regional", "inline", number), rule, found)
    known = below | regional | at_the_top | {rule.record for rule in page.rules.global_.inline}
    for number, rule in enumerate(page.rules.global_.inline):
        found = [*_taken(rule.record, taken), *_above(rule, None, known)]
        yield from _of_page(("rules", "global", "inline", number), rule, found)


def _names_of(rule: Rule) -> Iterator[str]:
    yield rule.record
    yield from (name for name, _ in (*region_rules([rule]), *own_rules([rule])))


def _of_page(where: tuple[str | int, ...], rule: Recorded, mistakes: Sequence[_Mistake]) -> Iterator[Problem]:
    written = rule.model_dump(mode="json", by_alias=True, exclude_unset=True)
    # The first: further ones only follow from it.
    for field, message, fields in mistakes[:1]:
        right = {**written, **fields}
        if rule.place is not None:
            yield Problem(f"{rule.place}.{field}", message, yaml_at(where[-1:], right))
        else:
            yield Problem(dotted((*where, field)), message, yaml_at(where, right))


def _taken(record: str, taken: Counter[str]) -> Iterator[_Mistake]:
    if taken[record] > 1:
        level, metric, operation = record.split(":")
        yield "record", "is recorded by another rule already", {"record": f"{level}:own_{metric}:{operation}"}


def _mistakes(rule: Rule) -> Iterator[_Mistake]:
    labels = frozenset[str]()
    needed = ("cluster", "region", *rule.region.by)
    for field, expr in (("expr", rule.expr), ("edge", rule.edge)):
        if expr is None:
            continue
        try:
            labels = result_labels(promql_parser.parse(expr))
        except ValueError as error:
            yield field, f"does not parse: {error}", {field: f"sum by ({', '.join(needed)}) ({_A_METRIC})"}
            return
        if labels is None:
            yield field, _UNKNOWN_LABELS, {field: f"sum by ({', '.join(needed)}) ({expr.strip()})"}
            return
        # What a tier says of itself gets its labels on its way up; of edges, the global cluster records it.
        if "cluster" not in labels and (rule.of == "workloads" or field == "edge"):
            message = "drops the label cluster, without which clusters cannot be told apart at the level above"
            yield field, message, {field: _keeping(expr, labels, needed)}
            return
    if rule.edge is not None and rule.of not in {"prometheus", "writer"}:
        yield "edge", f"has no effect: of {rule.of}, edges are recorded by expr or not at all", {"of": "prometheus"}
    yield from _mistakes_above(rule, labels or frozenset())


_A_METRIC = "kube_pod_info"

_UNKNOWN_LABELS = "aggregates by no labels of its own choice, so nobody can say how many series it makes"


def _mistakes_above(rule: Rule, labels: Labels) -> Iterator[_Mistake]:
    aggregate = {"aggregate": rule.region.aggregate}
    for label in rule.region.by:
        if label not in labels:
            message = f"keeps the label {label} for the region, which the rule itself drops"
            kept = [each for each in rule.region.by if each in labels]
            yield "region.by", message, {"region": {**aggregate, "by": kept}}
            return
    if rule.at_the_top is not None:
        if lost := [each for each in rule.at_the_top.by if each not in rule.region.by]:
            message = f"keeps the label {lost[0]}, which the region drops"
            kept = [each for each in rule.at_the_top.by if each in rule.region.by]
            yield "global.by", message, {"global": {"by": kept}}
        elif rule.of != "workloads":
            yield "global", f"has no effect: what is of {rule.of} is recorded at the top as it is for the region", {}
    if rule.region.aggregate == "avg" and not labels - {"cluster", "region", *rule.region.by}:
        message = "would be an average of averages, where a small cluster counts as much as a large one"
        yield "region.aggregate", message, {"region": {"aggregate": "sum", "by": list(rule.region.by)}}


def _keeping(expr: str, labels: Labels, needed: Sequence[str]) -> str:
    parsed = promql_parser.parse(expr)
    by = ", ".join(dict.fromkeys((*needed, *sorted(labels))))
    # What an aggregation takes in has more labels than what it gives out.
    if isinstance(parsed, AggregateExpr) and (parsed.modifier is None or parsed.modifier.type == AggModifierType.By):
        of = f"{parsed.param}, " if parsed.param is not None else ""
        return f"{parsed.op} by ({by}) ({of}{parsed.expr})".replace("{}", "")
    return f"sum by ({by}) ({_A_METRIC})"


def _above(rule: Recorded, needed: str | None, known: set[str]) -> Iterator[_Mistake]:
    try:
        labels = result_labels(promql_parser.parse(rule.expr))
    except ValueError as error:
        yield "expr", f"does not parse: {error}", {"expr": f"max by (region) ({min(known)})"}
        return
    if labels is None:
        yield "expr", _UNKNOWN_LABELS, {"expr": f"sum by (region) ({rule.text})"}
        return
    if needed is not None and needed not in labels:
        message = f"drops the label {needed}, without which {needed}s cannot be told apart at the level above"
        yield "expr", message, {"expr": _keeping(rule.expr, labels, (needed,))}
        return
    for name in sorted(reads(rule.expr)):
        if name.startswith(("cluster:", "region:", "global:")) and name not in known:
            message = f"no rule that this tier hears of records {name}{did_you_mean(name, known)}"
            yield "expr", message, {"expr": f"max by (region) ({min(known)})"}
            return
