"""Recording rules: data under `rules/`, checked here and grouped for the tier that evaluates them.

Each file holds `cluster:*` rules, what a leaf says about itself. What a region says about its leaves follows from
a rule's `region` field, so that a metric is described in one place; and so follows of a gateway's rules what a region
and the global cluster say of their own.
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
    of: Literal["workloads", "gateway"] = "workloads"
    """Whose metrics it reads. An edge has no gateway, and every other tier may have one."""
    region: InRegion

    @property
    def metric(self) -> str:
        """Its name without a level."""
        return self.record.removeprefix("cluster:")


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


def of_workloads(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.of == "workloads")


def of_gateways(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.of == "gateway")


def region_rules(rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    """Each metric of the leaves twice: over the whole region, and per cluster so that the global tier sees each."""
    for rule in rules:
        for prefix, level in (("region:", ("region",)), (_OF_LEAVES, ("region", "cluster"))):
            labels = ", ".join((*level, *rule.region.by))
            yield f"{prefix}{rule.metric}", f"{rule.region.aggregate} by ({labels}) ({rule.record})"


def own_rules(rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    """What a regional cluster says of its own gateway, which is no leaf's."""
    for rule in of_gateways(rules):
        yield f"{_OWN}{rule.metric}", rule.expr.strip()


def global_rules(rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    """Every gateway of the fleet once, whichever way it is known; the global cluster's own has neither label."""
    for rule in of_gateways(rules):
        aggregate = f"{rule.region.aggregate} by ({', '.join(('region', 'cluster', *rule.region.by))})"
        known = (f"{prefix}{rule.metric}" for prefix in (_OF_LEAVES, "cluster:", _OWN))
        # `or` takes what those before it lack: a leaf that comes up both ways counts once.
        ways = (*(f"{aggregate} ({name})" for name in known), f"({rule.expr.strip()})")
        yield f"global:{rule.metric}", " or ".join(ways)


_OF_LEAVES = "region:cluster_"
_OWN = "region:own_"


def rule_groups(cluster: ClusterPlan) -> tuple[RuleGroup, ...]:
    """The groups that this cluster's Prometheus evaluates; none for an edge, whose agent cannot."""
    groups = ((name, tuple(rules)) for name, rules in _grouped(cluster))
    return tuple(RuleGroup(name=name, interval=cluster.rule_interval, rules=rules) for name, rules in groups if rules)


def _grouped(cluster: ClusterPlan) -> Iterator[tuple[str, Iterable[tuple[str, str]]]]:
    rules = cluster_rules()
    match cluster.tier:
        case Tier.LEAF:
            own = rules if cluster.gateway is not None else of_workloads(rules)
            yield "cluster-aggregations", _recorded(own)
        case Tier.REGIONAL:
            yield "region-aggregations", (*region_rules(rules), *own_rules(rules))
        case Tier.GLOBAL:
            if cluster.receives_edges:
                yield "cluster-aggregations", _recorded(of_workloads(rules))
            yield "global-aggregations", global_rules(rules)
        case Tier.EDGE:
            pass


def _recorded(rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    return ((rule.record, rule.expr.strip()) for rule in rules)


def source_metrics(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Names of the raw metrics that the `cluster:*` rules read of workloads: what an edge must send for them."""
    return tuple(sorted({name for rule in of_workloads(rules) for name in reads(rule.expr)}))


@cache
def reads(expr: str) -> frozenset[str]:
    """Names of the metrics that a rule's expression reads."""
    return frozenset(metric_names(promql_parser.parse(expr)))
