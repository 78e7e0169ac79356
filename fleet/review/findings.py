"""All that is known of a pull request, before it is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fleet.review.changed_lines import Lines, Links
from fleet.review.consequences import Consequence
from fleet.review.description import Refusal
from fleet.review.differences import Difference
from fleet.review.policies import Judgement


@dataclass(frozen=True, slots=True)
class Findings:
    stack: str
    base: str
    """How the base is called, and its commit."""
    head: str
    problems: Sequence[Refusal]
    """Of the page at the head: there is nothing to compare then."""
    base_problems: Sequence[Refusal]
    steps: Sequence[Refusal]
    """Of keys, each too large to be taken at once."""
    unrendered: Sequence[tuple[str, str]]
    """Clusters whose new values the chart refuses, and why."""
    notes: Sequence[str]
    """What could not be looked at."""
    difference: Difference | None
    consequences: Sequence[Consequence]
    before: Judgement
    after: Judgement
    lines: Sequence[Lines]
    links: Links
    others: Sequence[str] = field(default_factory=list[str])
    """Files beside the page that differ."""

    @property
    def refusals(self) -> list[str]:
        counted = (
            (len(self.problems), "the page has a problem", "the page has {} problems"),
            (len(self.steps), "a key takes too large a step", "{} keys take too large a step"),
            (
                len(self.unrendered),
                "the chart refuses a cluster's values",
                "the chart refuses the values of {} clusters",
            ),
            (self.after.is_refused, f"a mandatory policy is violated{self._as_before}", ""),
        )
        return [one if count == 1 else several.format(count) for count, one, several in counted if count]

    @property
    def _as_before(self) -> str:
        return ", as before" if {*self.after.violations} <= {*self.before.violations} else ""

    @property
    def headline(self) -> str:
        if self.problems:
            return "the page does not work"
        if self.difference is None:
            return "nothing to compare with"
        changed, all_of = len(self.difference.changed), len(self.difference.clusters)
        if not changed and not self.difference.edges and not self.consequences:
            return "nothing changes"
        return f"{changed} of {all_of} clusters {'changes' if changed == 1 else 'change'}"
