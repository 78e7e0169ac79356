"""How many series an edge carries, from what a cluster is expected to hold and the rules' own labels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod

import promql_parser

from fleet.errors import Problem, at
from fleet.page import Expected, Page
from fleet.plan import FederationEdge
from fleet.promql import result_labels
from fleet.rules import Rule

_OTHER_LABEL = 10
"""Values of a label that the page has no number for."""

_OF_THE_LEAF = {"cluster", "region"}
"""Labels that have one value for all series of a leaf."""


@dataclass(frozen=True)
class Estimate:
    page: Page
    rules: Sequence[Rule]

    def leaf(self, name: str) -> int:
        """Series that one leaf serves its parent."""
        return sum(_count(labels, self._expected(name)) for labels in self._recorded) + self._extra("leaf")

    def region(self, leaves: Iterable[str]) -> int:
        """Series of a region over these leaves, as if no two of them had a namespace or service in common."""
        each = (self._expected(leaf) for leaf in leaves)
        # Every rule is there twice: over the region, and per cluster.
        return sum(self._per_leaf(expected) for expected in each) + self._extra("regional")

    def _per_leaf(self, expected: Expected) -> int:
        return 2 * sum(_count(rule.region.by, expected) for rule in self.rules)

    @cached_property
    def _recorded(self) -> list[frozenset[str]]:
        return [(result_labels(promql_parser.parse(rule.expr)) or frozenset()) - _OF_THE_LEAF for rule in self.rules]

    def _expected(self, name: str) -> Expected:
        own = self.page.clusters[name].expect
        if own is None:
            return self.page.expect
        return self.page.expect.model_copy(update=own.model_dump(include=own.model_fields_set))

    def _extra(self, tier: str) -> int:
        return sum(extra.series for extra in self.page.federate if extra.of == tier)


def _count(labels: Iterable[str], expected: Expected) -> int:
    counts = {"namespace": expected.namespaces, "service": expected.services, "node": expected.nodes}
    return prod(counts.get(label, _OTHER_LABEL) for label in labels)


def over_budget(page: Page, edges: Iterable[FederationEdge]) -> Iterator[Problem]:
    for edge in edges:
        if edge.estimate <= edge.budget:
            continue
        cluster = page.clusters[edge.child]
        needed = ceil(edge.estimate * 1.25 / len(edge.clusters))
        where = ["clusters", edge.child, "budget"] if cluster.budget else ["tiers", cluster.tier.value, "budget"]
        message = (
            f"{edge.child} → {edge.parent} is expected to carry {edge.estimate} series, and its budget is {edge.budget}"
        )
        yield at(where, message, needed)
