"""One object that runs, held against what was to run."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import cast

from pydantic import JsonValue

from fleet.drift.drift import FieldDrift, JsonObject
from fleet.drift.fields import Difference, differences, managers, set_by_people, shown
from fleet.render import PUBLIC_PLACEHOLDER

PROGRAM = "pulumi-kubernetes"
"""How the provider's field managers begin, one for each resource."""
_NOBODY = "prometheus-fleet-drift"
_SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object as the program or the chart makes it."""

    object: JsonObject
    is_programs: bool
    """Or else the chart's."""

    @property
    def kind(self) -> str:
        return cast("str", self.object["kind"])

    @property
    def api_version(self) -> str:
        return cast("str", self.object["apiVersion"])

    @property
    def name(self) -> str:
        return cast("str", cast("JsonObject", self.object["metadata"])["name"])

    @property
    def namespace(self) -> str:
        """Empty where it does not say."""
        return cast("str", cast("JsonObject", self.object["metadata"]).get("namespace") or "")


def wanted(document: Mapping[str, JsonValue], *, is_programs: bool) -> Wanted:
    """Of a manifest: a Secret's text stands where its data will, and what says nothing is left out."""
    known = {key: value for key, value in document.items() if key not in ("status", "stringData")}
    if isinstance(text := document.get("stringData"), dict):
        known["data"] = {**cast("JsonObject", known.get("data") or {}), **text}
    return Wanted(cast("JsonObject", _said(known)), is_programs=is_programs)


def _said(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _said(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_said(each) for each in value]
    return value


def manager(one: Wanted, live: JsonObject) -> str:
    """As whom to try it: only as the program's own manager does the API server take away what it no longer sets."""
    own = [each.name for each in managers(live) if _is_programs(each.name) and each.operation == "Apply"]
    return own[0] if one.is_programs and own else _NOBODY


def to_try(one: Wanted, live: JsonObject) -> JsonObject:
    """With what is not known here as it is: it is judged by who has set it."""
    if not one.is_programs:
        return one.object
    known = cast("JsonObject", _filled(one.object, live))
    data = known.get("data")
    if one.kind != "Secret" or not isinstance(data, dict):
        return known
    found = cast("JsonObject", live.get("data") or {})
    return {**known, "data": {key: found.get(key, "") for key in data}}


def _filled(value: JsonValue, live: JsonValue) -> JsonValue:
    """`value` with what is live wherever a placeholder stands for it."""
    if isinstance(value, dict):
        found = live if isinstance(live, dict) else {}
        return {key: _filled(each, found.get(key)) for key, each in value.items()}
    if isinstance(value, list):
        others = live if isinstance(live, list) else []
        return [_filled(each, other) for each, other in zip_longest(value, others[: len(value)])]
    return (live or "") if value == PUBLIC_PLACEHOLDER else value


def _unknown(one: Wanted) -> list[str]:
    data = one.object.get("data")
    if not one.is_programs or not isinstance(data, dict):
        return []
    return [key for key, value in data.items() if one.kind == "Secret" or value == PUBLIC_PLACEHOLDER]


def field_drifts(one: Wanted, live: JsonObject, tried: JsonObject) -> tuple[FieldDrift, ...]:
    """`tried` is what the API server would make of the object."""
    found = [*_data_drifts(one, live)]
    found += [
        FieldDrift(shown(each.path), _of(one, each))
        for each in differences(_comparable(live), _comparable(tried))
        if each.path[0] != "data" or each.path[-1] not in _unknown(one)
    ]
    said = {each.path for each in found}
    by_hand = {shown(path) for path in set_by_people(live, one.object)}
    return (*found, *(FieldDrift(path, "set by hand") for path in sorted(by_hand - said)))


def _data_drifts(one: Wanted, live: JsonObject) -> Iterator[FieldDrift]:
    """Keys of a Secret or ConfigMap: there is no key in it but the program's."""
    if one.kind not in ("Secret", "ConfigMap"):
        return
    found = cast("JsonObject", live.get("data") or {})
    data = cast("JsonObject", one.object.get("data") or {})
    own = {path for each in managers(live) if _is_programs(each.name) for path in each.fields}
    for key in _unknown(one):
        if key not in found:
            yield FieldDrift(shown(("data", key)), "is missing")
        elif ("f:data", f"f:{key}") not in own:
            yield FieldDrift(shown(("data", key)), "was changed")
    binary = cast("JsonObject", one.object.get("binaryData") or {})
    for key in sorted(found.keys() - data.keys() - binary.keys()):
        yield FieldDrift(shown(("data", key)), "was added")


def _comparable(live: JsonObject) -> JsonObject:
    metadata = cast("JsonObject", live["metadata"])
    return {
        **{key: value for key, value in live.items() if key != "status"},
        "metadata": {key: value for key, value in metadata.items() if key not in _SERVERS_OWN},
    }


def _of(one: Wanted, each: Difference) -> str:
    return "was changed" if one.kind == "Secret" else described(each)


def described(each: Difference) -> str:
    """What was found may be a password that somebody put there: of text, only what is wanted is shown."""
    if each.wanted is None:
        return "is set, and should not be"
    found = (
        "is missing" if each.found is None else f"is {_short(each.found)}" if _is_harmless(each.found) else "differs"
    )
    return f"{found}, should be {_short(each.wanted)}"


def _is_harmless(value: JsonValue) -> bool:
    return isinstance(value, bool | int | float)


_LONG = 80


def _short(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _is_programs(name: str) -> bool:
    return name.startswith(PROGRAM)
