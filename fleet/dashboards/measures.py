"""What clusters are measured by: each has its words, unit and limits here, and every panel of it has the same."""

from collections.abc import Callable
from dataclasses import dataclass

from fleet.dashboards import panels
from fleet.dashboards.panels import Column, Limits, Panel
from fleet.dashboards.queries import FLEET, Labels, Queries, Scope, largest

Ask = Callable[[Queries, Labels, Scope, str], str]
"""The query for each value of some labels, with what is to stand behind a selector."""


@dataclass(frozen=True, slots=True)
class Measure:
    title: str
    unit: str
    ask: Ask
    meaning: str
    """And what to do about it."""
    limits: Limits | None = None

    def number(self, queries: Queries, scope: Scope = FLEET) -> Panel:
        return panels.number(self.title, self.meaning, self.ask(queries, (), scope, ""), self.unit, limits=self.limits)

    def column(self, queries: Queries, labels: Labels, scope: Scope = FLEET) -> Column:
        return Column(self.title, self.ask(queries, labels, scope, ""), self.unit, self.limits)

    def top(self, queries: Queries, labels: Labels, scope: Scope = FLEET, meaning: str = "") -> Panel:
        """The ten largest; `meaning` where it is another one for these labels."""
        shown = [label for label in labels if label != "region"]
        return panels.lines(
            f"{self.title} by {shown[-1]}, top 10",
            meaning or self.meaning,
            largest(lambda at: self.ask(queries, labels, scope, at)),
            self.unit,
            "/".join(f"{{{{{label}}}}}" for label in shown),
        )


def _total(metric: str) -> Ask:
    return lambda queries, labels, scope, at: queries.total(labels, metric, scope, at)


def _ratio(part: str, whole: str) -> Ask:
    return lambda queries, labels, scope, at: queries.ratio(labels, (part, whole), scope, at)


def _quantile(share: float, metric: str) -> Ask:
    return lambda queries, labels, scope, at: queries.quantile(labels, share, metric, scope, at)


CPU = Measure(
    "CPU", panels.CORES, _total("namespace_cpu:sum"), "What containers use. Ask its team before adding nodes."
)
MEMORY = Measure(
    "Memory",
    panels.BYTES,
    _total("namespace_memory:sum"),
    "Working set of containers: what the OOM killer looks at. A line that only climbs is a leak.",
)
PODS = Measure(
    "Pods",
    panels.COUNT,
    _total("namespace_pod_count:sum"),
    "Pods of every phase. A jump without a release is a controller that runs away.",
)
NOT_READY = Measure(
    "Pods not ready",
    panels.COUNT,
    _total("namespace_pods_not_ready:sum"),
    "Pods that should run and are not ready. For more than a rollout: `kubectl get pods` says why.",
)
RESTARTS = Measure(
    "Restarts",
    panels.COUNT,
    _total("namespace_container_restarts:increase15m"),
    "Of containers within 15 minutes. One that comes back again and again looks well in between.",
)
REQUESTS = Measure(
    "Requests",
    panels.REQUESTS_PER_SECOND,
    _total("service_http_requests:rate5m"),
    "HTTP requests over 5 minutes. Traffic that leaves one cluster should appear in another.",
)
ERRORS = Measure(
    "Errors",
    panels.RATIO,
    _ratio("service_http_errors:rate5m", "service_http_requests:rate5m"),
    "Share of HTTP requests answered with 5xx. High in one cluster, it is the cluster; in all of them, the service.",
    Limits(warn=0.01, bad=0.05),
)
MEDIAN = Measure(
    "Latency, median",
    panels.SECONDS,
    _quantile(0.5, "service_http_request_duration_seconds_bucket:rate5m"),
    "Half of the requests are answered within it, over 5 minutes. 2.5 s stands for all that is slower.",
)
LATENCY = Measure(
    "Latency, p99",
    panels.SECONDS,
    _quantile(0.99, "service_http_request_duration_seconds_bucket:rate5m"),
    "99 of 100 requests are answered within it, over 5 minutes. 2.5 s stands for all that is slower.",
)
CPU_REQUESTED = Measure(
    "CPU requested",
    panels.RATIO,
    _ratio("cpu_requests:sum", "cpu_allocatable:sum"),
    "What pods request of what nodes can give. Towards 100 % no pod finds a place, however idle the nodes: add nodes, "
    "or lower requests that are not used.",
    Limits(warn=0.8, bad=0.95),
)
MEMORY_REQUESTED = Measure(
    "Memory requested",
    panels.RATIO,
    _ratio("memory_requests:sum", "memory_allocatable:sum"),
    "What pods request of what nodes can give. Towards 100 % a node that fails leaves pods without a place.",
    Limits(warn=0.8, bad=0.95),
)
NODE_CPU = Measure(
    "Node CPU",
    panels.RATIO,
    _total("node_cpu_utilization:avg"),
    "Mean over the cluster's nodes. Above 80 % for long: add nodes or move work.",
    Limits(warn=0.8, bad=0.9),
)
NODE_MEMORY = Measure(
    "Node memory",
    panels.RATIO,
    _total("node_memory_utilization:avg"),
    "Mean over the cluster's nodes. Above 90 % kubelets begin to evict pods.",
    Limits(warn=0.8, bad=0.9),
)
API_ERRORS = Measure(
    "API server errors",
    panels.RATIO,
    _ratio("apiserver_errors:rate5m", "apiserver_requests:rate5m"),
    "Share of requests that the API server answered with 5xx. Where it fails, nothing is rolled out or healed.",
    Limits(warn=0.01, bad=0.05),
)
VOLUMES = Measure(
    "Volumes nearly full",
    panels.COUNT,
    _total("volumes_nearly_full:count"),
    "Persistent volumes with less than a tenth free. What writes to them stops when they are full.",
    Limits(warn=None, bad=1),
)
SERIES = Measure(
    "Series",
    panels.COUNT,
    _total("series:count"),
    "That Prometheus holds in memory, a few KiB each. A climb without new workloads is a label with too many values.",
)
GROWTH = Measure(
    "Growth in a day",
    panels.COUNT,
    lambda queries, labels, scope, at: queries.growth(labels, "series:count", scope, at),
    "Series more, or fewer, than a day before; estimated while less than a day is known.",
)
CHURN = Measure(
    "New series",
    panels.PER_SECOND,
    _total("series_created:rate5m"),
    "Series that did not exist before. Where it stays after a rollout, a label changes with every pod or request.",
)
SAMPLES = Measure(
    "Samples",
    panels.SAMPLES_PER_SECOND,
    _total("samples_appended:rate5m"),
    "Taken in. CPU and disk follow it: a longer scrape interval halves it, fewer series do as well.",
)
DISK = Measure(
    "On disk",
    panels.BYTES,
    _total("storage_bytes:sum"),
    "Blocks, write-ahead log and the chunks of the head. Of an edge, its log alone.",
)
SENT = Measure(
    "Sent",
    panels.SAMPLES_PER_SECOND,
    _total("remote_write_samples:rate5m"),
    "Over 5 minutes, over all queues of the cluster.",
)
LAG = Measure(
    "Lag",
    panels.SECONDS,
    _total("remote_write_lag_seconds:max"),
    "Age of the newest sample that was sent. A leaf keeps the rest for about two hours, an edge for four.",
    Limits(warn=60, bad=600),
)
SHARDS = Measure(
    "Shards",
    panels.RATIO,
    _total("remote_write_shards_desired:ratio"),
    "What the queue would need of what it may have. From 100 % on it falls behind: say a higher series, or send less.",
    Limits(warn=0.8, bad=1),
)
FAILED = Measure(
    "Failed",
    panels.SAMPLES_PER_SECOND,
    _total("remote_write_failed_samples:rate5m"),
    "Refused (400, 401, 403, 404, 413) and lost for good: the sender's log says which.",
    Limits(warn=None, bad=1e-9),
)
DROPPED = Measure(
    "Dropped",
    panels.SAMPLES_PER_SECOND,
    _total("remote_write_dropped_samples:rate5m"),
    "Thrown away unsent, beside what the page has left out.",
    Limits(warn=None, bad=1e-9),
)
RETRIED = Measure(
    "Retried",
    panels.SAMPLES_PER_SECOND,
    _total("remote_write_retried_samples:rate5m"),
    "Sent again after a 5xx, or no answer. Nothing is lost yet: look at the receiver.",
    Limits(warn=1e-9, bad=100),
)
LOG_BEHIND = Measure(
    "Log behind",
    panels.COUNT,
    _total("remote_write_wal_segments_behind:max"),
    "Segments of the write-ahead log, 128 MiB each, that the queue has not read.",
    Limits(warn=1, bad=2),
)
