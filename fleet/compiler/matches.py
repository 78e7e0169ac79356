"""What goes up beside the recorded series: named, known below, and never everything."""

from collections.abc import Iterator, Sequence
from itertools import islice

from fleet.errors import Problem, at
from fleet.page import ExtraMatch, Page, Rule
from fleet.page.problems import did_you_mean, nearest
from fleet.promql import Selector, is_literal
from fleet.rules import own_rules, region_rules, source_metrics

_STRANGERS = ("fleet_stranger", "Stranger", "_x", "a:b")
"""Names that nothing produces: a match that selects one of them selects anything."""

_PREFIXES = {"leaf": ("cluster:",), "regional": ("region:", "cluster:")}


def match_problems(page: Page, rules: Sequence[Rule]) -> Iterator[Problem]:
    leaf = _produced_by_leaves(page, rules)
    carried = {name for each in page.federate if each.of == "leaf" for name in _literals(each.match)} & leaf
    recorded = {record for record, _ in (*region_rules(rules), *own_rules(rules))}
    recorded |= {rule.record for rule in page.rules.regional.inline}
    regional = {*recorded, *(rule.record for rule in rules), *carried}
    for number, extra in enumerate(page.federate):
        known = leaf if extra.of == "leaf" else regional
        # The first: further ones only follow from it.
        for message, right in islice(_mistakes(extra, known), 1):
            yield at(["federate", number, "match"], message, right)
    for number, name in enumerate(page.keep):
        if name.startswith(("cluster:", "region:")):
            yield at(["keep", number], "a recorded series goes up by itself; this is for raw metrics")


def _produced_by_leaves(page: Page, rules: Sequence[Rule]) -> set[str]:
    return {*(rule.record for rule in rules), *source_metrics(rules), *page.keep}


def _literals(match: str) -> list[str]:
    try:
        return [branch for branch in Selector.parse(match).branches if is_literal(branch)]
    except ValueError:
        return []


def _mistakes(extra: ExtraMatch, known: set[str]) -> Iterator[tuple[str, str]]:
    """(what is wrong, a match that would do)."""
    sample = _named(min(known))
    try:
        selector = Selector.parse(extra.match)
    except ValueError as error:
        yield str(error), sample
        return
    if selector.selected(_STRANGERS) or not selector.names_metrics:
        yield "matches everything", sample
    if selector.selects("up"):
        yield "would federate up, which above would say that the parent's own targets are down", sample
    for branch in selector.branches:
        yield from _branch_mistakes(branch, selector, known, extra.of)
    if not selector.selected(known):
        yield "excludes everything that it asks for", sample


def _branch_mistakes(branch: str, selector: Selector, known: set[str], tier: str) -> Iterator[tuple[str, str]]:
    sample = _named(min(known))
    if is_literal(branch):
        if branch not in known:
            meant = nearest(branch, known)
            allowed = f"keep: [{branch}] allows it" if tier == "leaf" else "a match of leaf must bring it first"
            hint = did_you_mean(branch, known) or f"; {allowed}"
            message = f"no rule and no allowed metric below produces {branch!r}{hint}"
            yield message, _named(meant) if meant else sample
    elif not branch.startswith(_PREFIXES[tier]):
        yield f"{branch!r} is open to metrics that nobody has allowed; name each of them", sample
    elif not selector.selected(known):
        yield f"no rule below produces anything like {branch!r}", sample


def _named(metric: str) -> str:
    return f'{{__name__="{metric}"}}'
