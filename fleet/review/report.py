"""The report: a summary that a comment of a pull request has room for, and all of it for a file beside that."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fleet.review.findings import Findings
from fleet.review.markdown import code, lined
from fleet.review.object_diffs import object_diffs
from fleet.review.sections import (
    budgets_section,
    clusters_section,
    consequences_section,
    edges_section,
    lines_section,
    policies_section,
    problems_section,
    topology_section,
    unrendered_section,
)

LIMIT = 65_000
"""Bytes of the summary. GitHub takes 65,536 characters; the rest is for whoever posts it."""

_ROWS = (40, 15, 5)
"""Of one section of a summary, by how little room there is."""


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
    return Report(f"stack {found.stack}: {found.headline}", _cut(summary), whole, is_refused=bool(found.refusals))


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
    lines = [f"# Stack {code(found.stack)}: {found.headline}", ""]
    if found.refusals:
        lines += [f"**Refused:** {'; '.join(found.refusals)}.", ""]
    else:
        unjudged = found.after.failure is not None or found.after.unjudged
        lines += [f"Nothing refuses it{', but not every policy could judge it' if unjudged else ''}.", ""]
    lines += [f"{found.base} → {found.head}", ""]
    for note in found.notes:
        lines += [f"> {note}", ""]
    return "\n".join(lines)


def _sections(found: Findings) -> Iterator[_Section]:
    yield _same("Problems of the page", problems_section(found.problems))
    yield _same("Problems of the base", problems_section(found.base_problems))
    yield _same("Steps of keys", problems_section(found.steps))
    yield _section("The chart refuses", lambda most: unrendered_section(found, most))
    yield _section("Policies", lambda most: policies_section(found, most))
    yield _section("Look at this first", lambda most: consequences_section(found.consequences, most))
    lines = _section("Changed lines", lambda most: lines_section(found, most))
    if (difference := found.difference) is None:
        yield lines
        return
    yield _section("Clusters", lambda most: clusters_section(difference, most))
    yield _section("Edges", lambda most: edges_section(difference, most))
    yield _section("Series budgets", lambda most: budgets_section(difference, most))
    yield lines
    yield _whole_or("Topology", topology_section(difference), "It changes.\n")
    counted = sum(len(each.objects) for each in difference.changed)
    yield _whole_or("Objects", "\n".join(object_diffs(difference.changed)), f"{counted} differ.\n")


def _same(title: str, text: str) -> _Section:
    return _Section(title, (text, text))


def _whole_or(title: str, text: str, short: str) -> _Section:
    return _Section(title, (text, text, short))


def _section(title: str, of: Callable[[int | None], Iterable[str]]) -> _Section:
    """`of` takes how many rows there may be."""
    return _Section(title, [lined(of(most)) for most in (None, *_ROWS)])
