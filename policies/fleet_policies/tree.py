"""Walking what a policy is given: nested Mappings and Sequences, neither dict nor list, with unknowns inside."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from pulumi_policy.proxy import UnknownValueError

Path = tuple[str, ...]


def mappings(
    value: object, unknown: list[UnknownValueError], path: Path = ()
) -> Iterator[tuple[Path, Mapping[str, object]]]:
    """Every mapping inside `value`, itself included, with its path.

    What is unknown is added to `unknown` and passed by, for a tree is not unknown because one leaf of it is.
    """
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        yield path, mapping
        for key in mapping:
            yield from mappings(_item(mapping, key, unknown), unknown, (*path, key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        items = cast("Sequence[object]", value)
        for index in range(len(items)):
            yield from mappings(_item(items, index, unknown), unknown, (*path, str(index)))


def _item(
    container: Mapping[str, object] | Sequence[object], key: str | int, unknown: list[UnknownValueError]
) -> object:
    try:
        return cast("Mapping[str | int, object]", container)[key]
    except UnknownValueError as error:
        unknown.append(error)
        return None
