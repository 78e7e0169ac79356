"""YAML that would be right where nothing but leaving something out would do."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from fleet.errors import Problem, yaml_at
from fleet.page.secrets import secrets_in_clear

_LONG = 200  # characters, from which on a snippet explains nothing


def with_fix(problem: Problem, page: object) -> Problem:
    """`problem` with what is left of its surroundings on the `page` as YAML has it, where it offers nothing itself."""
    if problem.fix or (found := _around(page, problem.path, ())) is None:
        return problem
    path, surroundings, key = found
    rest = _without(surroundings, key)
    # Never a secret that stands beside the mistake.
    if any(secrets_in_clear(rest)):
        return problem
    text = yaml_at(path, rest)
    return replace(problem, fix=text) if path and len(text) <= _LONG else problem


def _around(
    node: object, path: str, above: tuple[object, ...]
) -> tuple[tuple[object, ...], Mapping[object, object] | Sequence[object], object] | None:
    """(where, what, key): the mapping or list that holds what `path` names. Keys may have dots themselves."""
    for key, value in _entries(node):
        if path == str(key):
            return above, cast("Mapping[object, object] | Sequence[object]", node), key
        if path.startswith(f"{key}.") and (found := _around(value, path.removeprefix(f"{key}."), (*above, key))):
            return found
    return None


def _entries(node: object) -> list[tuple[object, object]]:
    if isinstance(node, Mapping):
        return list(cast("Mapping[object, object]", node).items())
    return list(enumerate(cast("list[object]", node))) if isinstance(node, list) else []


def _without(node: Mapping[object, object] | Sequence[object], key: object) -> object:
    if isinstance(node, Mapping):
        return {each: value for each, value in node.items() if each != key}
    return [value for number, value in enumerate(node) if number != key]
