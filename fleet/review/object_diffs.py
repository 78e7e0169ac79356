"""Object by object what differs in each cluster, told once where clusters are alike but for their names."""

import re
from collections.abc import Iterator, Sequence

from fleet.review.differences import ClusterChange, ObjectChange
from fleet.review.markdown import code, codes, fenced, fold, html

_FOLDED = 12
"""Lines of a diff, beyond which it is folded."""
_CLUSTER = "CLUSTER"
"""Stands for each cluster's own name where several are told at once."""


def object_diffs(changed: Sequence[ClusterChange]) -> Iterator[str]:
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
