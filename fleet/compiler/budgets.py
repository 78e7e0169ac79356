"""How many series an edge carries, from what a cluster is expected to hold and the rules' own labels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod

import promql_parser

from fleet.errors import Problem, at
from fleet.names import Tier
from fleet.page import Expected, Page
from fleet.plan import DiscoveredEdge, FederationEdge
from fleet.promql import result_labels
from fleet.rules import Rule, of_gateways

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
        return self.like_a_leaf(self.page.clusters[name].expect)

    def like_a_leaf(self, own: Expected | None) -> int:
        """Series that a child serves which is expected to be like this; like the page says where None."""
        expected = self._expected(own)
        return sum(_count(labels, expected) for labels in self._recorded) + self._extra("leaf")

    def region(self, name: str, leaves: Iterable[str]) -> int:
        """Series of a region over these leaves and what it discovers.

        As if no two of them had a namespace or service in common.
        """
        found = self.page.clusters[name].discover.values()
        own = (*(self.page.clusters[leaf].expect for leaf in leaves), *(child.expect for child in found))
        each = (self._expected(expect) for expect in own)
        # Every rule is there twice: over the region, and per cluster.
        # Of its own gateway it says what one leaf says of one.
        of_itself = sum(_count(rule.region.by, self.page.expect) for rule in of_gateways(self.rules))
        return sum(self._per_leaf(expected) for expected in each) + of_itself + self._extra("regional")

    def _per_leaf(self, expected: Expected) -> int:
        return 2 * sum(_count(rule.region.by, expected) for rule in self.rules)

    @cached_property
    def _recorded(self) -> list[frozenset[str]]:
        return [(result_labels(promql_parser.parse(rule.expr)) or frozenset()) - _OF_THE_LEAF for rule in self.rules]

    def _expected(self, own: Expected | None) -> Expected:
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
        needed = ceil(edge.estimate * 1.25 / len(edge.clusters))
        message = (
            f"{edge.child} → {edge.parent} is expected to carry {edge.estimate} series, and its budget is {edge.budget}"
        )
        yield at(_where(page, edge), message, needed)


def _where(page: Page, edge: FederationEdge) -> tuple[str, ...]:
    """The place of the budget that holds for an edge."""
    if isinstance(edge, DiscoveredEdge):
        own, path, tier = page.clusters[edge.parent].discover[edge.child], (edge.parent, "discover"), Tier.LEAF
    else:
        own, path, tier = page.clusters[edge.child], (), page.clusters[edge.child].tier
    return ("clusters", *path, edge.child, "budget") if own.budget else ("tiers", tier.value, "budget")
