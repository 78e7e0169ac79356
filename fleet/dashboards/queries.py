"""PromQL over what the global cluster holds: from each cluster by whichever way its series come up."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from fleet.alerts import runbook_url
from fleet.names import DISCOVERY_JOB, PROMETHEUS, Tier
from fleet.outputs import SEND_DELAY, fresh_within
from fleet.plan import ClusterPlan, FederationEdge, Plan, RemoteWriteEdge
from fleet.promql import by_name
from fleet.rules import HEARTBEAT

Labels = Sequence[str]

CLUSTER = ("region", "cluster")
"""What tells clusters apart; one without a region has no such label."""

_FEDERATION = f'job=~"federate-.+",job!="{DISCOVERY_JOB}"'
OWN = f'job="{PROMETHEUS}",cluster=""'
"""The global cluster's Prometheus, as it scrapes itself."""
_OF_CLUSTERS = 'cluster!=""'
_LOOKBACK = 300
"""Seconds after which a series that gets no more samples is none to Prometheus."""


@dataclass(frozen=True)
class Scope:
    """Which clusters a dashboard is about; the value of a variable decides, where it has one."""

    label: str | None = None

    def selector(self, *others: str) -> str:
        """The label matchers of a series, with `others` among them."""
        own = (f'{self.label}="${self.label}"',) if self.label is not None else ()
        return f"{{{','.join((*others, *own))}}}" if others or own else ""

    def only(self, expr: str) -> str:
        """The series of `expr` that lie in the scope, where it cannot be narrowed by matchers."""
        if self.label is None:
            return f"({expr})"
        return f'(({expr}) and on ({self.label}) label_replace(vector(1), "{self.label}", "${self.label}", "", ""))'


FLEET = Scope()


@dataclass(frozen=True)
class Queries:
    plan: Plan

    @cached_property
    def top(self) -> ClusterPlan:
        return next(self.plan.tier(Tier.GLOBAL))

    @cached_property
    def edges(self) -> tuple[FederationEdge, ...]:
        """What the global cluster scrapes; the scrapes of regions are known to the regions alone."""
        return self.plan.federated_by(self.top.name)

    @cached_property
    def writers(self) -> tuple[RemoteWriteEdge, ...]:
        return tuple(edge for edge in self.plan.remote_write if edge.receiver == self.top.name)

    @cached_property
    def clusters(self) -> tuple[ClusterPlan, ...]:
        """Those that have something to say about themselves."""
        return tuple(each for each in self.plan.everywhere.values() if each.tier in {Tier.LEAF, Tier.EDGE})

    @cached_property
    def has_senders(self) -> bool:
        """Whether any cluster writes to another, or to somebody outside of the fleet."""
        return bool(self.plan.own_writes) or any(each.destinations for each in self.plan.everywhere.values())

    @cached_property
    def has_queues_side_by_side(self) -> bool:
        """Whether a Prometheus writes to others whose raw series are here: the global cluster's own, or an edge's."""
        here = (self.top, *(each for each in self.plan.everywhere.values() if each.tier is Tier.EDGE))
        storing = {edge.sender for edge in self.plan.stores}
        return any(each.destinations or each.name in storing for each in here)

    @cached_property
    def has_gateways(self) -> bool:
        return any(each.gateway is not None for each in self.plan.everywhere.values())

    @cached_property
    def regions(self) -> tuple[str, ...]:
        return tuple(sorted({each.region for each in self.clusters if each.region is not None}))

    @cached_property
    def _prefixes(self) -> tuple[str, ...]:
        """Of recorded series that tell clusters apart: through a region, or straight from the cluster."""
        straight = self.writers or self.top.discovery is not None
        ways = {edge.records for edge in self.edges} | ({"cluster"} if straight else set[str]())
        return tuple(prefix for way, prefix in _PREFIXES.items() if way in ways)

    def total(self, labels: Labels, metric: str, scope: Scope = FLEET, at: str = "") -> str:
        """`metric`, which goes by the name of its rule without a prefix, over the clusters of the scope.

        For each value of `labels`, which are `CLUSTER` for what the global cluster records of each.
        """
        recorded = f"global:{metric}{scope.selector()}{at}"
        if not set(labels) - {*CLUSTER, "le"}:
            # There is one series for each: the aggregation takes its name away, by which a table would tell rows apart.
            return f"{'max' if set(CLUSTER) <= set(labels) else 'sum'}{_by(labels)}({recorded})"
        apart = tuple(dict.fromkeys((*CLUSTER, *labels)))
        # A cluster that comes up both ways counts once: `or` takes what the first way lacks.
        ways = (f"sum{_by(apart)}({prefix}{metric}{scope.selector()}{at})" for prefix in self._prefixes)
        return f"sum{_by(labels)}({_either(ways)})"

    def ratio(self, labels: Labels, of: tuple[str, str], scope: Scope = FLEET, at: str = "") -> str:
        """The first of two metrics over the second. Nothing, rather than a division by zero, where there is none."""
        part, whole = (self.total(labels, metric, scope, at) for metric in of)
        return f"{part} / ({whole} > 0)"

    def quantile(self, labels: Labels, share: float, metric: str, scope: Scope = FLEET, at: str = "") -> str:
        """Of buckets that are recorded as rates: such can be added up, as quantiles cannot."""
        return f"histogram_quantile({share:g}, {self.total((*labels, 'le'), metric, scope, at)})"

    def growth(self, labels: Labels, metric: str, scope: Scope = FLEET, at: str = "") -> str:
        """Of what the global cluster records of each cluster, in a day."""
        grown = f"delta(global:{metric}{scope.selector()}[1d]{at})"
        return f"sum{_by(labels)}({grown})"

    def runbook(self, alert: str) -> tuple[str, str] | None:
        """Its title and URL; None where the page does not say where people read runbooks."""
        alerting = self.top.alerting
        if alerting is None or alerting.runbooks is None:
            return None
        return f"Runbook {alert}", runbook_url(alerting, alert)

    def incomplete(self, scope: Scope = FLEET) -> str:
        """How many clusters of the plan are in no sum."""
        where = scope.selector() if scope.label == "region" else ""
        return f"sum(global:clusters_planned:count{where}) - sum(global:clusters_reporting:count{where})"

    @cached_property
    def behind_regions(self) -> tuple[ClusterPlan, ...]:
        """Clusters that are known here by what their region says of them."""
        names = {name for edge in self.edges if edge.records == "region" for name in edge.clusters}
        return tuple(each for each in self.clusters if each.name in names)

    @cached_property
    def edges_fresh_within(self) -> float:
        """Seconds that the newest sample of a child may be old."""
        return max(fresh_within(edge.interval, self.plan.cluster(edge.child)) for edge in self.edges)

    @cached_property
    def writers_fresh_within(self) -> float:
        return max(fresh_within(SEND_DELAY, self.plan.cluster(edge.sender)) for edge in self.writers)

    def planned(self, clusters: Sequence[ClusterPlan]) -> str:
        """0 for each of `clusters`, whether or not anything is known of it."""
        by_region: dict[str | None, list[str]] = {}
        for cluster in clusters:
            by_region.setdefault(cluster.region, []).append(_labelled("vector(0)", "cluster", cluster.name))
        return _either(
            _labelled(_either(each), "region", region) if region is not None else _either(each)
            for region, each in by_region.items()
        )

    def reporting(self, scope: Scope = FLEET) -> str:
        """1 for each cluster whose heartbeat is here."""
        # Regions and the global cluster have one, too, and no label `cluster`.
        return f"group{_by(CLUSTER)}(global:{HEARTBEAT}{scope.selector(_OF_CLUSTERS)})"

    def presence(self, scope: Scope = FLEET) -> str:
        """1 for each cluster that reports, 0 for each that should."""
        return _either([self.reporting(scope), scope.only(self.planned(self.clusters))])

    @cached_property
    def _raw(self) -> tuple[RemoteWriteEdge, ...]:
        return tuple(edge for edge in self.writers if self.plan.cluster(edge.sender).tier is Tier.EDGE)

    @cached_property
    def _recorded(self) -> tuple[RemoteWriteEdge, ...]:
        return tuple(edge for edge in self.writers if edge not in self._raw)

    def edge_ages(self) -> str:
        """Of each child that the global cluster scrapes."""
        records = dict.fromkeys(edge.records for edge in self.edges)
        ages = _either(_age(f"{each}:{HEARTBEAT}") for each in records)
        # What a child serves carries no job; the labels that are asserted about it tell whose it is.
        return _by_child(f"{ages} + on ({', '.join(CLUSTER)}) group_left (job) 0 * up{{{_FEDERATION}}}")

    def edges_up(self) -> str:
        """1 for each child of the plan that is scraped, 0 for each that is not, -1 where it has no target at all."""
        planned = (_labelled("vector(-1)", "child", edge.child) for edge in self.edges)
        return _either([_by_child(f"up{{{_FEDERATION}}}", "min"), *planned])

    def of_edges(self, metric: str, at: str = "") -> str:
        """A `scrape_*` metric, by child."""
        return _by_child(f"{metric}{{{_FEDERATION}}}{at}")

    def share(self, of: str, limit: Callable[[FederationEdge], float]) -> str:
        """What scrapes say over what the plan allows, by child; `{}` in `of` stands for the label matchers."""
        by_limit: dict[float, list[str]] = {}
        for edge in self.edges:
            by_limit.setdefault(limit(edge), []).append(edge.job)
        selectors = {allowed: '{job=~"' + "|".join(jobs) + '"}' for allowed, jobs in by_limit.items()}
        shares = (f"{of.format(selector)} / {allowed:.10g}" for allowed, selector in selectors.items())
        return _by_child(_either(shares))

    def churn(self) -> str:
        """New series of each child within an hour, over its budget."""
        return self.share("sum_over_time(scrape_series_added{}[1h])", lambda edge: edge.budget)

    def series_behind_regions(self) -> str:
        """How many series of each cluster came up through its region, 0 for one of which none did."""
        found = f'count by ({", ".join(CLUSTER)}) ({{__name__=~"region:cluster_.+"}})'
        return _either([found, self.planned(self.behind_regions)])

    def ages_behind_regions(self) -> str:
        return _age(f"region:cluster_{HEARTBEAT}")

    def writers_writing(self) -> str:
        """Samples per second of each sender of the plan, 0 for one from which nothing came."""
        planned = self.planned([self.plan.cluster(edge.sender) for edge in self.writers])
        counts = (
            f"sum{_by(CLUSTER)}({counted})"
            for counted in self._of_writers(lambda selector: f"count_over_time({selector}[{_LOOKBACK}s])")
        )
        return f"{_either([*counts, planned])} / {_LOOKBACK}"

    def writer_ages(self) -> str:
        """Seconds since the newest sample of each sender; nothing for one that is silent."""
        newest = self._of_writers(lambda selector: f"timestamp({selector})")
        return f"time() - max{_by(CLUSTER)}({_either(newest)})"

    def _of_writers(self, expr: Callable[[str], str]) -> Iterator[str]:
        """`expr` of whatever edges send, and of whatever others write."""
        return (_of_senders(edges, expr) for edges in (self._raw, self._recorded) if edges)


_PREFIXES = {"region": "region:cluster_", "cluster": "cluster:"}


def largest(expr: Callable[[str], str], count: int = 10) -> str:
    """Those series of `expr` that are the largest at the end of a dashboard's time range.

    `expr` is given what to put behind a selector. A bare topk would choose anew at each point and draw many more.
    """
    return f"({expr('')}) and topk({count}, {expr(' @ end()')})"


def _by(labels: Labels) -> str:
    return f" by ({', '.join(labels)}) " if labels else ""


def _by_child(expr: str, aggregate: str = "max") -> str:
    return f'{aggregate} by (child) (label_replace({expr}, "child", "$1", "job", "federate-(.+)"))'


def _age(metric: str) -> str:
    """Seconds since the newest sample of `metric`, by cluster; of a series that ended, for an hour."""
    newest = f"max by ({', '.join(CLUSTER)}) (timestamp({metric}))"
    return f"(time() - {_either([newest, f'max_over_time({newest}[1h:1m])'])})"


def _either(exprs: Iterable[str]) -> str:
    """Each series once, of the first that has it."""
    first, *others = exprs
    return f"({' or '.join((first, *others))})" if others else first


def _labelled(expr: str, label: str, value: str) -> str:
    return f'label_replace({expr}, "{label}", "{value}", "", "")'


def _of_senders(edges: Sequence[RemoteWriteEdge], expr: Callable[[str], str]) -> str:
    senders = _senders(edges)
    return by_name((name for edge in edges for name in edge.keep), lambda name: expr(f"{name}{{{senders}}}"))


def _senders(edges: Sequence[RemoteWriteEdge]) -> str:
    return f'cluster=~"{"|".join(edge.sender for edge in edges)}"'
