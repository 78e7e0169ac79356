"""Which metrics each cluster's Prometheus holds by name, and how many samples of them come in a second."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fleet.alerts import sent_by_edges
from fleet.compiler.budgets import Estimate, series_of, series_with
from fleet.compiler.topology import Topology, named
from fleet.names import Tier
from fleet.page import Expected, Page, Rule
from fleet.plan import FederationEdge, RemoteWriteEdge
from fleet.promql import Selector
from fleet.rules import (
    coverage_names,
    global_rules,
    of_edges,
    of_every_tier,
    own_rules,
    reads,
    region_rules,
    source_metrics,
)

Rates = Mapping[str, float | None]
"""Samples per second by the metric's name; None of raw ones, of which nobody but their makers knows how many."""

Upward = FederationEdge | RemoteWriteEdge


@dataclass(frozen=True)
class Holdings:
    page: Page
    topology: Topology
    rules: Sequence[Rule]
    """All that leaves record."""
    edges: Sequence[Upward]
    """Of the fleet, and of what is discovered."""

    @cached_property
    def of(self) -> Mapping[str, Rates]:
        """By cluster."""
        held: dict[str, Rates] = {}
        for tier in (Tier.EDGE, Tier.LEAF, Tier.REGIONAL, Tier.GLOBAL):
            for name in named(self.page, tier):
                held[name] = _added([self._raw(tier), self._recorded(name), *self._from_below(name, held)])
        return held

    def _raw(self, tier: Tier) -> Rates:
        """What it scrapes itself: above leaves, that is what the monitoring says of itself."""
        asked = self.rules if tier in {Tier.LEAF, Tier.EDGE} else of_every_tier(self.rules)
        own = {*_OF_ANY_SCRAPE, *sent_by_edges(), *(name for rule in asked for name in reads(rule.expr))}
        if tier in {Tier.LEAF, Tier.EDGE}:
            own |= {*source_metrics(self.rules), *self.page.keep}
        return dict.fromkeys(own)

    def _from_below(self, name: str, held: Mapping[str, Rates]) -> Iterator[Rates]:
        for edge in self.edges:
            if edge.upper == name:
                # Who is discovered is taken for a leaf.
                below = held.get(edge.lower) or self._of_leaf(self._discovered(name)[edge.lower])
                brought = filter(edge.carries, below)
                yield {metric: self._paced(edge, metric, below[metric]) for metric in brought}

    def _paced(self, edge: Upward, metric: str, rate: float | None) -> float | None:
        """What is federated comes as often as it is asked for, and as much of it as the page says."""
        if isinstance(edge, RemoteWriteEdge):
            return rate
        if rate is not None:
            return rate * self._every / edge.interval.total_seconds()
        asked = [each.series for each in edge.extra if Selector.parse(each.match).selects(metric)]
        return sum(asked) / edge.interval.total_seconds()

    @property
    def _every(self) -> float:
        return self.page.intervals.rules.total_seconds()

    def _recorded(self, name: str) -> Rates:
        cluster = self.page.clusters[name]
        match cluster.tier:
            case Tier.EDGE:
                return {}
            case Tier.LEAF:
                return self._of_leaf(self._expected(name))
            case Tier.REGIONAL:
                leaves = self.topology.children.get(name, ())
                return self._of_region([*map(self._expected, leaves), *self._discovered(name).values()])
            case Tier.GLOBAL:
                return self._of_the_top()

    def _of_leaf(self, expected: Expected) -> Rates:
        return self._rates({rule.record: series_of(rule, expected) for rule in self.rules})

    def _of_region(self, below: Sequence[Expected]) -> Rates:
        counts: dict[str, int] = {}
        for rule in self.rules:
            for metric, _ in region_rules([rule]):
                counts[metric] = sum(series_with(rule, rule.region.by, each) for each in below)
        for rule in of_every_tier(self.rules):
            for metric, _ in own_rules([rule]):
                counts[metric] = series_with(rule, rule.region.by, self.page.expect)
        for rule in self.page.rules.regional.inline:
            counts[rule.record] = series_of(rule, self.page.expect) * len(below)
        return self._rates(counts | dict.fromkeys(coverage_names("region"), 1))

    def _of_the_top(self) -> Rates:
        counts: dict[str, int] = {}
        edges = named(self.page, Tier.EDGE)
        clusters = [*map(self._expected, (*named(self.page, Tier.LEAF), *edges))]
        for rule in self.rules:
            for metric, _ in global_rules([rule]):
                above = rule.at_the_top.by if rule.at_the_top is not None else ()
                kept = above if rule.of == "workloads" else rule.region.by
                counts[metric] = sum(series_with(rule, kept, each) for each in clusters)
            for metric, _ in of_edges([rule]):
                if edges:
                    counts[metric] = sum(series_of(rule, self._expected(each)) for each in edges)
        for rule in self.page.rules.global_.inline:
            counts[rule.record] = series_of(rule, self.page.expect) * len(clusters)
        regions = len({each.region for each in self.page.clusters.values()})
        return self._rates(counts | dict.fromkeys(coverage_names("global"), regions))

    def _rates(self, counts: Mapping[str, int]) -> Rates:
        return {metric: count / self._every for metric, count in counts.items()}

    def _expected(self, name: str) -> Expected:
        return self._estimate.expected(self.page.clusters[name].expect)

    def _discovered(self, parent: str) -> Mapping[str, Expected]:
        found = self.page.clusters[parent].discover
        return {name: self._estimate.expected(child.expect) for name, child in found.items()}

    @cached_property
    def _estimate(self) -> Estimate:
        return Estimate(self.page, self.rules)

    def arriving(self, start: str, names: Iterable[str]) -> Iterator[tuple[str, frozenset[str]]]:
        """(cluster above `start`, those of `names` that it has from there), along every way up."""
        ways = [(start, frozenset(names))]
        while ways:
            place, held = ways.pop()
            for edge in self.edges:
                if edge.lower == place and (brought := frozenset(filter(edge.carries, held))):
                    yield edge.upper, brought
                    ways.append((edge.upper, brought))


_OF_ANY_SCRAPE = ("up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling")
"""What a Prometheus says of each target by itself."""


def _added(rates: Iterable[Rates]) -> Rates:
    """What is unknown of one is unknown of all."""
    total: dict[str, float | None] = {}
    for each in rates:
        for metric, rate in each.items():
            before = total.get(metric, 0)
            total[metric] = before + rate if before is not None and rate is not None else None
    return total
