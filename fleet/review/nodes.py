"""Parts of objects of any shape: what is absent or something else is empty."""

from pydantic import JsonValue

from fleet.review.description import Object


def mapping(node: JsonValue) -> Object:
    return node if isinstance(node, dict) else {}


def sequence(node: JsonValue) -> list[JsonValue]:
    return node if isinstance(node, list) else []
