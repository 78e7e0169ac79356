"""The report: a summary that a comment of a pull request has room for, and all of it for a file beside that."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fleet.review.changed_lines import Lines, Links
from fleet.review.consequences import Consequence, Kind
from fleet.review.description import EdgeSide, Refusal
from fleet.review.differences import VALUES, Change, ClusterChange, ClusterState, Difference, EdgeChange, ObjectChange
from fleet.review.markdown import code, codes, fenced, fold, html, prose
from fleet.review.policies import Judgement

LIMIT = 65_000
"""Bytes of the summary. GitHub takes 65,536 characters; the rest is for whoever posts it."""

_FOLDED = 12
"""Lines of a diff, beyond which it is folded."""
_NAMES = 8
"""Clusters that a summary names of those that something is the same for."""
_ROWS = (40, 15, 5)
"""Of one section of a summary, by how little room there is."""
_CLUSTER = "CLUSTER"
"""Stands for each cluster's own name where several are told at once."""


@dataclass(frozen=True, slots=True)
class Findings:
    stack: str
    base: str
    """How the base is called, and its commit."""
    head: str
    problems: Sequence[Refusal]
    """Of the page at the head: there is nothing to compare then."""
    base_problems: Sequence[Refusal]
    steps: Sequence[Refusal]
    """Of keys, each too large to be taken at once."""
    unrendered: Sequence[tuple[str, str]]
    """Clusters whose new values the chart refuses, and why."""
    notes: Sequence[str]
    """What could not be looked at."""
    difference: Difference | None
    consequences: Sequence[Consequence]
    before: Judgement
    after: Judgement
    lines: Sequence[Lines]
    links: Links
    others: Sequence[str] = field(default_factory=list[str])
    """Files beside the page that differ."""

    @property
    def refusals(self) -> list[str]:
        counted = (
            (len(self.problems), "the page has a problem", "the page has {} problems"),
            (len(self.steps), "a key takes too large a step", "{} keys take too large a step"),
            (
                len(self.unrendered),
                "the chart refuses a cluster's values",
                "the chart refuses the values of {} clusters",
            ),
            (self.after.is_refused, f"a mandatory policy is violated{self._as_before}", ""),
        )
        return [one if count == 1 else several.format(count) for count, one, several in counted if count]

    @property
    def _as_before(self) -> str:
        return ", as before" if {*self.after.violations} <= {*self.before.violations} else ""


@dataclass(frozen=True, slots=True)
class Report:
    headline: str
    summary: str
    """Within `LIMIT`."""
    details: str
    """The same with everything that the summary leaves out."""
    is_refused: bool


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    forms: Sequence[str]
    """All of it, as it is in a summary, and shorter ones for where there is no room."""


def report(found: Findings, details: str) -> Report:
    """`details` is how the file with all of it is called."""
    top = _top(found)
    # The first are the first to be looked at, and the last to be shortened.
    sections = [each for each in _sections(found) if each.forms[0]]
    whole = _joined(top, sections, {})
    levels = {each.title: 1 for each in sections}
    for section in reversed(sections):
        while _size(_joined(top, sections, levels)) > LIMIT - _ROOM and levels[section.title] < len(section.forms) - 1:
            levels[section.title] += 1
    shortened = [each.title for each in sections if each.forms[levels[each.title]] != each.forms[0]]
    summary = _joined(top, sections, levels)
    if shortened:
        summary += f"\n---\n\nShortened here, whole in {code(details)}: {', '.join(shortened)}.\n"
    return Report(f"stack {found.stack}: {_headline(found)}", _cut(summary), whole, is_refused=bool(found.refusals))


_ROOM = 1000
"""Bytes that are left for saying what was shortened."""


def _size(text: str) -> int:
    return len(text.encode())


def _cut(text: str) -> str:
    """For what no shortening has reached: a name of a page may be of any length."""
    if _size(text) <= LIMIT:
        return text
    kept = text.encode()[: LIMIT - _ROOM].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}\n\n(cut here)\n"


def _joined(top: str, sections: Sequence[_Section], levels: Mapping[str, int]) -> str:
    parts = [f"## {each.title}\n\n{each.forms[levels.get(each.title, 0)]}" for each in sections]
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join([top, *parts])).rstrip() + "\n"


def _top(found: Findings) -> str:
    lines = [f"# Stack {code(found.stack)}: {_headline(found)}", ""]
    refusals = found.refusals
    if refusals:
        lines += [f"**Refused:** {'; '.join(refusals)}.", ""]
    else:
        lines += ["Nothing refuses it." if found.difference is not None else "", ""]
    lines += [f"{found.base} → {found.head}", ""]
    for note in found.notes:
        lines += [f"> {note}", ""]
    return "\n".join(lines)


def _headline(found: Findings) -> str:
    if found.problems:
        return "the page does not work"
    if found.difference is None:
        return "nothing to compare with"
    changed, all_of = len(found.difference.changed), len(found.difference.clusters)
    if not changed and not found.difference.edges and not found.consequences:
        return "nothing changes"
    return f"{changed} of {all_of} clusters {'changes' if changed == 1 else 'change'}"


def _sections(found: Findings) -> Iterator[_Section]:
    yield _same("Problems of the page", _problems(found.problems))
    yield _same("Problems of the base", _problems(found.base_problems))
    yield _same("Steps of keys", _problems(found.steps))
    yield _section("The chart refuses", lambda most: _unrendered(found, most))
    yield _section("Policies", lambda most: _policies(found, most))
    yield _section("Look at this first", lambda most: _consequences(found.consequences, most))
    if found.difference is not None:
        yield _section("Clusters", lambda most: _clusters(found.difference, most))
        yield _section("Edges", lambda most: _edges(found.difference, most))
        yield _section("Series budgets", lambda most: _budgets(found.difference, most))
    yield _section("Changed lines", lambda most: _lines(found, most))
    if found.difference is not None:
        yield _whole_or("Topology", _topology(found.difference), "It changes.\n")
        whole = "\n".join(_objects(found.difference.changed))
        counted = sum(len(each.objects) for each in found.difference.changed)
        yield _whole_or("Objects", whole, f"{counted} differ.\n")


def _same(title: str, text: str) -> _Section:
    return _Section(title, (text, text))


def _whole_or(title: str, text: str, short: str) -> _Section:
    return _Section(title, (text, text, short))


def _section(title: str, of: Callable[[int | None], Iterable[str]]) -> _Section:
    """`of` takes how many rows there may be."""
    return _Section(title, [_lined(of(most)) for most in (None, *_ROWS)])


def _lined(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return f"{text}\n" if text else ""


def _at_most(rows: Sequence[str], most: int | None) -> list[str]:
    if most is None or len(rows) <= most:
        return [*rows]
    return [*rows[:most], "", f"and {len(rows) - most} more"]


def _few(most: int | None) -> int | None:
    return None if most is None else _NAMES


# The sections


def _problems(problems: Sequence[Refusal]) -> str:
    parts: list[str] = []
    for each in problems:
        parts.append(f"- {code(each.path)}: {prose(each.message)}")
        if each.fix:
            parts += ["", _indented(fenced(each.fix.strip("\n"), "yaml")), ""]
    return _lined(parts)


def _unrendered(found: Findings, most: int | None) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for name, reason in found.unrendered:
        by_reason.setdefault(reason, []).append(name)
    return _at_most([f"- {codes(names, _few(most))}: {code(reason)}" for reason, names in by_reason.items()], most)


def _policies(found: Findings, most: int | None) -> Iterator[str]:
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
            yield from ("", title, "", *_at_most(_told_policies(lines, found.links, most), most))
    if after.unjudged:
        told = _at_most(_told_policies(after.unjudged, found.links, most), most)
        yield from ("", *fold("What cannot be judged before `pulumi up`", "\n".join(told)))


def _told_policies(lines: Sequence[str], links: Links, most: int | None) -> list[str]:
    """`honor-labels (mandatory, high): eu-1-release: …`; what is the same of several resources is told once."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for line in lines:
        found = _POLICY.fullmatch(line)
        if found is not None:
            places.setdefault((found["policy"], found["level"] or "", found["what"]), []).append(found["where"])
    return [
        f"- [{policy}]({links.to_file(f'docs/policies.md#{policy}')}){level}, {codes(where, _few(most))}: {prose(what)}"
        for (policy, level, what), where in places.items()
    ]


_POLICY = re.compile(r"(?P<policy>[a-z-]+)(?P<level> \([a-z, ]+\))?: (?P<where>[^:]*): (?P<what>.*)", re.DOTALL)


def _consequences(found: Sequence[Consequence], most: int | None) -> Iterator[str]:
    for kind in Kind:
        own = [each for each in found if each.kind is kind]
        if own:
            yield f"**{kind.value}**"
            yield ""
            yield from _at_most([f"- {codes(each.where, _few(most))}: {each.what}" for each in own], most)
            yield ""


def _clusters(found: Difference | None, most: int | None) -> Iterator[str]:
    if found is None or not found.clusters:
        return
    rows = [_cluster_row(each) for each in found.changed]
    if rows:
        yield "| cluster | tier | region | changes | objects |"
        yield "|---|---|---|---|---|"
        yield from _at_most(rows, most)
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


def _edges(found: Difference | None, most: int | None) -> Iterator[str]:
    if found is None or not found.edges:
        return
    rows = [_edge_row(each) for each in found.edges]
    yield "| edge | by | change |"
    yield "|---|---|---|"
    yield from _at_most(rows, most)


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


def _budgets(found: Difference | None, most: int | None) -> Iterator[str]:
    if found is None:
        return
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
        yield from _at_most([_budget_row(each) for each in changed], most)


def _counted(edges: Iterable[EdgeSide]) -> list[EdgeSide]:
    return [each for each in edges if each.budget is not None]


def _counts(edge: EdgeSide | None) -> tuple[int | None, int | None]:
    return (None, None) if edge is None else (edge.estimate, edge.budget)


def _budget_row(edge: EdgeChange) -> str:
    pairs = zip(_counts(edge.before), _counts(edge.after), strict=True)
    cells = [f"{old or '-'} → {new or '-'}" if old != new else f"{new}" for old, new in pairs]
    return f"| {code(edge.id)} | {' | '.join(cells)} |"


def _lines(found: Findings, most: int | None) -> list[str]:
    rows = [_line(each, found.links) for each in found.lines]
    listed = _at_most(rows, most)
    if found.others:
        listed += ["", f"Beside the page {len(found.others)} files differ: {codes(found.others, _NAMES)}."]
    return listed


def _line(lines: Lines, links: Links) -> str:
    place = f"{lines.file}:{lines.first}" + (f"-{lines.last}" if lines.last > lines.first else "")
    about = ", ".join(map(code, lines.about[:_NAMES]))
    more = f" and {len(lines.about) - _NAMES} more" if len(lines.about) > _NAMES else ""
    gone = " taken away" if lines.is_gone else ""
    return f"- [{place}]({links.to(lines)}){gone}: {about or 'nothing that the page knows'}{more}"


def _topology(found: Difference) -> str:
    if found.before.topology == found.after.topology:
        return ""
    parts: list[str] = []
    for title, drawn in (("Before", found.before.topology), ("After", found.after.topology)):
        if drawn:
            parts += [*fold(title, fenced(drawn.strip("\n"), "mermaid")), ""]
    return _lined(parts)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


# Objects


def _objects(changed: Sequence[ClusterChange]) -> Iterator[str]:
    told: dict[tuple[str, str], str] = {}
    groups: dict[tuple[object, ...], list[ClusterChange]] = {}
    for each in (each for each in changed if each.objects):
        groups.setdefault(_likeness(each), []).append(each)
    for clusters in groups.values():
        first = clusters[0]
        names = [each.name for each in clusters]
        general = first.name if len(names) > 1 else None
        yield f"### {codes(names)}"
        yield ""
        if general is not None:
            yield f"{len(names)} clusters, each with its own name for {code(_CLUSTER)}."
            yield ""
        if first.before is None or first.after is None:
            yield _listed(first, general)
            yield ""
            continue
        if relabelled := [each for each in first.objects if each.is_relabelled]:
            yield f"Of {len(relabelled)} objects only labels with the chart's version differ."
            yield ""
        kind = ""
        for each in (each for each in first.objects if not each.is_relabelled):
            if each.name.kind != kind:
                kind = each.name.kind
                yield f"#### {kind}"
                yield ""
            text = _general(each.diff(), general)
            title = _general(f"{each.sign} {each.name}", general)
            earlier = told.setdefault((f"{kind} {title}", text), first.name)
            if earlier != first.name:
                yield f"{code(title)}: as in {code(earlier)}"
            else:
                yield from _diff(title, text)
            yield ""


def _likeness(change: ClusterChange) -> tuple[object, ...]:
    """The same for clusters whose changes read the same but for their names."""
    if change.before is None or change.after is None:
        return (change.changes, _listed(change, change.name))
    return tuple((each.name.kind, _title(each, change), _general(each.diff(), change.name)) for each in change.objects)


def _title(each: ObjectChange, change: ClusterChange) -> str:
    return _general(f"{each.sign} {each.name}", change.name)


def _general(text: str, name: str | None) -> str:
    return text if name is None else re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", _CLUSTER, text)


def _listed(change: ClusterChange, general: str | None) -> str:
    """Of a cluster that is new or gone what it has, by kind: everything in it is new or gone as well."""
    kinds: dict[str, list[str]] = {}
    for each in change.objects:
        kinds.setdefault(each.name.kind, []).append(_general(str(each.name), general))
    rows = [f"- {kind}: {', '.join(map(code, names))}" for kind, names in kinds.items()]
    return "\n".join([f"It is {change.changes[0].value}, with", "", *rows])


def _diff(title: str, text: str) -> Iterator[str]:
    if not text:
        yield f"{code(title)}: nothing that may be shown"
        return
    block = fenced(text, "diff")
    changed = [line[:1] for line in text.splitlines()]
    if len(changed) <= _FOLDED:
        yield code(title)
        yield ""
        yield block
    else:
        yield from fold(f"{html(title)} (+{changed.count('+')} -{changed.count('-')})", block)
