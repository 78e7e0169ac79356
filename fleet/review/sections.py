"""The sections of a report but for the objects. `most` is how many rows there may be, None for all of them."""

import re
from collections.abc import Iterable, Iterator, Sequence

from fleet.review.changed_lines import Lines, Links
from fleet.review.consequences import Consequence, Kind
from fleet.review.description import EdgeSide, Refusal
from fleet.review.differences import VALUES, Change, ClusterChange, ClusterState, Difference, EdgeChange
from fleet.review.findings import Findings
from fleet.review.markdown import at_most, code, codes, fenced, fold, lined, prose

_NAMES = 8
"""Of what something is the same for, where there is no room for all."""


def _few(most: int | None) -> int | None:
    return None if most is None else _NAMES


def problems_section(problems: Sequence[Refusal]) -> str:
    parts: list[str] = []
    for each in problems:
        parts.append(f"- {code(each.path)}: {prose(each.message)}")
        if each.fix:
            parts += ["", _indented(fenced(each.fix.strip("\n"), "yaml")), ""]
    return lined(parts)


def unrendered_section(found: Findings, most: int | None) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for name, reason in found.unrendered:
        by_reason.setdefault(reason, []).append(name)
    return at_most([f"- {codes(names, _few(most))}: {code(reason)}" for reason, names in by_reason.items()], most)


def policies_section(found: Findings, most: int | None) -> Iterator[str]:
    after = found.after
    if after.failure is not None:
        yield f"Not judged: {prose(after.failure)}."
        return
    if found.difference is None and not after.violations and not after.unjudged:
        return
    before = found.before.violations
    if not after.violations:
        yield "No policy is violated."
    for title, lines in (
        ("New:", [each for each in after.violations if each not in before]),
        ("As before:", [each for each in after.violations if each in before]),
    ):
        if lines:
            yield from ("", title, "", *at_most(_told_policies(lines, found.links, most), most))
    if after.unjudged:
        told = at_most(_told_policies(after.unjudged, found.links, most), most)
        yield from ("", *fold("What cannot be judged before `pulumi up`", "\n".join(told)))


def _told_policies(lines: Sequence[str], links: Links, most: int | None) -> list[str]:
    """`honor-labels (mandatory, high): eu-1-release: …`; what is the same of several resources is told once."""
    places: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        found = _POLICY.fullmatch(line)
        about, where, what = (found["about"], found["where"], found["what"]) if found is not None else ("", "", line)
        places.setdefault((about, what), []).append(where)
    return [
        f"- {_about(about, links)}{codes(where, _few(most))}: {prose(what)}" for (about, what), where in places.items()
    ]


def _about(about: str, links: Links) -> str:
    policy, _, level = about.partition(" ")
    return f"[{policy}]({links.to_file(f'docs/policies.md#{policy}')}) {level}, ".replace(" , ", ", ") if policy else ""


_POLICY = re.compile(r"(?P<about>[a-z-]+(?: \([a-z, ]+\))?): (?P<where>[^:]*): (?P<what>.*)", re.DOTALL)


def consequences_section(found: Sequence[Consequence], most: int | None) -> Iterator[str]:
    for kind in Kind:
        own = [each for each in found if each.kind is kind]
        if own:
            yield f"**{kind.value}**"
            yield ""
            yield from at_most([f"- {codes(each.where, _few(most))}: {each.what}" for each in own], most)
            yield ""


def clusters_section(found: Difference, most: int | None) -> Iterator[str]:
    rows = [_cluster_row(each) for each in found.changed]
    if rows:
        yield "| cluster | tier | region | changes | objects |"
        yield "|---|---|---|---|---|"
        yield from at_most(rows, most)
    same = [each.name for each in found.clusters if not each.is_changed]
    if same:
        yield ""
        yield f"Unchanged: {codes(same) if len(same) <= _NAMES else f'{len(same)} clusters'}."


def _cluster_row(change: ClusterChange) -> str:
    state = change.after or change.before
    if state is None:
        raise ValueError("a cluster of neither side")
    side = state.side
    words = [_change(each, change) for each in change.changes]
    counts = [(sign, sum(each.sign == sign for each in change.objects if each.name != VALUES)) for sign in "+~-"]
    shown = " ".join(f"{sign}{count}" for sign, count in counts if count)
    return f"| {code(change.name)} | {side.tier} | {side.region or ''} | {', '.join(words)} | {shown} |"


def _change(change: Change, of: ClusterChange) -> str:
    if change is not Change.CHART or of.before is None or of.after is None:
        return change.value
    old, new = (_chart(each) for each in (of.before, of.after))
    return f"chart {code(old)} → {code(new)}" if old != new else f"chart {code(new)}, other contents"


def _chart(state: ClusterState) -> str:
    return state.chart.version if state.chart is not None else state.side.chart.version or state.side.chart.source


def edges_section(found: Difference, most: int | None) -> Iterator[str]:
    if not found.edges:
        return
    rows = [_edge_row(each) for each in found.edges]
    yield "| edge | by | change |"
    yield "|---|---|---|"
    yield from at_most(rows, most)


def _edge_row(edge: EdgeChange) -> str:
    side = edge.side
    if edge.before is None:
        change = "new"
    elif edge.after is None:
        change = "gone"
    else:
        change = "; ".join(_fact(*each) for each in edge.facts())
    return f"| {code(edge.id)} | {side.kind} | {change} |"


def _fact(name: str, gone: Sequence[str], new: Sequence[str]) -> str:
    if len(gone) == len(new) == 1:
        return f"{name} {code(gone[0])} → {code(new[0])}"
    shown = [f"{sign}{code(each)}" for sign, of in (("-", gone), ("+", new)) for each in of[:_NAMES]]
    more = max(len(gone) - _NAMES, 0) + max(len(new) - _NAMES, 0)
    return f"{name} {' '.join(shown)}" + (f" and {more} more" if more else "")


def budgets_section(found: Difference, most: int | None) -> Iterator[str]:
    before, after = (_counted(each.edges.values()) for each in (found.before, found.after))
    if not before and not after:
        return
    yield "| | edges | series expected | budget |"
    yield "|---|--:|--:|--:|"
    for name, of in (("before", before), ("after", after)):
        estimate, budget = sum(each.estimate or 0 for each in of), sum(each.budget or 0 for each in of)
        yield f"| {name} | {len(of)} | {estimate} | {budget} |"
    changed = [each for each in found.edges if _counts(each.before) != _counts(each.after)]
    if changed:
        yield ""
        yield "| edge | series expected | budget |"
        yield "|---|---|---|"
        yield from at_most([_budget_row(each) for each in changed], most)


def _counted(edges: Iterable[EdgeSide]) -> list[EdgeSide]:
    return [each for each in edges if each.budget is not None]


def _counts(edge: EdgeSide | None) -> tuple[int | None, int | None]:
    return (None, None) if edge is None else (edge.estimate, edge.budget)


def _budget_row(edge: EdgeChange) -> str:
    pairs = zip(_counts(edge.before), _counts(edge.after), strict=True)
    cells = [f"{old or '-'} → {new or '-'}" if old != new else f"{new}" for old, new in pairs]
    return f"| {code(edge.id)} | {' | '.join(cells)} |"


def lines_section(found: Findings, most: int | None) -> list[str]:
    rows = [_line(each, found.links) for each in found.lines]
    listed = at_most(rows, most)
    if found.others:
        listed += ["", f"Beside the page {len(found.others)} files differ: {codes(found.others, _NAMES)}."]
    return listed


def _line(lines: Lines, links: Links) -> str:
    place = f"{lines.file}:{lines.first}" + (f"-{lines.last}" if lines.last > lines.first else "")
    about = ", ".join(map(code, lines.about[:_NAMES]))
    more = f" and {len(lines.about) - _NAMES} more" if len(lines.about) > _NAMES else ""
    gone = " taken away" if lines.is_gone else ""
    return f"- [{place}]({links.to(lines)}){gone}: {about or 'nothing that the page knows'}{more}"


def topology_section(found: Difference) -> str:
    if found.before.topology == found.after.topology:
        return ""
    parts: list[str] = []
    for title, drawn in (("Before", found.before.topology), ("After", found.after.topology)):
        if drawn:
            parts += [*fold(title, fenced(drawn.strip("\n"), "mermaid")), ""]
    return lined(parts)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
