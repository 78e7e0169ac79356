from collections.abc import Sequence
from dataclasses import dataclass


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
