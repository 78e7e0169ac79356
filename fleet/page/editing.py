"""Single values of a stack's page changed in its file, where comments and everything else stay as they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from fleet.errors import FleetError, Problem, yaml_at
from fleet.names import PAGE_KEY

Values = Mapping[tuple[str, ...], object]
"""By path on the page."""


def edit_page(path: Path, values: Values) -> None:
    """Raises FleetError with the YAML to write by hand where the file is written in a way that cannot be edited."""
    text = path.read_text(encoding="utf-8")
    for where, value in values.items():
        full = ("config", PAGE_KEY, *where)
        edited = _with(text, full, value)
        if _load(edited) != _set(_load(text), full, value):
            fix = yaml_at(where, value)
            raise FleetError([Problem(path.name, f"cannot be edited at {'.'.join(where)}: write it by hand", fix)])
        text = edited
    path.write_text(text, encoding="utf-8")


def _with(text: str, path: Sequence[str], value: object) -> str:
    node, rest = _root(text), list(path)
    while rest and isinstance(node, MappingNode) and (found := _child(node, rest[0])) is not None:
        node, rest = found, rest[1:]
    if not rest:
        end = _end(text, node)
        return f"{text[: node.start_mark.index]}{_flow(value)}{text[end:]}"
    key, inner = rest[0], value
    for name in reversed(rest[1:]):
        inner = {name: inner}
    return _inserted(text, node, f"{key}: {_flow(inner)}")


def _inserted(text: str, node: Node, entry: str) -> str:
    """`entry` as the last one of a mapping: what is written before its first key may be about that key."""
    if _is_flow(text, node):
        at, comma = _last(text, node.end_mark.index), ", " if node.value else ""
        return f"{text[:at]}{comma}{entry}{text[at:]}"
    end = _end(text, node)
    if text[end - 1] != "\n":
        end = text.find("\n", end) + 1 or len(text)
    line_break = "" if text[end - 1] == "\n" else "\n"
    return f"{text[:end]}{line_break}{' ' * node.start_mark.column}{entry}\n{text[end:]}"


def _last(text: str, end: int) -> int:
    """Where the last entry of what is closed at `end` ends."""
    return len(text[: end - 1].rstrip())


def _end(text: str, node: Node) -> int:
    """Where the last word of `node` ends: a block's own mark lies behind comments that are about what follows."""
    if isinstance(node, CollectionNode) and node.value and not _is_flow(text, node):
        last = cast("Sequence[Node | tuple[Node, Node]]", node.value)[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index


def _is_flow(text: str, node: Node) -> bool:
    return text[node.start_mark.index : node.start_mark.index + 1] in {"{", "["}


def _root(text: str) -> Node:
    return cast("Node", yaml.compose(text, Loader=yaml.SafeLoader))


def _child(node: MappingNode, name: str) -> Node | None:
    pairs = cast("Sequence[tuple[Node, Node]]", node.value)
    return next((value for key, value in pairs if isinstance(key, ScalarNode) and key.value == name), None)


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")


def _load(text: str) -> object:
    try:
        return cast("object", yaml.safe_load(text))
    except yaml.YAMLError:
        return None


def _set(document: object, path: Sequence[str], value: object) -> object:
    if not path:
        return value
    before = dict(cast("Mapping[str, object]", document)) if isinstance(document, Mapping) else {}
    return {**before, path[0]: _set(before.get(path[0]), path[1:], value)}
