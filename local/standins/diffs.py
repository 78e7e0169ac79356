"""Differences between property bags, in the terms of Pulumi's detailed diff."""

import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from typing import TypeAlias

from pulumi.runtime.proto import provider_pb2 as pb

from local.standins.properties import UNKNOWN, Json, JsonObject

Path: TypeAlias = tuple[str | int, ...]

ANY = "*"
"""In a replacing path: any key or index."""

_QUANTITY_PARENTS = {"limits", "requests", "capacity", "hard", "sizeLimit", "overhead", "allocatable"}
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")
_SUFFIXES = {
    **{letter: Decimal(1000) ** power for power, letter in enumerate(("n", "u", "m", "", "k", *"MGTPE"), start=-3)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


class Change(Enum):
    ADD = "ADD"
    DELETE = "DELETE"
    UPDATE = "UPDATE"


def changes(old: JsonObject, new: JsonObject) -> dict[Path, Change]:
    """What turns old into new, one entry per leaf; a leaf that is unknown counts as changed."""
    return dict(_changes((), old, new))


def _changes(path: Path, old: Json, new: Json) -> Iterator[tuple[Path, Change]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _changes((*path, key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _changes((*path, index), _item(old, index), _item(new, index))
    elif old is None and new is not None:
        yield path, Change.ADD
    elif old is not None and new is None:
        yield path, Change.DELETE
    elif new == UNKNOWN or not same(old, new, path):
        yield path, Change.UPDATE


def _item(items: list[Json], index: int) -> Json:
    return items[index] if index < len(items) else None


def same(old: Json, new: Json, path: Path = ()) -> bool:
    """Whether two leaves mean the same; under `resources` and the like, `0.5` is `500m`."""
    if isinstance(old, bool) is isinstance(new, bool) and old == new:
        return True
    if _QUANTITY_PARENTS.isdisjoint(path):
        return False
    left, right = quantity(old), quantity(new)
    return left is not None and left == right


def quantity(value: Json) -> Decimal | None:
    """The number that a Kubernetes quantity stands for, None where the value is no quantity."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        return None
    number, suffix = Decimal(match[1]), match[2] or ""
    return number * (_SUFFIXES[suffix] if suffix in _SUFFIXES else Decimal(f"1{suffix}"))


def prune(live: Json, shape: Json, path: Path = ()) -> Json:
    """The parts of live that shape has too, in shape's own spelling where both mean the same.

    What the server filled in disappears; what somebody changed or removed by hand shows.
    """
    if isinstance(live, dict) and isinstance(shape, dict):
        return {
            key: prune(live[key], wanted, (*path, key)) if key in live else wanted
            for key, wanted in shape.items()
            if key in live or wanted in ({}, [], "", None)
        }
    if isinstance(live, list) and isinstance(shape, list):
        pairs = enumerate(zip(live, shape, strict=False))
        return [prune(item, wanted, (*path, index)) for index, (item, wanted) in pairs]
    return shape if same(live, shape, path) else live


def response(
    found: Mapping[Path, Change],
    *,
    replacing: Collection[Path],
    delete_before_replace: bool = False,
) -> pb.DiffResponse:
    """The engine's form of the changes; those on, above or below a replacing path replace the resource."""
    detailed: dict[str, pb.PropertyDiff] = {}
    replaces: list[str] = []
    for path, change in found.items():
        name = path_text(path)
        kind = change.value
        if any(_touches(path, pattern) for pattern in replacing):
            kind += "_REPLACE"
            replaces.append(name)
        detailed[name] = pb.PropertyDiff(kind=pb.PropertyDiff.Kind.Value(kind), inputDiff=True)
    return pb.DiffResponse(
        changes=pb.DiffResponse.DIFF_SOME if detailed else pb.DiffResponse.DIFF_NONE,
        diffs=sorted({str(path[0]) for path in found}),
        replaces=replaces,
        detailedDiff=detailed,
        hasDetailedDiff=True,
        deleteBeforeReplace=delete_before_replace and bool(replaces),
    )


def _touches(path: Path, pattern: Path) -> bool:
    return all(wanted in (ANY, part) for part, wanted in zip(path, pattern, strict=False))


def path_text(path: Path) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.search(r'[."\[\]]', part):
            quoted = part.replace('"', '\\"')
            text += f'["{quoted}"]'
        else:
            text += f".{part}" if text else part
    return text
