from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import yaml


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake on the page: where it is, what is wrong, and the YAML that would be right (may be empty)."""

    path: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.message}"]
        if self.fix:
            lines += ["", *(f"    {line}" for line in self.fix.strip("\n").splitlines()), ""]
        return "\n".join(lines)


class FleetError(Exception):
    """A user's mistake. Its text is complete: callers print it and exit, without a traceback."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def at(path: Sequence[object], message: str, right: object = None) -> Problem:
    """A problem of the field at `path`; `right` is a value that would do there, shown as YAML from the page's root."""
    return Problem(dotted(path), message, yaml_at(path, right) if right is not None else "")


def dotted(path: Sequence[object]) -> str:
    return ".".join(str(key) or "''" for key in path)


def yaml_at(path: Sequence[object], value: object) -> str:
    """What a user would write to have `value` at `path`."""
    # The number of a list's entry names the entry: the snippet shows it as the list's only one.
    is_entry = bool(path) and isinstance(path[-1], int)
    inline = f"[{_flow(value)}]" if is_entry else _flow(value)
    lines: list[str] = []
    indent = dash = ""
    for key in path[:-1] if is_entry else path:
        if isinstance(key, int):
            dash += "- "
            continue
        lines.append(f"{indent}{dash}{_scalar(key)}:")
        indent, dash = f"{indent}  {' ' * len(dash)}", ""
    return "\n".join([*lines[:-1], f"{lines[-1]} {inline}"]) if lines else inline


def _flow(value: object) -> str:
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value).items()
        return "{" + ", ".join(f"{_scalar(key)}: {_inside(each)}" for key, each in entries) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inside, cast("Sequence[object]", value))) + "]"
    return _scalar(value)


def _inside(value: object) -> str:
    """Within braces or brackets, where a comma would end a text that is not in quotes."""
    if isinstance(value, str):
        return yaml.safe_dump([value], default_flow_style=True, width=_ONE_LINE, allow_unicode=True).strip()[1:-1]
    return _flow(value)


_ONE_LINE = 10_000


def _scalar(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=_ONE_LINE, allow_unicode=True).removesuffix("\n...\n")
    return text.strip()
