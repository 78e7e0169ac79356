"""Drift for people to read, and for programs."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Literal

from fleet.drift.drift import ClusterDrift, ObjectDrift

Format = Literal["text", "markdown", "json"]
NONE, FAILED, DRIFT = 0, 1, 2
"""Exit codes; what could not be compared outweighs what was found."""
_MOST_FIELDS = 12
"""Of one object, beyond which a report only counts."""


def exit_code(drifts: Sequence[ClusterDrift]) -> int:
    if any(each.error for each in drifts):
        return FAILED
    return DRIFT if any(each.objects for each in drifts) else NONE


def report(drifts: Sequence[ClusterDrift], output: Format) -> str:
    match output:
        case "json":
            return json.dumps([asdict(each) for each in drifts], indent=2) + "\n"
        case "markdown":
            return _markdown(drifts)
        case "text":
            return "".join(f"{line}\n" for each in drifts for line in _lines(each))


def summary(drifts: Sequence[ClusterDrift]) -> str:
    compared = sum(each.compared for each in drifts)
    drifted = sum(len(each.objects) for each in drifts)
    silent = [each.cluster for each in drifts if each.error]
    text = f"{compared} objects of {len(drifts) - len(silent)} clusters compared, {drifted} drifted"
    return f"{text}; not (all) compared: {', '.join(silent)}" if silent else text


def _lines(drift: ClusterDrift) -> Iterator[str]:
    for each in drift.objects:
        yield f"{drift.cluster}: {_titled(each)}"
        yield from (f"    {line}" for line in _fields(each))
    if drift.error:
        yield f"{drift.cluster}: cannot be compared: {drift.error}"


def _titled(each: ObjectDrift) -> str:
    where = f"{each.namespace}/" if each.namespace else ""
    by = f" (by {each.by})" if each.by else ""
    return f"{each.kind} {where}{each.name} {each.what}{by}"


def _fields(each: ObjectDrift) -> Iterator[str]:
    for one in each.fields[:_MOST_FIELDS]:
        yield f"{one.path} {one.text}"
    if (more := len(each.fields) - _MOST_FIELDS) > 0:
        yield f"and {more} more fields"


def _markdown(drifts: Sequence[ClusterDrift]) -> str:
    lines = [f"{summary(drifts)}."]
    for drift in drifts:
        if not drift.objects and not drift.error:
            continue
        lines += ["", f"### {drift.cluster}", ""]
        if drift.error:
            lines.append(f"- **cannot be compared**: {_inline(drift.error)}")
        for each in drift.objects:
            lines.append(f"- {_inline(_titled(each))}")
            lines += [f"  - {_inline(line)}" for line in _fields(each)]
    return "\n".join(lines) + "\n"


def _inline(text: str) -> str:
    """As code: whoever may name an object in a cluster may write nothing else into an issue."""
    text = " ".join(text.split())
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"
