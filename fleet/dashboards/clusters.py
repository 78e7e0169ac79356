"""Many clusters at once: the whole fleet, and one region of it."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from fleet.dashboards.panels import (
    BYTES,
    CORES,
    COUNT,
    RATIO,
    REQUESTS_PER_SECOND,
    Column,
    Limits,
    Panel,
    assemble,
    in_a_row,
    lines,
    number,
    table,
    url,
    variable,
)
from fleet.dashboards.queries import (
    CLUSTER,
    CPU,
    FLEET,
    MEMORY,
    NODE_CPU,
    NODE_MEMORY,
    PODS,
    REQUESTS,
    Queries,
    Scope,
    largest,
)
from fleet.names import PROJECT

OVERVIEW = f"{PROJECT}-overview"
REGION = f"{PROJECT}-region"
CLUSTER_DETAIL = f"{PROJECT}-cluster"

ERRORS_ALLOWED = Limits(warn=0.01, bad=0.05)
NODES_FILLED = Limits(warn=0.8, bad=0.9)
REPORTS = {1.0: ("yes", True), 0.0: ("no", False)}


def overview(queries: Queries) -> Dashboard:
    panels = [
        *totals(queries, FLEET),
        _clusters(queries, FLEET),
        *in_a_row(*_by_cluster(queries, FLEET)),
        *in_a_row(*_worst_clusters(queries, FLEET)),
    ]
    description = "The whole fleet by cluster. Start with who is missing: every sum below lacks them."
    return assemble(OVERVIEW, "Global Cluster Overview", description, panels)


def region(queries: Queries) -> Dashboard:
    scope = Scope("region")
    panels = [
        *totals(queries, scope),
        _clusters(queries, scope),
        *in_a_row(*_by_cluster(queries, scope)),
        *in_a_row(*by_namespace(queries, scope)),
        *in_a_row(*by_service(queries, scope)),
    ]
    description = "One region: its clusters, and what its namespaces and services use over all of them."
    return assemble(REGION, "Region", description, panels, [variable("region", queries.regions)])


def totals(queries: Queries, scope: Scope) -> list[Panel]:
    missing = number(
        "Clusters missing",
        "Clusters of the plan of which nothing is here. The table below names them; 'Federation health' says whether "
        "the way up is at fault, and `python -m fleet status` asks the clusters themselves.",
        f"count({queries.missing(scope)}) or vector(0)",
        COUNT,
        limits=Limits(warn=None, bad=1),
    )
    return in_a_row(missing, *used(queries, scope))


def used(queries: Queries, scope: Scope) -> list[Panel]:
    return [
        number("CPU", "What containers use.", queries.total((), CPU, scope), CORES),
        number(
            "Memory",
            "Working set of containers: what the OOM killer looks at.",
            queries.total((), MEMORY, scope),
            BYTES,
        ),
        number("Requests", "HTTP requests over 5 minutes.", queries.total((), REQUESTS, scope), REQUESTS_PER_SECOND),
        number(
            "Errors",
            "Share of HTTP requests answered with 5xx. Where it is high, look for the service below: in one cluster it "
            "is the cluster, in all of them the service.",
            queries.error_ratio((), scope),
            RATIO,
            limits=ERRORS_ALLOWED,
        ),
        number(
            "Pods",
            "Pods of every phase. A jump without a release is a controller that runs away.",
            queries.total((), PODS, scope),
            COUNT,
        ),
    ]


def _clusters(queries: Queries, scope: Scope) -> Panel:
    return table(
        "Clusters",
        "Every cluster of the plan, those that do not report first. Empty cells: the cluster does not measure it (an "
        "edge sends only what annotated pods offer). Utilization above 80 % leaves no room for a node that fails: "
        "add nodes or move work.",
        {"cluster": "Cluster", "region": "Region"},
        [
            Column("Reports", queries.presence(scope), COUNT, words=REPORTS),
            Column("CPU", queries.by(CLUSTER, CPU, scope), CORES),
            Column("Memory", queries.by(CLUSTER, MEMORY, scope), BYTES),
            Column("Requests", queries.by(CLUSTER, REQUESTS, scope), REQUESTS_PER_SECOND),
            Column("Errors", queries.error_ratio(CLUSTER, scope), RATIO, ERRORS_ALLOWED),
            Column("Pods", queries.by(CLUSTER, PODS, scope), COUNT),
            Column("Node CPU", queries.by(CLUSTER, NODE_CPU, scope), RATIO, NODES_FILLED),
            Column("Node memory", queries.by(CLUSTER, NODE_MEMORY, scope), RATIO, NODES_FILLED),
        ],
        sort="Reports",
        descending=False,
        links={"Cluster": url(CLUSTER_DETAIL, "cluster", "${__value.raw}")},
    )


def _by_cluster(queries: Queries, scope: Scope) -> list[Panel]:
    def top(metric: str) -> str:
        return largest(lambda at: queries.by(CLUSTER, metric, scope, at))

    return [
        lines("CPU by cluster, top 10", "Who uses most at the end of the range.", top(CPU), CORES, "{{cluster}}"),
        lines("Memory by cluster, top 10", "Who uses most at the end of the range.", top(MEMORY), BYTES, "{{cluster}}"),
        lines(
            "Requests by cluster, top 10",
            "Traffic that leaves one cluster should appear in another.",
            top(REQUESTS),
            REQUESTS_PER_SECOND,
            "{{cluster}}",
        ),
    ]


def _worst_clusters(queries: Queries, scope: Scope) -> list[Panel]:
    def top(metric: str) -> str:
        return largest(lambda at: queries.by(CLUSTER, metric, scope, at))

    return [
        lines(
            "Errors by cluster, top 10",
            "A step in one cluster points at a release or at its network, one in all of them at what they share.",
            largest(lambda at: queries.error_ratio(CLUSTER, scope, at)),
            RATIO,
            "{{cluster}}",
        ),
        lines(
            "Node CPU by cluster, top 10",
            "Mean over the cluster's nodes. Above 80 % for long: add nodes or move work.",
            top(NODE_CPU),
            RATIO,
            "{{cluster}}",
        ),
        lines(
            "Node memory by cluster, top 10",
            "Mean over the cluster's nodes. Above 90 % kubelets begin to evict pods.",
            top(NODE_MEMORY),
            RATIO,
            "{{cluster}}",
        ),
    ]


def by_namespace(queries: Queries, scope: Scope) -> list[Panel]:
    def top(metric: str) -> str:
        return largest(lambda at: queries.total(("namespace",), metric, scope, at))

    return [
        lines("CPU by namespace, top 10", "Ask its team before adding nodes.", top(CPU), CORES, "{{namespace}}"),
        lines(
            "Memory by namespace, top 10",
            "A line that only climbs is a leak: it ends in OOM kills.",
            top(MEMORY),
            BYTES,
            "{{namespace}}",
        ),
        lines(
            "Pods by namespace, top 10",
            "A jump without a release is a controller that runs away.",
            top(PODS),
            COUNT,
            "{{namespace}}",
        ),
    ]


def by_service(queries: Queries, scope: Scope) -> list[Panel]:
    service = ("namespace", "service")
    return [
        lines(
            "Requests by service, top 10",
            "A line that falls to zero is a service without callers, or one that nobody scrapes any more.",
            largest(lambda at: queries.total(service, REQUESTS, scope, at)),
            REQUESTS_PER_SECOND,
            "{{namespace}}/{{service}}",
        ),
        lines(
            "Errors by service, top 10",
            "Share of its requests answered with 5xx. Begin with the service that others call.",
            largest(lambda at: queries.error_ratio(service, scope, at)),
            RATIO,
            "{{namespace}}/{{service}}",
        ),
    ]
