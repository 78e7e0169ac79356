"""PromQL over what the global cluster holds: from each cluster by whichever way its series come up."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from fleet.names import DISCOVERY_JOB, Tier
from fleet.outputs import SEND_DELAY, fresh_within
from fleet.plan import ClusterPlan, FederationEdge, Plan, RemoteWriteEdge
from fleet.rules import cluster_rules

CPU = "namespace_cpu:sum"
MEMORY = "namespace_memory:sum"
PODS = "namespace_pod_count:sum"
NODE_CPU = "node_cpu_utilization:avg"
NODE_MEMORY = "node_memory_utilization:avg"
REQUESTS = "service_http_requests:rate5m"
ERRORS = "service_http_errors:rate5m"
EXPIRY = "certificate_expiry_timestamp_seconds:min"
REFUSED = "gateway_refused_requests:rate5m"
OLD_KEYS = "gateway_old_key_requests:rate5m"

CLUSTER = ("region", "cluster")
"""What tells clusters apart; one without a region has no such label."""

_FEDERATION = f'job=~"federate-.+",job!="{DISCOVERY_JOB}"'
_LOOKBACK = 300
"""Seconds after which a series that gets no more samples is none to Prometheus."""


@dataclass(frozen=True)
class Scope:
    """Which clusters a dashboard is about; the value of a variable decides, where it has one."""

    label: str | None = None

    @property
    def matchers(self) -> str:
        return f'{self.label}="${self.label}"' if self.label is not None else ""

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

    def by(self, labels: Sequence[str], metric: str, scope: Scope = FLEET, at: str = "") -> str:
        """`metric`, which goes by the name of its rule without a prefix, for each value of `labels`.

        A cluster that comes up both ways counts once: `or` takes what the first way lacks.
        """
        where = f"{{{scope.matchers}}}" if scope.matchers else ""
        kept = ", ".join(labels)
        return _either(f"{_AGGREGATE[metric]} by ({kept}) ({prefix}{metric}{where}{at})" for prefix in self._prefixes)

    def total(self, labels: Sequence[str], metric: str, scope: Scope = FLEET, at: str = "") -> str:
        """The sum of `metric` over the clusters of the scope, for each value of `labels`."""
        apart = tuple(dict.fromkeys((*CLUSTER, *labels)))
        by = f" by ({', '.join(labels)}) " if labels else ""
        return f"sum{by}({self.by(apart, metric, scope, at)})"

    def error_ratio(self, labels: Sequence[str], scope: Scope = FLEET, at: str = "") -> str:
        """Nothing, rather than a division by zero, where there is no traffic."""
        errors, requests = (self.total(labels, metric, scope, at) for metric in (ERRORS, REQUESTS))
        return f"{errors} / ({requests} > 0)"

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
        """1 for each cluster of which series are here."""
        # An edge is known by its raw series: what is recorded of them is recorded here.
        found = [self.by(CLUSTER, PODS, scope), *([self._written(scope)] if self._raw else [])]
        return f"group by ({', '.join(CLUSTER)}) ({_either(found)})"

    def missing(self, scope: Scope = FLEET) -> str:
        return f"{scope.only(self.planned(self.clusters))} unless {self.reporting(scope)}"

    def presence(self, scope: Scope = FLEET) -> str:
        """1 for each cluster that reports, 0 for each that should."""
        return _either([self.reporting(scope), scope.only(self.planned(self.clusters))])

    def _written(self, scope: Scope) -> str:
        return f"count by ({', '.join(CLUSTER)}) ({{{_names(self._raw)},{_senders(self._raw)}{_and(scope)}}})"

    @cached_property
    def _raw(self) -> tuple[RemoteWriteEdge, ...]:
        return tuple(edge for edge in self.writers if self.plan.cluster(edge.sender).tier is Tier.EDGE)

    @cached_property
    def _recorded(self) -> tuple[RemoteWriteEdge, ...]:
        return tuple(edge for edge in self.writers if edge not in self._raw)

    def edge_ages(self) -> str:
        """Of each child that the global cluster scrapes."""
        records = dict.fromkeys(edge.records for edge in self.edges)
        ages = _either(_age(f"{each}:{PODS}") for each in records)
        # What a child serves carries no job; the labels that are asserted about it tell whose it is.
        return _by_child(f"{ages} + on ({', '.join(CLUSTER)}) group_left (job) 0 * up{{{_FEDERATION}}}")

    def edges_up(self) -> str:
        """1 for each child of the plan that is scraped, 0 for each that is not, -1 where it has no target at all."""
        planned = (_labelled("vector(-1)", "child", edge.child) for edge in self.edges)
        return _either([_by_child(f"up{{{_FEDERATION}}}", "min"), *planned])

    def of_edges(self, metric: str, at: str = "") -> str:
        """A `scrape_*` metric, by child."""
        return _by_child(f"{metric}{{{_FEDERATION}}}{at}")

    def share(self, metric: str, limit: Callable[[FederationEdge], float]) -> str:
        """A `scrape_*` metric over what the plan allows, by child."""
        by_limit: dict[float, list[str]] = {}
        for edge in self.edges:
            by_limit.setdefault(limit(edge), []).append(edge.job)
        return _by_child(
            _either(f'{metric}{{job=~"{"|".join(jobs)}"}} / {allowed:.10g}' for allowed, jobs in by_limit.items())
        )

    def series_behind_regions(self) -> str:
        """How many series of each cluster came up through its region, 0 for one of which none did."""
        found = f'count by ({", ".join(CLUSTER)}) ({{__name__=~"region:cluster_.+"}})'
        return _either([found, self.planned(self.behind_regions)])

    def ages_behind_regions(self) -> str:
        return _age(f"region:cluster_{PODS}")

    def writers_writing(self) -> str:
        """Samples per second of each sender of the plan, 0 for one from which nothing came."""
        planned = self.planned([self.plan.cluster(edge.sender) for edge in self.writers])
        counts = (
            f"sum by ({', '.join(CLUSTER)}) (count_over_time({{{_names(edges)},{_senders(edges)}}}[{_LOOKBACK}s]))"
            for edges in (self._raw, self._recorded)
            if edges
        )
        return f"{_either([*counts, planned])} / {_LOOKBACK}"

    def writer_ages(self) -> str:
        """Seconds since the newest sample of each sender; nothing for one that is silent."""
        # timestamp() drops the metric's name, so that several names would collide with each other.
        newest = [
            _labelled(f"timestamp({name}{{{_senders(edges)}}})", "of", name)
            for edges in (self._raw, self._recorded)
            for name in dict.fromkeys(name for edge in edges for name in edge.keep)
        ]
        return f"time() - max by ({', '.join(CLUSTER)}) ({_either(newest)})"


_PREFIXES = {"region": "region:cluster_", "cluster": "cluster:"}

_AGGREGATE = {rule.metric: rule.region.aggregate for rule in cluster_rules()}


def largest(expr: Callable[[str], str], count: int = 10) -> str:
    """Those series of `expr` that are the largest at the end of a dashboard's time range.

    `expr` is given what to put behind a selector. A bare topk would choose anew at each point and draw many more.
    """
    return f"({expr('')}) and topk({count}, {expr(' @ end()')})"


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


def _names(edges: Sequence[RemoteWriteEdge]) -> str:
    return f'__name__=~"{"|".join(dict.fromkeys(name for edge in edges for name in edge.keep))}"'


def _senders(edges: Sequence[RemoteWriteEdge]) -> str:
    return f'cluster=~"{"|".join(edge.sender for edge in edges)}"'


def _and(scope: Scope) -> str:
    return f",{scope.matchers}" if scope.matchers else ""
