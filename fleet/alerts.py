"""Alerts: data under `rules/alerts/`, filled in from the plan. The global cluster's Prometheus evaluates them.

An alert of `each: fleet` is one rule, whose series carry the labels that tell clusters apart; of any other kind there
is one rule for each federated child, cluster or maintenance of the plan.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from string import Template
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fleet.duration import format_duration
from fleet.names import Tier
from fleet.page import Alerting, Authority
from fleet.plan import NEARLY, ClusterPlan, Plan
from fleet.rules import RULES, read_data

RUNBOOKS = "docs/runbooks"


class Alert(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    alert: str = Field(pattern=r"^([A-Z][a-z]+)+$")
    each: Literal["fleet", "federation", "cluster", "maintenance"]
    expr: str
    """PromQL; `$name` stands for what `_subjects` knows of that kind."""
    waits: bool
    """Whether it has to last for the page's `alerting.after` first."""
    severity: Literal["critical", "warning", "none"]
    """`none` calls nobody."""
    summary: str
    description: str
    """Both as Prometheus's templates, with `$name` as in `expr`."""


@dataclass(frozen=True, slots=True)
class AlertGroup:
    name: str
    interval: timedelta
    rules: tuple[Mapping[str, object], ...]

    def spec(self) -> dict[str, object]:
        """The group as PrometheusRule and promtool take it."""
        return {
            "name": self.name,
            "interval": format_duration(self.interval),
            "rules": [dict(each) for each in self.rules],
        }


@dataclass(frozen=True, slots=True)
class _Subject:
    """What one rule is about."""

    labels: Mapping[str, str]
    known: Mapping[str, str]
    """Texts for `$name`."""


@cache
def alerts() -> Mapping[str, tuple[Alert, ...]]:
    """All alerts of `rules/alerts/` by the name of their file. Raises FleetError naming the file that is wrong."""
    return {file.stem: tuple(read_data(file, _ALERTS)) for file in sorted((RULES / "alerts").glob("*.yaml"))}


_ALERTS = TypeAdapter(list[Alert])


def alert_groups(plan: Plan, cluster: ClusterPlan) -> tuple[AlertGroup, ...]:
    """Of the cluster that has the Alertmanager, one for each file; none for the others, who could tell nobody."""
    alerting = cluster.alerting
    if alerting is None:
        return ()
    groups = (
        AlertGroup(
            f"alerts-{concern}",
            min(cluster.rule_interval, _AT_MOST),
            tuple(_rule(alert, each, alerting) for alert in of_concern for each in _subjects(plan, cluster, alert)),
        )
        for concern, of_concern in alerts().items()
    )
    return tuple(group for group in groups if group.rules)


_AT_MOST = timedelta(minutes=1)
"""Between two evaluations of an alert: recording rules may be as slow as the page likes, and an alarm may not."""


def _rule(alert: Alert, subject: _Subject, alerting: Alerting) -> Mapping[str, object]:
    return {
        "alert": alert.alert,
        "expr": Template(alert.expr).substitute(subject.known),
        **({"for": format_duration(alerting.after)} if alert.waits else {}),
        "labels": {"severity": alert.severity, **subject.labels},
        "annotations": {
            # `$labels` and `$value` are Prometheus's own.
            "summary": Template(alert.summary).safe_substitute(subject.known),
            "description": Template(alert.description).safe_substitute(subject.known),
            "runbook_url": f"{(alerting.runbooks or RUNBOOKS).rstrip('/')}/{alert.alert}.md",
        },
    }


def _subjects(plan: Plan, cluster: ClusterPlan, alert: Alert) -> Iterator[_Subject]:
    match alert.each:
        case "fleet":
            yield _Subject({}, {"clusters": "|".join(_speakers(plan)), "whose": _WHOSE, **_too_late(plan.authority)})
        case "federation":
            for edge in (*plan.federated_by(cluster.name), *cluster.discovered):
                known = {"target": edge.target, "child": edge.child, "budget": str(edge.budget), "nearly": str(NEARLY)}
                yield _Subject(edge.labels, known)
        case "cluster":
            for each in plan.everywhere.values():
                if each.tier in {Tier.LEAF, Tier.EDGE}:
                    yield _Subject(_labels(each), {"cluster": each.name, "series": _series(plan, each)})
        case "maintenance":
            for each in plan.everywhere.values():
                if (maintenance := each.maintenance) is not None:
                    subject = f"region {each.region}" if each.tier is Tier.REGIONAL else each.name
                    # Prometheus would take braces for a template of its own.
                    reason = maintenance.reason.replace("{{", '{{ "{{" }}')
                    known = {"until": f"{maintenance.until.timestamp():.0f}", "reason": reason, "subject": subject}
                    yield _Subject(_labels(each), known)


_WHOSE = (
    "{{ if $labels.cluster }}{{ $labels.cluster }}"
    "{{ else if $labels.region }}region {{ $labels.region }}"
    "{{ else }}the global cluster{{ end }}"
)
"""Of a gateway, by the labels of its series."""


def _too_late(authority: Authority) -> Mapping[str, str]:
    """Days before the end of a certificate; whoever renews late on purpose is not to be called before that."""
    renewed = min(timedelta(days=21), authority.renew_before / 2)
    ending = min(timedelta(days=3), authority.renew_before / 4)
    return {name: f"{each / timedelta(days=1):.6g}" for name, each in (("renewed", renewed), ("ending", ending))}


def _speakers(plan: Plan) -> Iterator[str]:
    """Every value that the label `cluster` may have at the top."""
    for each in plan.everywhere.values():
        if each.tier in {Tier.LEAF, Tier.EDGE}:
            yield each.name
        yield from (edge.child for edge in (each.discovery.edges if each.discovery is not None else ()))


def _labels(cluster: ClusterPlan) -> Mapping[str, str]:
    """What alerts about it carry; a regional cluster speaks for its region, as its series do."""
    labels = {"region": cluster.region} if cluster.region is not None else {}
    return labels if cluster.tier is Tier.REGIONAL else {"cluster": cluster.name, **labels}


def _series(plan: Plan, cluster: ClusterPlan) -> str:
    """A pattern for the names under which the global cluster knows it."""
    if cluster.tier is Tier.EDGE:
        return "|".join(name for edge in plan.written_by(cluster.name) for name in edge.keep)
    return "cluster:.+|region:cluster_.+"
