"""Objects as they may be shown: nothing of a secret, nothing that nobody reads."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import JsonValue

from fleet.page.secrets import secret_in
from fleet.review.description import Object

SECRET = "(secret)"  # noqa: S105 (it stands where one was)
ANOTHER = "(another secret)"
_PASSED = "password"
"""For what follows an argument that tells."""
_LONG = 4000
"""Characters of one line, from which on it was written for machines."""


def shown(before: Object | None, after: Object | None) -> tuple[Object | None, Object | None]:
    """Both sides without their secrets. That a secret differs is seen, what it is is not, nor any digest of it."""
    return (
        None if before is None else _redacted(before, None, is_secret=_is_secret(before)),
        None if after is None else _redacted(after, before, is_secret=_is_secret(after)),
    )


def _is_secret(node: Object) -> bool:
    return node.get("kind") == "Secret"


def _redacted(node: Object, other: Object | None, *, is_secret: bool) -> Object:
    held = {"data", "stringData"} if is_secret else set[str]()
    return {
        key: _hidden(value, _at(other, key)) if key in held else _shown(value, _at(other, key), key)
        for key, value in node.items()
    }


def _hidden(node: JsonValue, other: JsonValue) -> JsonValue:
    """Of a Secret's data the keys alone."""
    if isinstance(node, Mapping):
        return {key: _hidden(value, _at(other, key)) for key, value in node.items()}
    return SECRET if other is None or other == node else ANOTHER


def _shown(node: JsonValue, other: JsonValue, key: str) -> JsonValue:
    if isinstance(node, dict):
        if _is_secret(node):
            return _redacted(node, other if isinstance(other, dict) else None, is_secret=True)
        # A container's variable, and an argument of a chart that is one.
        named = str(node.get("name", "")) if set(node) == {"name", "value"} else ""
        return {each: _shown(value, _at(other, each), named or each) for each, value in node.items()}
    if isinstance(node, list):
        keys = [_PASSED if isinstance(each, str) and _FLAG.fullmatch(each) else key for each in (None, *node)]
        return [_shown(value, _at(other, number), keys[number]) for number, value in enumerate(node)]
    if not isinstance(node, str):
        return node
    mark = SECRET if other is None or other == node else ANOTHER
    if secret_in(key, node) is not None or (node and _TELLING.search(key)):
        return mark
    return "\n".join(_short(_HASH.sub(mark, _ASSIGNED.sub(rf"\g<key>{mark}", line))) for line in node.split("\n"))


# Beside what may not be on a page: here is also what the chart makes, and text that has a form of its own.
_NAMES = (
    "password|passwd|passphrase|token|secret[_-]?key|access[_-]?key|api[_-]?key|private[_-]?key|client[_-]?secret"
    "|credentials|authorization"
)
_TELLING = re.compile(rf"(?i)(?:{_NAMES})$")
_ASSIGNED = re.compile(
    rf"""(?ix)
    (?P<key> (?:{_NAMES}) ["']? \s* [:=] \s* | --\S*(?:{_NAMES}) \s+ )
    (?! (?:true|false|null)\b ) [^\s{{\[|>] .*"""
)
_FLAG = re.compile(rf"(?i)--?\S*(?:{_NAMES})")
"""An argument whose value is the next one."""
_HASH = re.compile(r"\$2[aby]\$\d\d\$\S+")


def _short(line: str) -> str:
    if len(line) <= _LONG:
        return line
    return f"({len(line)} characters, {hashlib.sha256(line.encode()).hexdigest()[:12]})"


def _at(node: JsonValue, key: str | int) -> JsonValue:
    if isinstance(node, Mapping):
        return cast("Mapping[str, JsonValue]", node).get(str(key))
    if isinstance(node, Sequence) and not isinstance(node, str) and isinstance(key, int) and key < len(node):
        return cast("Sequence[JsonValue]", node)[key]
    return None
