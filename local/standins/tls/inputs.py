"""What a resource takes: names, shapes and defaults of its inputs."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from pulumi.runtime.proto import provider_pb2 as pb

from local.standins.properties import Json, JsonObject, has_unknown


@dataclass(frozen=True)
class Shape:
    """The values that fit, and how a message names them: it never holds the value, which may be a key."""

    words: str
    fits: Callable[[Json], bool]


@dataclass(frozen=True)
class Input:
    shape: Shape
    required: bool = False
    default: Json = None


Inputs: TypeAlias = Mapping[str, Input]

ENGINE_KEYS: Final = {"__defaults"}

TEXT: Final = Shape("a text", lambda value: isinstance(value, str))
SOME_TEXT: Final = Shape("a text that is not empty", lambda value: isinstance(value, str) and value != "")
FLAG: Final = Shape("true or false", lambda value: isinstance(value, bool))


def at_least(least: int) -> Shape:
    def fits(value: Json) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    return Shape(f"a whole number of at least {least}", fits)


def one_of(choices: Collection[str]) -> Shape:
    return Shape(f"one of {', '.join(choices)}", lambda value: isinstance(value, str) and value in choices)


def each(shape: Shape) -> Shape:
    return Shape(
        f"a list, each item {shape.words}", lambda value: isinstance(value, list) and all(map(shape.fits, value))
    )


def record(shapes: Mapping[str, Shape]) -> Shape:
    def fits(value: Json) -> bool:
        return isinstance(value, dict) and all(
            item is None or (key in shapes and shapes[key].fits(item)) for key, item in value.items()
        )

    return Shape(f"an object of {', '.join(f'{key} ({shape.words})' for key, shape in shapes.items())}", fits)


def given(inputs: JsonObject) -> JsonObject:
    return {key: value for key, value in inputs.items() if value is not None and key not in ENGINE_KEYS}


def complete(inputs: JsonObject, wanted: Inputs) -> JsonObject:
    return {name: item.default for name, item in wanted.items() if item.default is not None} | given(inputs)


def failures(inputs: JsonObject, wanted: Inputs, kind: str) -> list[pb.CheckFailure]:
    known = given(inputs)
    found = {name: f"{kind} has no input {name!r}" for name in known if name not in wanted}
    for name, item in wanted.items():
        if name not in known:
            if item.required:
                found[name] = f"{name} is required"
        elif not has_unknown(known[name]) and not item.shape.fits(known[name]):
            found[name] = f"{name} must be {item.shape.words}"
    return [pb.CheckFailure(property=name, reason=reason) for name, reason in found.items()]
