"""How many series an edge carries, from what a cluster is expected to hold and the rules' own labels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, prod

import promql_parser

from fleet.compiler.sizes import settings_path
from fleet.errors import Problem, at
from fleet.names import Tier
from fleet.page import Expected, Page, Recorded, Rule
from fleet.plan import DiscoveredEdge, FederationEdge
from fleet.promql import result_labels, values_named
from fleet.rules import of_every_tier

_OTHER_LABEL = 10
"""Values of a label that the page has no number for."""

_COVERAGE = 2
"""Series by which a region says how many of its clusters report, and how many should."""

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
        expected = self.expected(own)
        return sum(series_of(each, expected) for each in self.rules) + self._extra("leaf")

    def region(self, name: str, leaves: Iterable[str]) -> int:
        """Series of a region over these leaves and what it discovers.

        As if no two of them had a namespace or service in common.
        """
        found = self.page.clusters[name].discover.values()
        own = (*(self.page.clusters[leaf].expect for leaf in leaves), *(child.expect for child in found))
        each = [self.expected(expect) for expect in own]
        # Every rule is there twice: over the region, and per cluster.
        # Of its own gateway and Prometheus it says what one leaf says of them.
        of_itself = sum(series_with(rule, rule.region.by, self.page.expect) for rule in of_every_tier(self.rules))
        of_leaves = sum(self._per_leaf(expected) for expected in each)
        return of_leaves + of_itself + _COVERAGE + self._added(len(each)) + self._extra("regional")

    def _per_leaf(self, expected: Expected) -> int:
        return 2 * sum(series_with(rule, rule.region.by, expected) for rule in self.rules)

    def _added(self, leaves: int) -> int:
        """What the page has regions record: for each cluster again where a rule tells them apart."""
        labels = ((rule, _labels_of(rule)) for rule in self.page.rules.regional.inline)
        return sum(
            series_with(rule, kept - _OF_THE_LEAF, self.page.expect) * (leaves if "cluster" in kept else 1)
            for rule, kept in labels
        )

    def expected(self, own: Expected | None) -> Expected:
        """The page's, with what is said of one cluster on top."""
        if own is None:
            return self.page.expect
        return self.page.expect.model_copy(update=own.model_dump(include=own.model_fields_set))

    def _extra(self, tier: str) -> int:
        return sum(extra.series for extra in self.page.federate if extra.of == tier)


def series_of(rule: Recorded, expected: Expected) -> int:
    """That a cluster records by it which is like this."""
    return series_with(rule, _labels_of(rule) - _OF_THE_LEAF, expected)


def _labels_of(rule: Recorded) -> frozenset[str]:
    return _labels(rule.expr)


@cache
def _labels(expr: str) -> frozenset[str]:
    return result_labels(promql_parser.parse(expr)) or frozenset()


def series_with(rule: Recorded, labels: Iterable[str], expected: Expected) -> int:
    """Of one cluster that is like this, told apart by `labels`."""
    counts = {"namespace": expected.namespaces, "service": expected.services, "node": expected.nodes}
    return prod(counts.get(label) or _values(rule.expr, label) for label in labels)


@cache
def _values(expr: str, label: str) -> int:
    return values_named(promql_parser.parse(expr), label) or _OTHER_LABEL


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
    if not isinstance(edge, DiscoveredEdge):
        return settings_path(page, edge.child, "budget")
    own = page.clusters[edge.parent].discover[edge.child].budget
    return ("clusters", edge.parent, "discover", edge.child, "budget") if own else ("tiers", Tier.LEAF.value, "budget")
