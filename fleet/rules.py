"""Recording rules: data under `rules/`, checked here and grouped for the tier that evaluates them.

Each file holds `cluster:*` rules, what a leaf says about itself. What a region says about its leaves follows from
a rule's `region` field, so that a metric is described in one place; so follows of its `global` field what the global
cluster makes of all clusters, and of the rules of gateways and Prometheuses what every tier says of its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TypeVar

import promql_parser
import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from fleet.duration import format_duration
from fleet.errors import FleetError, Problem
from fleet.names import Tier
from fleet.page import Rule
from fleet.plan import ClusterPlan
from fleet.promql import metric_names

T = TypeVar("T")

RULES = Path(__file__).parent.parent / "rules"


class OwnRule(Rule):
    """One of `rules/`."""

    unread: str | None = None
    """Why it is recorded, where no alert and no dashboard reads it."""


class RuleGroup(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    interval: timedelta
    rules: tuple[tuple[str, str], ...]
    """(record, expr) in order of evaluation."""

    @property
    def records(self) -> tuple[str, ...]:
        return tuple(record for record, _ in self.rules)

    def spec(self) -> dict[str, object]:
        """The group as PrometheusRule and promtool take it."""
        return {
            "name": self.name,
            "interval": format_duration(self.interval),
            "rules": [{"record": record, "expr": expr} for record, expr in self.rules],
        }


def cluster_rules() -> tuple[OwnRule, ...]:
    """All rules of `rules/`. Raises FleetError naming the file that is wrong."""
    return tuple(chain.from_iterable(rule_files().values()))


@cache
def rule_files() -> Mapping[str, tuple[OwnRule, ...]]:
    """The same by the name of their file."""
    return {file.stem: tuple(read_data(file, _RULES)) for file in sorted(RULES.glob("*.yaml"))}


def read_data(file: Path, shape: TypeAdapter[T]) -> T:
    """A file below `rules/`. Raises FleetError naming what is wrong with it."""
    where = f"rules/{file.relative_to(RULES)}"
    try:
        return shape.validate_python(yaml.load(file.read_text(), Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        raise FleetError([Problem(where, f"is not valid YAML: {error}")]) from None
    except ValidationError as error:
        problems = [Problem(f"{where}.{'.'.join(map(str, each['loc']))}", each["msg"]) for each in error.errors()]
        raise FleetError(problems) from None


_RULES = TypeAdapter(list[OwnRule])


def of_gateways(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.of == "gateway")


def without_gateways(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """What a cluster records that nobody calls."""
    return tuple(rule for rule in rules if rule.of != "gateway")


def of_writers(rules: Iterable[Rule]) -> Iterator[str]:
    """Names under which something is recorded of clusters that write to somebody, and nothing of the others."""
    for rule in rules:
        if rule.of == "writer":
            yield rule.record
            yield from (name for name, _ in chain(region_rules([rule]), own_rules([rule])))


def of_every_tier(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """What a regional cluster and the global one have as well, each of its own."""
    return tuple(rule for rule in rules if rule.of != "workloads")


def of_edges(rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    """What the global cluster records of edges, whose agents cannot."""
    return ((rule.record, expr) for rule in rules if (expr := rule.of_edges) is not None)


def region_rules(rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    """Each metric of the leaves twice: over the whole region, and per cluster so that the global tier sees each."""
    for rule in rules:
        for prefix, level in (("region:", ("region",)), (_OF_LEAVES, ("region", "cluster"))):
            labels = ", ".join((*level, *rule.region.by))
            yield f"{prefix}{rule.metric}", f"{rule.region.aggregate} by ({labels}) ({rule.record})"


def own_rules(rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    """What a regional cluster says of its own gateway and Prometheus, which are no leaf's."""
    for rule in of_every_tier(rules):
        yield f"{_OWN}{rule.metric}", rule.text


def global_rules(rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    """Every cluster once, whichever way it is known; of gateways and Prometheuses, those of regions and its own too.

    A region's own has no label `cluster`, and the global cluster's own has no `region` either.
    """
    for rule in rules:
        own = rule.of != "workloads"
        kept = rule.region.by if own else rule.at_the_top.by if rule.at_the_top is not None else None
        if kept is None:
            continue
        aggregate = f"{rule.region.aggregate} by ({', '.join(('region', 'cluster', *kept))})"
        known = (f"{prefix}{rule.metric}" for prefix in (_OF_LEAVES, "cluster:", *((_OWN,) if own else ())))
        # `or` takes what those before it lack: a leaf that comes up both ways counts once.
        ways = (*(f"{aggregate} ({name})" for name in known), *((f"({rule.text})",) if own else ()))
        yield f"global:{rule.metric}", " or ".join(ways)


_OF_LEAVES = "region:cluster_"
_OWN = "region:own_"

HEARTBEAT = "heartbeat:timestamp"


def coverage_rules(cluster: ClusterPlan) -> Iterator[tuple[str, str]]:
    """How many clusters should be known here and how many are: what is summed over fewer is no total."""
    if not cluster.reporters:
        return
    level, heard = ("region", "cluster") if cluster.tier is Tier.REGIONAL else ("global", "global")
    planned, reporting = coverage_names(level)
    names = "|".join(name for of_region in cluster.reporters.values() for name in of_region)
    yield planned, " or ".join(_counted(region, len(names)) for region, names in cluster.reporters.items())
    found = f'count by (region) ({heard}:{HEARTBEAT}{{cluster=~"{names}"}})'
    yield reporting, f"{found} or 0 * {planned}"


def coverage_names(level: str) -> tuple[str, str]:
    return f"{level}:clusters_planned:count", f"{level}:clusters_reporting:count"


def _counted(region: str | None, count: int) -> str:
    return f'label_replace(vector({count}), "region", "{region}", "", "")' if region is not None else f"vector({count})"


def rule_groups(cluster: ClusterPlan) -> tuple[RuleGroup, ...]:
    """The groups that this cluster's Prometheus evaluates; none for an edge, whose agent cannot."""
    groups = ((name, tuple(rules)) for name, rules in _grouped(cluster))
    return tuple(RuleGroup(name=name, interval=cluster.rule_interval, rules=rules) for name, rules in groups if rules)


def _grouped(cluster: ClusterPlan) -> Iterator[tuple[str, Iterable[tuple[str, str]]]]:
    rules = cluster.rules
    match cluster.tier:
        case Tier.LEAF:
            own = rules if cluster.gateway is not None else without_gateways(rules)
            yield "cluster-aggregations", ((rule.record, rule.text) for rule in own)
        case Tier.REGIONAL:
            yield "region-aggregations", chain(region_rules(rules), own_rules(rules), coverage_rules(cluster))
        case Tier.GLOBAL:
            if cluster.receives_edges:
                yield "cluster-aggregations", of_edges(rules)
            yield "global-aggregations", chain(global_rules(rules), coverage_rules(cluster))
        case Tier.EDGE:
            return
    yield "added", ((rule.record, rule.text) for rule in cluster.added_rules)


def source_metrics(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Names of the raw metrics that an edge must send, for the `cluster:*` rules that are recorded of it."""
    return tuple(sorted({name for _, expr in of_edges(rules) for name in reads(expr)}))


@cache
def reads(expr: str) -> frozenset[str]:
    """Names of the metrics that a rule's expression reads."""
    return frozenset(metric_names(promql_parser.parse(expr)))
