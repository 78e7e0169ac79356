"""What a policy is given, as a tree whose every answer knows where it stands and whether it could be known.

The engine hands over Mappings and Sequences that are neither dict nor list and that raise on what is unknown; a state
holds dicts with marks for what is secret. Policies see neither.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import yaml
from pulumi import StringAsset
from pulumi_policy.proxy import (
    UNKNOWN_ARCHIVE_VALUE,
    UNKNOWN_ARRAY_VALUE,
    UNKNOWN_ASSET_VALUE,
    UNKNOWN_BOOLEAN_VALUE,
    UNKNOWN_NUMBER_VALUE,
    UNKNOWN_OBJECT_VALUE,
    UNKNOWN_STRING_VALUE,
    UnknownValueError,
)

Path = tuple[str, ...]

_UNKNOWN = object()
_SENTINELS = {
    UNKNOWN_ARCHIVE_VALUE,
    UNKNOWN_ARRAY_VALUE,
    UNKNOWN_ASSET_VALUE,
    UNKNOWN_BOOLEAN_VALUE,
    UNKNOWN_NUMBER_VALUE,
    UNKNOWN_OBJECT_VALUE,
    UNKNOWN_STRING_VALUE,
}

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Pulumi's key that says of a mapping that it stands for something else."""


@dataclass(frozen=True)
class Node:
    """A value at a path. What is absent, of another shape or unknown is answered as None or nothing at all.

    That something was asked for which is unknown is noted in `doubts`, by its path: nothing else leaves a trace, so
    what a policy does not ask for need not be known.
    """

    value: object
    path: Path
    doubts: dict[Path, None]
    """Shared by all nodes of a tree, in the order of asking."""

    def __truediv__(self, key: str) -> "Node":
        if self.is_open:
            # What is in it is as unknown, and for the same reason.
            return self
        value = cast("Mapping[str, object]", self.value).get(key) if isinstance(self.value, dict) else None
        return Node(value, (*self.path, key), self.doubts)

    def at(self, dotted: str) -> "Node":
        node = self
        for key in dotted.split("."):
            node /= key
        return node

    def items(self) -> Iterator[tuple[str, "Node"]]:
        """Of a mapping."""
        found = self._known()
        if isinstance(found, dict):
            for key, value in cast("Mapping[str, object]", found).items():
                yield key, Node(value, (*self.path, key), self.doubts)

    def values(self) -> Iterator["Node"]:
        """Of a mapping."""
        return (node for _, node in self.items())

    def elements(self) -> Iterator["Node"]:
        """Of a sequence."""
        found = self._known()
        if isinstance(found, list):
            for index, value in enumerate(cast("Sequence[object]", found)):
                yield Node(value, (*self.path, str(index)), self.doubts)

    def walk(self) -> Iterator["Node"]:
        """Itself and everything below; passes by what is unknown, which is noted only if it is asked."""
        yield self
        if self.is_open:
            return
        for child in self.values():
            yield from child.walk()
        for child in self.elements():
            yield from child.walk()

    @property
    def is_open(self) -> bool:
        """Whether it is unknown, without asking for it: for whoever can judge all the same."""
        return self.value is _UNKNOWN

    @property
    def is_unknown(self) -> bool:
        if self.is_open:
            self.doubt()
        return self.is_open

    @property
    def is_given(self) -> bool:
        """Neither absent, nor null, nor empty; what is unknown is taken for something."""
        return self.is_unknown or self.value not in (None, "", {}, [])

    @property
    def is_on(self) -> bool:
        return self._known() is True

    @property
    def text(self) -> str | None:
        """Of a string."""
        found = self._known()
        return found if isinstance(found, str) else None

    @property
    def number(self) -> float | None:
        """Of a number, or of a string that is one."""
        found = self._known()
        if isinstance(found, int | float) and not isinstance(found, bool):
            return float(found)
        try:
            return float(found) if isinstance(found, str) else None
        except ValueError:
            return None

    @property
    def texts(self) -> list[str]:
        """The strings of a sequence, or a string as the only one of them."""
        single = self.text
        return [single] if single is not None else [text for each in self.elements() if (text := each.text) is not None]

    @property
    def where(self) -> str:
        return ".".join(self.path)

    def doubt(self) -> None:
        """Notes that this cannot be judged."""
        self.doubts[self.path] = None

    def parsed(self) -> "Node":
        """A string that is YAML, as what it says; anything else as it is."""
        text = self.text
        if text is None:
            return self
        try:
            return Node(plain(yaml.load(text, Loader=yaml.CSafeLoader)), self.path, self.doubts)
        except yaml.YAMLError:
            # A template, perhaps: what it becomes is not known here.
            self.doubt()
            return Node(None, self.path, self.doubts)

    def _known(self) -> object:
        return None if self.is_unknown else self.value


def tree(value: object, doubts: dict[Path, None]) -> Node:
    """Of what the engine hands over, of what a state holds, or of plain dicts and lists."""
    return Node(plain(value), (), doubts)


def plain(value: object) -> object:
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        if _SIGNATURE in mapping:
            return _meant(mapping)
        return {str(key): _item(mapping, key) for key in mapping}
    if isinstance(value, str):
        return _UNKNOWN if value in _SENTINELS else value
    if isinstance(value, Sequence):
        items = cast("Sequence[object]", value)
        return [_item(items, index) for index in range(len(items))]
    if isinstance(value, StringAsset):
        return value.text
    # A file's or an archive's contents are read by the engine alone.
    return value if value is None or isinstance(value, bool | int | float) else _UNKNOWN


def _item(container: Mapping[str, object] | Sequence[object], key: str | int) -> object:
    try:
        return plain(cast("Mapping[str | int, object]", container)[key])
    except UnknownValueError:
        return _UNKNOWN


def _meant(marked: Mapping[str, object]) -> object:
    """A secret in a state that was decrypted; what was not, and what is no value, cannot be judged."""
    text = marked.get("plaintext")
    return plain(json.loads(text)) if isinstance(text, str) else _UNKNOWN
