"""Recording rules: data under `rules/`, checked here and grouped for the tier that evaluates them.

Each file holds `cluster:*` rules, what a leaf says about itself. What a region says about its leaves follows from
a rule's `region` field, so that a metric is described in one place.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import promql_parser
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fleet.duration import format_duration
from fleet.errors import FleetError, Problem
from fleet.names import Tier
from fleet.plan import ClusterPlan
from fleet.promql import metric_names

T = TypeVar("T")

RULES = Path(__file__).parent.parent / "rules"


class InRegion(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    aggregate: Literal["sum", "avg", "max", "min"]
    by: tuple[str, ...]
    """Labels kept above the cluster, beside `region` and (in the `region:cluster_*` form) `cluster`."""


class Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    record: str = Field(pattern=r"^cluster:[a-z][a-z0-9_]*:[a-z0-9]+$")
    expr: str
    unit: str
    reason: str
    region: InRegion


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


@cache
def cluster_rules() -> tuple[Rule, ...]:
    """All rules of `rules/`. Raises FleetError naming the file that is wrong."""
    return tuple(rule for file in sorted(RULES.glob("*.yaml")) for rule in read_data(file, _RULES))


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


_RULES = TypeAdapter(list[Rule])


def region_rules(rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    """Each metric of the leaves twice: over the whole region, and per cluster so that the global tier sees each."""
    for rule in rules:
        name = rule.record.removeprefix("cluster:")
        for prefix, level in (("region:", ("region",)), ("region:cluster_", ("region", "cluster"))):
            labels = ", ".join((*level, *rule.region.by))
            yield f"{prefix}{name}", f"{rule.region.aggregate} by ({labels}) ({rule.record})"


def rule_groups(cluster: ClusterPlan) -> tuple[RuleGroup, ...]:
    """The groups that this cluster's Prometheus evaluates; none for an edge, whose agent cannot."""
    from_clusters = tuple((rule.record, rule.expr.strip()) for rule in cluster_rules())
    if cluster.tier is Tier.LEAF or cluster.receives_edges:
        return (RuleGroup(name="cluster-aggregations", interval=cluster.rule_interval, rules=from_clusters),)
    if cluster.tier is Tier.REGIONAL:
        rules = tuple(region_rules(cluster_rules()))
        return (RuleGroup(name="region-aggregations", interval=cluster.rule_interval, rules=rules),)
    return ()


def source_metrics(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Names of the raw metrics that the `cluster:*` rules read: what an edge must send for them."""
    return tuple(sorted({name for rule in rules for name in reads(rule.expr)}))


@cache
def reads(expr: str) -> frozenset[str]:
    """Names of the metrics that a rule's expression reads."""
    return frozenset(metric_names(promql_parser.parse(expr)))
