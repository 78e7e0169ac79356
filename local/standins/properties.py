"""Pulumi property bags as plain JSON, and back with their secretness.

Inside a stand-in a property bag is plain JSON in which an unknown is the engine's own marker string; secretness is
put back, from the inputs it came with, only where a value leaves the process.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pulumi
from google.protobuf import struct_pb2
from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.runtime.rpc import UNKNOWN

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]
Properties: TypeAlias = dict[str, PropertyValue]

__all__ = [
    "UNKNOWN",
    "Json",
    "JsonObject",
    "Properties",
    "annotate",
    "asset_text",
    "from_json",
    "has_unknown",
    "marshal",
    "plain",
    "plain_map",
    "pluck",
    "pluck_int",
    "pluck_list",
    "pluck_map",
    "pluck_str",
    "secret",
    "unmarshal",
]


def unmarshal(struct: struct_pb2.Struct) -> Properties:
    return PropertyValue.unmarshal_map(struct)


def marshal(properties: Mapping[str, PropertyValue]) -> struct_pb2.Struct:
    return PropertyValue.marshal_map(dict(properties))


def plain(value: PropertyValue) -> Json:
    """The value without secretness; whole numbers become ints, which is what Kubernetes' decoders insist on."""
    inner = value.value
    match inner:
        case None | bool() | str():
            return inner
        case float():
            return int(inner) if inner.is_integer() else inner
        case Computed():
            return UNKNOWN
        case Mapping():
            return {key: plain(item) for key, item in inner.items()}
        case Sequence():
            return [plain(item) for item in inner]
        case pulumi.Asset():
            return asset_text(inner)
        case _:
            raise TypeError(f"the stand-in cannot take a value of type {type(inner).__name__}")


def plain_map(properties: Mapping[str, PropertyValue]) -> JsonObject:
    return {key: plain(value) for key, value in properties.items()}


def asset_text(asset: pulumi.Asset) -> str:
    """Raises OSError where the asset's file cannot be read, TypeError where it is remote."""
    if isinstance(asset, pulumi.StringAsset):
        return asset.text
    if isinstance(asset, pulumi.FileAsset):
        return Path(asset.path).read_text(encoding="utf-8")
    raise TypeError("the stand-in reads text and file assets only")


def from_json(value: Json) -> PropertyValue:
    match value:
        case int() | float() if not isinstance(value, bool):
            return PropertyValue(float(value))
        case list():
            return PropertyValue([from_json(item) for item in value])
        case dict():
            return PropertyValue({key: from_json(item) for key, item in value.items()})
        case _:
            return PropertyValue(value)


def secret(value: Json) -> PropertyValue:
    return from_json(value).with_secret(is_secret=True)


def annotate(value: Json, like: PropertyValue | None) -> PropertyValue:
    """The value, secret wherever `like` is.

    A list is secret as a whole if one of its items is: the server may have reordered it.
    """
    if like is None:
        return from_json(value)
    if like.is_secret:
        return secret(value)
    if isinstance(value, dict) and isinstance(like.value, Mapping):
        likes = like.value
        return PropertyValue({key: annotate(item, likes.get(key)) for key, item in value.items()})
    return secret(value) if like.contains_secret() else from_json(value)


def has_unknown(value: Json) -> bool:
    match value:
        case dict():
            return any(has_unknown(item) for item in value.values())
        case list():
            return any(has_unknown(item) for item in value)
        case _:
            return value == UNKNOWN


def pluck(value: Json, *path: str) -> Json:
    """The value under the path, None where there is none."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def pluck_map(value: Json, *path: str) -> JsonObject:
    found = pluck(value, *path)
    return found if isinstance(found, dict) else {}


def pluck_list(value: Json, *path: str) -> list[Json]:
    found = pluck(value, *path)
    return found if isinstance(found, list) else []


def pluck_str(value: Json, *path: str) -> str:
    found = pluck(value, *path)
    return found if isinstance(found, str) else ""


def pluck_int(value: Json, *path: str, default: int = 0) -> int:
    found = pluck(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else default
