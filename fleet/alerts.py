"""Alerts: data under `rules/alerts/`, filled in from the plan for each Prometheus that evaluates them.

An alert of `each: fleet` is one rule, whose series carry the labels that tell clusters apart; of any other kind there
is one rule for each thing of that kind which the evaluating cluster knows.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from string import Template
from typing import Literal

import promql_parser
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fleet.duration import format_duration
from fleet.names import ALERTMANAGER, OPERATOR, PROMETHEUS, SIDECAR_JOB, THANOS, THANOS_PARTS, ThanosPart, Tier
from fleet.outputs import SEND_DELAY, fresh_within
from fleet.page import Alerting, Authority
from fleet.plan import NEARLY, ClusterPlan, Plan
from fleet.promql import metric_names
from fleet.queues import OLDEST_SENT, TAKEN_LATE
from fleet.rules import RULES, read_data
from fleet.values import is_on, merge, taken_late

RUNBOOKS = "docs/runbooks"


class Alert(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    alert: str = Field(pattern=r"^([A-Z][a-z]+)+$")
    at: tuple[Tier, ...] = (Tier.GLOBAL,)
    """Whose Prometheus evaluates it. An edge's cannot: the global one does, over what the edge sends."""
    each: Literal[
        "fleet",
        "federation",
        "cluster",
        "maintenance",
        "self",
        "monitor",
        "gateway",
        "notifier",
        "sender",
        "receiver",
        "write",
        "thanos",
        "store",
        "uploader",
    ]
    expr: str
    """PromQL; `$name` stands for what `_subjects` knows of that kind."""
    waits: int = Field(ge=0)
    """How many times the page's `alerting.after` it has to last first."""
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
    """What the cluster's Prometheus evaluates, one group for each file; none for an edge, whose agent cannot."""
    if cluster.tier is Tier.EDGE:
        return ()
    alerting = _alerting(plan)
    groups = (
        AlertGroup(
            f"alerts-{concern}",
            min(cluster.rule_interval, _AT_MOST),
            tuple(_rule(alert, each, alerting) for alert in of_concern for each in _subjects(plan, cluster, alert)),
        )
        for concern, of_concern in alerts().items()
    )
    return tuple(group for group in groups if group.rules)


@cache
def sent_by_edges() -> frozenset[str]:
    """Names of the metrics that alerts about an edge read: what it must send for them."""
    about_edges = (each.expr for of_concern in alerts().values() for each in of_concern if Tier.EDGE in each.at)
    # Whatever the plan fills in, the names are the same.
    plain = (Template(re.sub(r"\{.*?\}", "", expr)).substitute(defaultdict(lambda: "0")) for expr in about_edges)
    return frozenset(name for expr in plain for name in metric_names(promql_parser.parse(expr)))


def _alerting(plan: Plan) -> Alerting:
    """Of the fleet: whoever evaluates an alert, people are called in one way."""
    return next(each.alerting for each in plan.everywhere.values() if each.alerting is not None)


_AT_MOST = timedelta(minutes=1)
"""Between two evaluations of an alert: recording rules may be as slow as the page likes, and an alarm may not."""


def _rule(alert: Alert, subject: _Subject, alerting: Alerting) -> Mapping[str, object]:
    return {
        "alert": alert.alert,
        "expr": Template(alert.expr).substitute(subject.known),
        **({"for": format_duration(alert.waits * alerting.after)} if alert.waits else {}),
        "labels": {"severity": alert.severity, **subject.labels},
        "annotations": {
            # `$labels` and `$value` are Prometheus's own.
            "summary": Template(alert.summary).safe_substitute(subject.known),
            "description": Template(alert.description).safe_substitute(subject.known),
            "runbook_url": runbook_url(alerting, alert.alert),
        },
    }


def runbook_url(alerting: Alerting, alert: str) -> str:
    """A path in the repository where the page does not say where people read runbooks."""
    return f"{(alerting.runbooks or RUNBOOKS).rstrip('/')}/{alert}.md"


def _subjects(plan: Plan, cluster: ClusterPlan, alert: Alert) -> Iterator[_Subject]:
    # Beside its own metrics a Prometheus may have those of agents.
    tiers = {cluster.tier, Tier.EDGE} if cluster.tier is Tier.GLOBAL else {cluster.tier}
    of_tiers = tiers.intersection(alert.at)
    speakers = [cluster] if cluster.tier in of_tiers else []
    if Tier.EDGE in of_tiers:
        speakers += [each for each in plan.everywhere.values() if each.tier is Tier.EDGE]
    match alert.each:
        case _ if not speakers:
            return
        case "self" | "monitor" | "gateway" | "notifier" | "sender" | "receiver":
            yield from _of_themselves(plan, cluster, speakers, alert.each)
        case "federation":
            yield from _federated(plan, cluster)
        case "write":
            yield from _written(plan, cluster)
        case "cluster":
            yield from _speaking(plan)
        case "maintenance":
            yield from _maintained(plan)
        case "thanos" | "store" | "uploader":
            yield from _of_thanos(cluster, alert.each)
        case "fleet":
            late = taken_late(cluster)
            known = {
                "self": cluster.name,
                "whose": _WHOSE,
                "taken": format_duration(late),
                "seen": format_duration(late + _AHEAD),
                **_below(plan, cluster),
                **_too_late(plan.authority),
            }
            yield _Subject({}, known)


def _of_themselves(plan: Plan, cluster: ClusterPlan, speakers: Sequence[ClusterPlan], kind: str) -> Iterator[_Subject]:
    """What `speakers` say of themselves to the Prometheus of `cluster`; they are more than it alone where it has edges.

    A cluster's own series have no label `cluster` there, an edge's have: one rule does for all, and tells them apart.
    """
    has = {
        "self": True,
        "monitor": True,
        "gateway": cluster.gateway is not None,
        "notifier": cluster.alertmanager is not None,
        "sender": any(plan.own_writes_of(each.name) or each.destinations for each in speakers),
        "receiver": cluster.receives_writes,
    }
    if not has[kind]:
        return
    edges = [each.name for each in speakers if each.tier is Tier.EDGE]
    of_edges = f"{{{{ if $labels.cluster }}}}{{{{ $labels.cluster }}}}{{{{ else }}}}{cluster.name}{{{{ end }}}}"
    namespaces = "|".join(dict.fromkeys(each.namespace for each in speakers))
    whose = f'namespace=~"{namespaces}",cluster=~"{"|".join(("", *edges))}"'
    own = whose if edges else f'namespace="{cluster.namespace}",cluster=""'
    known = {
        "self": of_edges if edges else cluster.name,
        "own": own,
        "prometheus": f'job="{PROMETHEUS}",{own}',
        "operator": f'job="{OPERATOR}",{own}',
        "alertmanager": f'job="{ALERTMANAGER}",{own}',
        "late": f"{max(fresh_within(SEND_DELAY, each) for each in speakers):g}",
        "kept": format_duration(OLDEST_SENT),
        "taken": format_duration(TAKEN_LATE),
    }
    for job in _monitors(cluster) if kind == "monitor" else [None]:
        labels, target = ({"job": job}, {"job": job, "target": f'job="{job}",{own}'}) if job is not None else ({}, {})
        yield _Subject({**_labels(cluster), **labels}, {**known, **target})


def _monitors(cluster: ClusterPlan) -> Iterator[str]:
    """Jobs of what watches the cluster; the page may say that an operator is there already, which is another's."""
    values: dict[str, object] = {"prometheusOperator": {"enabled": True}}
    for overlay in cluster.overlays:
        values = merge(values, overlay)
    yield PROMETHEUS
    if is_on(values, "prometheusOperator"):
        yield OPERATOR
    if cluster.alertmanager is not None:
        yield ALERTMANAGER
    if cluster.bucket is not None:
        yield SIDECAR_JOB


def _federated(plan: Plan, cluster: ClusterPlan) -> Iterator[_Subject]:
    for edge in (*plan.federated_by(cluster.name), *cluster.discovered):
        known = {
            "self": cluster.name,
            "target": edge.target,
            "child": edge.child,
            "budget": str(edge.budget),
            "nearly": str(NEARLY),
            "timeout": f"{edge.timeout.total_seconds():g}",
        }
        yield _Subject(edge.labels, known)


def _written(plan: Plan, cluster: ClusterPlan) -> Iterator[_Subject]:
    for edge in plan.remote_write:
        if edge.receiver == cluster.name:
            window = timedelta(seconds=fresh_within(SEND_DELAY, plan.cluster(edge.sender)))
            known = {"sender": edge.sender, "series": "|".join(edge.keep), "window": format_duration(window)}
            yield _Subject(edge.labels, known)


def _speaking(plan: Plan) -> Iterator[_Subject]:
    for each in plan.everywhere.values():
        if each.tier in {Tier.LEAF, Tier.EDGE}:
            yield _Subject(_labels(each), {"cluster": each.name, "series": _series(plan, each)})


def _maintained(plan: Plan) -> Iterator[_Subject]:
    for each in plan.everywhere.values():
        if (maintenance := each.maintenance) is not None:
            subject = f"region {each.region}" if each.tier is Tier.REGIONAL else each.name
            # Prometheus would take braces for a template of its own.
            reason = maintenance.reason.replace("{{", '{{ "{{" }}')
            known = {"until": f"{maintenance.until.timestamp():.0f}", "reason": reason, "subject": subject}
            yield _Subject(_labels(each), known)


def _of_thanos(cluster: ClusterPlan, kind: Literal["thanos", "store", "uploader"]) -> Iterator[_Subject]:
    """What runs beside its Prometheus, as a whole, part by part, or whatever lays blocks into the bucket."""
    if kind == "uploader":
        yield from _uploading(cluster)
        return
    if cluster.thanos is None:
        return
    every = f'job="{THANOS}",namespace="{cluster.namespace}"'
    if kind == "thanos":
        yield _Subject({}, {"self": cluster.name, "thanos": every})
        return
    for part in THANOS_PARTS:
        target = f'{every},component="{part}"'
        known = {"self": cluster.name, "target": target, "part": part, "without": _WITHOUT[part]}
        yield _Subject({"component": part}, known)


def _uploading(cluster: ClusterPlan) -> Iterator[_Subject]:
    """Receivers beside its Prometheus, or the sidecar of that."""
    own = f'namespace="{cluster.namespace}"'
    if cluster.thanos is not None:
        known = {
            "uploader": f'job="{THANOS}",{own},component="receiver"',
            "who": "{{ $labels.pod }}",
            "kept": "A receiver keeps its blocks until then, as long as its volume has room.",
        }
        yield _Subject({}, {"self": cluster.name, **known})
    if cluster.bucket is not None and cluster.retention is not None:
        kept = format_duration(cluster.retention)
        known = {
            "uploader": f'job="{SIDECAR_JOB}",{own}',
            "who": "The sidecar",
            "kept": f"Its Prometheus deletes what is {kept} old, uploaded or not.",
        }
        yield _Subject(_labels(cluster), {"self": cluster.name, **known})


_WITHOUT: Mapping[ThanosPart, str] = {
    "router": "Without it nobody can write to Thanos, and senders keep what they have for four hours",
    "receiver": "Without it what falls to it waits at the senders, unless others have it as well",
    "query": "Without it nobody can ask Thanos, and nothing is lost",
    "store": "Without it queries end where the receivers' two days begin",
    "compactor": "Without it the bucket grows, and queries over long times become slow",
}


def _below(plan: Plan, cluster: ClusterPlan) -> Mapping[str, str]:
    """Whom the cluster hears of, under which name it has their heartbeats, and how many seconds these may be old."""
    is_top = cluster.tier is Tier.GLOBAL
    children = (*plan.federated_by(cluster.name), *cluster.discovered)
    speakers = tuple(_speakers(plan)) if is_top else tuple(name for edge in children for name in edge.clusters)
    regions = {each.region for each in plan.everywhere.values()} if is_top else {cluster.region}
    # A region is no slower than the global cluster: from its leaves it is at most as far again.
    ways = [
        fresh_within(edge.interval, plan.cluster(edge.child) if edge not in cluster.discovered else cluster)
        * (1 if edge.asserts_cluster else 2)
        for edge in children
    ]
    ways += [fresh_within(SEND_DELAY, plan.cluster(edge.sender)) for edge in plan.remote_write if is_top]
    return {
        "clusters": "|".join(speakers),
        "regions": "|".join(sorted(each for each in regions if each is not None)),
        "heartbeat": "global:heartbeat:timestamp" if is_top else "cluster:heartbeat:timestamp",
        "late": f"{max(ways, default=0):g}",
    }


_AHEAD = timedelta(minutes=10)
"""Of its own clock, how far a receiver takes samples."""


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
    """What alerts about it carry; a regional cluster speaks for its region, and the global one for all."""
    labels = {"region": cluster.region} if cluster.region is not None else {}
    return {"cluster": cluster.name, **labels} if cluster.tier in {Tier.LEAF, Tier.EDGE} else labels


def _series(plan: Plan, cluster: ClusterPlan) -> str:
    """A pattern for the names under which the global cluster knows it."""
    if cluster.tier is Tier.EDGE:
        return "|".join(name for edge in plan.written_by(cluster.name) for name in edge.keep)
    return "cluster:.+|region:cluster_.+"
