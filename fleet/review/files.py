"""Where a report is written: a summary for the pull request's comment, and all of it beside that."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fleet.errors import FleetError, Problem
from fleet.review.report import Report


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Everything raises FleetError where their folder cannot be written."""

    summary: Path
    details: Path

    @classmethod
    def of(cls, stack: str, out: Path) -> Self:
        return cls(out / f"{stack}.md", out / f"{stack}.details.md")

    def clear(self) -> None:
        """Of what an earlier run has left: whoever finds a report has to find this run's."""
        with _told():
            self.summary.parent.mkdir(parents=True, exist_ok=True)
            for file in (self.summary, self.details):
                file.unlink(missing_ok=True)

    def write(self, found: Report) -> None:
        with _told():
            self.summary.write_text(found.summary, encoding="utf-8")
            self.details.write_text(found.details, encoding="utf-8")


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise FleetError([Problem("--out", f"cannot be written: {error}")]) from None
