"""What pydantic found wrong with a page, in the words of whoever wrote the page."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from types import UnionType
from typing import Annotated, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from fleet.duration import format_duration
from fleet.errors import Problem, at, dotted, yaml_at
from fleet.names import Tier
from fleet.page.model import Cluster, Page
from fleet.page.secrets import secrets_in_clear

_TIERS = [tier.value for tier in Tier]

Loc = tuple[int | str, ...]


def nearest(word: object, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(str(word), list(known), n=1)), None)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    found = nearest(word, known)
    return f"; did you mean {found}?" if found else ""


def page_problems(errors: Iterable[ErrorDetails], page: object) -> Iterator[Problem]:
    # pydantic counts what is right: a list of nothing but mistakes is too short for it as well.
    found = (each for each in errors if each["type"] != "too_short" or not each["input"])
    yield from (page_problem(each, page) for each in found)


def page_problem(details: ErrorDetails, page: object = None) -> Problem:
    """In `page` is looked up what a name that is wrong stands for."""
    loc = tuple(part for part in details["loc"] if part != "[key]")
    message, right = details["msg"].removeprefix("Value error, "), _example_at(loc)
    given: object = details["input"]
    match details["type"]:
        case "extra_forbidden":
            return _unknown_key(loc, given)
        case "wrong":
            context = details.get("ctx", {})
            return at((*loc, *context["field"].split(".")), message, context["right"])
        case "missing":
            message = "is missing"
        case "string_type" if details["loc"][-1] == "[key]":
            message = f"as a name, YAML reads this as {_kind(given)}; in quotes it is text"
            return Problem(dotted(loc), message, yaml_at(loc[:-1], {_as_text(given): _found(page, loc)}))
        case "string_type" | "path_type":
            message = f"YAML reads this as {_kind(given)}; in quotes it is text"
            right = _as_text(given) if isinstance(given, bool | int | float) else right
        case "value_error" if details["loc"][-1] == "[key]":
            return Problem(dotted(loc), message, yaml_at(loc[:-1], {_as_name(str(loc[-1])): _found(page, loc)}))
        case "bool_type" | "dict_type" | "model_type" | "model_attributes_type" as kind:
            belongs = "true or false belongs" if kind == "bool_type" else "keys with values belong"
            message = f"this is {_kind(given)}, where {belongs}"
            right = {"tier": given if given in _TIERS else "leaf"} if _model(loc) is Cluster else right
        case "literal_error" | "enum":
            return _not_one_of(loc, given, str(details.get("ctx", {}).get("expected", "")))
        case "too_short":
            message = "there is nothing in it"
        case _:
            pass
    # pydantic's own sentences begin with a capital; here they follow a path.
    return at(loc, message[:1].lower() + message[1:] if message[1:2].islower() else message, right)


def _unknown_key(loc: Loc, given: object) -> Problem:
    *parent, key = loc
    model = _model(tuple(parent))
    known = list(_fields(model)) if model is not None else []
    meant = nearest(key, known)
    if meant is None:
        return at(loc, f"unknown key; known here: {', '.join(known)}")
    right = given if isinstance(given, str | int | float) else _example(_field((*parent, meant)))
    fix = yaml_at((*parent, meant), right) if right is not None else ""
    return Problem(dotted(loc), f"unknown key; did you mean {meant}?", fix)


def _not_one_of(loc: Loc, given: object, expected: str) -> Problem:
    # As pydantic lists them: texts in quotes.
    known = [cast("object", yaml.safe_load(word)) for word in expected.replace(" or ", ", ").split(", ")]
    listed = f"is not one of {', '.join(map(str, known))}"
    if numbers := [each for each in known if type(each) is int]:
        return _no_such_number(loc, given, numbers, listed)
    shown = repr(given) if isinstance(given, str) else _kind(given)
    meant = nearest(given, map(str, known))
    return at(loc, f"{shown} {listed}{did_you_mean(given, map(str, known))}", meant or known[0])


def _no_such_number(loc: Loc, given: object, known: Sequence[int], listed: str) -> Problem:
    if not isinstance(given, int | float | str):
        return at(loc, f"{_kind(given)} {listed}", known[0])
    if isinstance(given, str):
        meant = next((each for each in known if str(each) == given), None)
        message = f"{given!r} {listed}" if meant is None else f"{given!r} is text; without quotes it is a number"
        return at(loc, message, meant or known[0])
    return at(loc, f"{given} {listed}", min((each for each in known if each >= given), default=max(known)))


_KINDS: dict[type[object], str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "text",
    date: "a date",
    datetime: "a date",
    dict: "keys with values",
    list: "a list",
}


def _kind(given: object) -> str:
    return _KINDS.get(type(given), "nothing")


def _as_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:53] or "name"


def _as_text(given: object) -> str:
    if isinstance(given, bool):
        return "yes" if given else "no"
    return str(given)


def _found(page: object, loc: Loc) -> object:
    """What stands at `loc`; nothing where that may not be shown."""
    found = page
    for part in loc:
        entries: Mapping[object, object] = cast("Mapping[object, object]", found) if isinstance(found, Mapping) else {}
        found = next((value for key, value in entries.items() if str(key) == str(part)), None)
    return {} if found is None or any(secrets_in_clear(found, loc)) else found


def _example(field: FieldInfo | None) -> object:
    """A value that would do for `field`, as YAML has it; None where nothing sensible is known."""
    if field is None:
        return None
    if field.examples:
        return cast("object", field.examples[0])
    default: object = field.default
    if isinstance(default, timedelta):
        return format_duration(default)
    if default is PydanticUndefined or isinstance(default, BaseModel) or default in (None, {}, ()):
        return None
    return default


def _model(loc: Loc) -> type[BaseModel] | None:
    found = _annotation(loc)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _example_at(loc: Loc) -> object:
    """Of a list's entry, the first of an example of the list."""
    if not loc or not isinstance(loc[-1], int):
        return _example(_field(loc))
    whole = _example(_field(loc[:-1]))
    return next(iter(cast("Sequence[object]", whole)), None) if isinstance(whole, list | tuple) else whole


def _field(loc: Loc) -> FieldInfo | None:
    model = _model(loc[:-1]) if loc else None
    return _fields(model).get(str(loc[-1])) if model is not None else None


def _fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _annotation(loc: Loc) -> object:
    """The type that the page has at `loc`; None where it is none of the page's own."""
    found: object = Page
    for part in loc:
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = _fields(found).get(str(part))
            found = _plain(field.annotation) if field is not None else None
        else:
            arguments: Sequence[object] = get_args(found)
            container = get_origin(found)
            entry = arguments[1] if container is dict else arguments[0] if container is tuple else None
            found = _plain(entry)
    return found


def _plain(annotation: object) -> object:
    """Without `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _plain(next(each for each in get_args(annotation) if each is not type(None)))
    return annotation
