"""Two states of an object, and who has set what in the first of them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from fleet.drift.drift import JsonObject

Step = str | int
Path = tuple[Step, ...]
"""Keys of maps, and for an entry of a list its place or, in brackets, its name."""

PEOPLE = ("kubectl", "Mozilla")
"""How the tools begin that people change clusters with: kubectl's commands each have a name of their own, and what
runs in a browser has the browser's."""
KUBECTLS_NOTES = "kubectl.kubernetes.io/"
"""Annotations with which kubectl keeps account of itself, such as when somebody restarted a Deployment."""


@dataclass(frozen=True, slots=True)
class Difference:
    path: Path
    found: JsonValue
    """None where there is nothing."""
    wanted: JsonValue
    """None likewise."""


def differences(found: JsonValue, wanted: JsonValue, path: Path = ()) -> Iterator[Difference]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            yield from differences(found.get(key), wanted.get(key), (*path, key))
    elif isinstance(found, list) and isinstance(wanted, list):
        yield from _of_lists(found, wanted, path)
    # Not `==` alone: to Python, 1 is True.
    elif found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
        yield Difference(path, found, wanted)


def _of_lists(found: Sequence[JsonValue], wanted: Sequence[JsonValue], path: Path) -> Iterator[Difference]:
    ours, theirs = _by_name(found), _by_name(wanted)
    if ours is not None and theirs is not None:
        for name in {**theirs, **ours}:
            yield from differences(ours.get(name), theirs.get(name), (*path, f"[{name}]"))
    elif len(found) == len(wanted):
        for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
            yield from differences(one, other, (*path, place))
    else:
        yield Difference(path, list(found), list(wanted))


def _by_name(entries: Sequence[JsonValue]) -> dict[str, JsonValue] | None:
    """None where not each has a name of its own."""
    named: dict[str, JsonValue] = {
        name: entry for entry in entries if isinstance(entry, dict) and isinstance(name := entry.get("name"), str)
    }
    return named if len(named) == len(entries) else None


def shown(path: Path) -> str:
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.startswith("[") or not text:
            text += step
        else:
            text += f".{step}"
    return text


@dataclass(frozen=True, slots=True)
class Manager:
    """Who has set fields of an object, as the API server notes it."""

    name: str
    operation: str
    subresource: str
    """Empty for the object itself."""
    fields: frozenset[Path]
    """Raw steps, as `f:spec`."""

    @property
    def is_a_person(self) -> bool:
        return self.name.startswith(PEOPLE)


def managers(live: JsonObject) -> list[Manager]:
    metadata = cast("Mapping[str, JsonValue]", live["metadata"])
    entries = cast("Sequence[Mapping[str, JsonValue]]", metadata.get("managedFields") or [])
    return [
        Manager(
            str(entry.get("manager", "")),
            str(entry.get("operation", "")),
            str(entry.get("subresource", "")),
            frozenset(_leaves(cast("JsonObject", entry.get("fieldsV1") or {}))),
        )
        for entry in entries
    ]


def _leaves(fields: JsonObject, path: Path = ()) -> Iterator[Path]:
    for step, below in fields.items():
        if below:
            yield from _leaves(cast("JsonObject", below), (*path, step))
        else:
            yield (*path, step)


def set_by_people(live: JsonObject, wanted: JsonObject) -> Iterator[Path]:
    """Fields that a person has set and the program leaves alone; what it sets itself is compared by value."""
    noted = [each for each in managers(live) if not each.subresource]
    others = frozenset[Path]().union(*(each.fields for each in noted if not each.is_a_person))
    theirs = frozenset[Path]().union(*(each.fields for each in noted if each.is_a_person)) - others
    whole = {path[:-1] for path in theirs if path[-1] == "." and str(path[-2]).startswith(("k:", "v:"))}
    for path in sorted(whole | {path for path in theirs if path[-1] != "."}, key=str):
        if any(path[: len(each)] == each and path != each for each in whole):
            continue
        steps = _readable(path)
        if not _is_note(steps) and not _is_set(wanted, path):
            yield steps


def _is_note(path: Path) -> bool:
    return "annotations" in path and str(path[-1]).startswith(KUBECTLS_NOTES)


def _readable(path: Path) -> Path:
    return tuple(_step(str(step)) for step in path)


def _step(raw: str) -> str:
    sort, _, rest = raw.partition(":")
    if sort == "f":
        return rest
    if sort == "k":
        keys = cast("Mapping[str, JsonValue]", json.loads(rest))
        return f"[{', '.join(str(value) for value in keys.values())}]"
    return f"[{rest}]"


def _is_set(wanted: JsonValue, path: Iterable[Step]) -> bool:
    for raw in path:
        sort, _, rest = str(raw).partition(":")
        if sort == "f" and isinstance(wanted, dict) and rest in wanted:
            wanted = wanted[rest]
        elif sort == "k" and isinstance(wanted, list):
            keys = cast("JsonObject", json.loads(rest))
            same = [each for each in wanted if isinstance(each, dict) and _is_entry(each, keys)]
            if not same:
                return False
            wanted = same[0]
        elif sort == "v" and isinstance(wanted, list):
            return json.loads(rest) in wanted
        else:
            return False
    return True


def _is_entry(entry: JsonObject, keys: JsonObject) -> bool:
    """The API server fills in what the entry leaves out, as a port's protocol."""
    common = keys.keys() & entry.keys()
    return bool(common) and all(entry[key] == keys[key] for key in common)
