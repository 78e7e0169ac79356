"""Many clusters at once: the whole fleet, and one region of it."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from fleet.dashboards import measures
from fleet.dashboards.panels import COUNT, Column, Limits, Panel, assemble, in_a_row, number, table, url, variable
from fleet.dashboards.queries import CLUSTER, FLEET, Queries, Scope
from fleet.names import PROJECT

OVERVIEW = f"{PROJECT}-overview"
REGION = f"{PROJECT}-region"
CLUSTER_DETAIL = f"{PROJECT}-cluster"

REPORTS = {1.0: ("yes", True), 0.0: ("no", False)}
LABELS = {"cluster": "Cluster", "region": "Region"}
TO_CLUSTER = {"Cluster": url(CLUSTER_DETAIL, "cluster", "${__value.raw}")}
SERVICE = ("namespace", "service")


def overview(queries: Queries) -> Dashboard:
    to_region = {"Region": url(REGION, "region", "${__value.raw}")} if queries.regions else {}
    panels = [*_totals(queries, FLEET), _clusters(queries, FLEET, to_region), *_by_cluster(queries, FLEET)]
    description = "The whole fleet by cluster. Start with who is missing: every sum below lacks them."
    return assemble(OVERVIEW, "Global Cluster Overview", description, panels)


def region(queries: Queries) -> Dashboard:
    scope = Scope("region")
    panels = [
        *_totals(queries, scope),
        _clusters(queries, scope, {}),
        *_by_cluster(queries, scope),
        *by_namespace(queries, scope),
        *by_service(queries, scope),
    ]
    description = "One region: its clusters, and what its namespaces and services use over all of them."
    return assemble(REGION, "Region", description, panels, [variable("region", queries.regions)])


def clusters_missing(queries: Queries, scope: Scope) -> Panel:
    return number(
        "Clusters missing",
        "Clusters of the plan whose heartbeat is not here: every sum lacks them. The table of clusters names them; "
        "'Federation health' says whether the way up is at fault.",
        queries.incomplete(scope),
        COUNT,
        limits=Limits(warn=None, bad=1),
        link=queries.runbook("ClusterSilent"),
    )


def _totals(queries: Queries, scope: Scope) -> list[Panel]:
    return [*in_a_row(clusters_missing(queries, scope), *used(queries, scope)), *in_a_row(*health(queries, scope))]


def used(queries: Queries, scope: Scope) -> list[Panel]:
    shown = (measures.CPU, measures.MEMORY, measures.PODS, measures.REQUESTS, measures.ERRORS)
    return [each.number(queries, scope) for each in shown]


def health(queries: Queries, scope: Scope) -> list[Panel]:
    shown = (
        *(measures.CPU_REQUESTED, measures.MEMORY_REQUESTED, measures.MEDIAN, measures.LATENCY),
        *(measures.NOT_READY, measures.VOLUMES),
    )
    return [each.number(queries, scope) for each in shown]


def _clusters(queries: Queries, scope: Scope, links: dict[str, str]) -> Panel:
    shown = (
        *(measures.CPU, measures.MEMORY, measures.CPU_REQUESTED, measures.MEMORY_REQUESTED),
        *(measures.NODE_CPU, measures.NODE_MEMORY, measures.REQUESTS, measures.ERRORS, measures.LATENCY),
        *(measures.PODS, measures.NOT_READY, measures.API_ERRORS),
    )
    return table(
        "Clusters",
        "Every cluster of the plan, those that do not report first. Empty cells: the cluster does not measure it (an "
        "edge sends only what annotated pods offer). Utilization above 80 % leaves no room for a node that fails: "
        "add nodes or move work.",
        LABELS,
        [
            Column("Reports", queries.presence(scope), COUNT, words=REPORTS),
            *(each.column(queries, CLUSTER, scope) for each in shown),
        ],
        sort="Reports",
        descending=False,
        links={**TO_CLUSTER, **links},
    )


def _by_cluster(queries: Queries, scope: Scope) -> list[Panel]:
    rows = (
        (measures.CPU, measures.MEMORY, measures.REQUESTS),
        (measures.ERRORS, measures.LATENCY, measures.RESTARTS),
        (measures.CPU_REQUESTED, measures.NODE_CPU, measures.NODE_MEMORY),
    )
    return [panel for row in rows for panel in in_a_row(*(each.top(queries, CLUSTER, scope) for each in row))]


def by_namespace(queries: Queries, scope: Scope) -> list[Panel]:
    shown = (measures.CPU, measures.MEMORY, measures.PODS)
    return in_a_row(*(each.top(queries, ("namespace",), scope) for each in shown))


def by_service(queries: Queries, scope: Scope) -> list[Panel]:
    gone = "A line that falls to zero is a service without callers, or one that nobody scrapes any more."
    return in_a_row(
        measures.REQUESTS.top(queries, SERVICE, scope, gone),
        measures.ERRORS.top(queries, SERVICE, scope, "Begin with the service that others call."),
        measures.LATENCY.top(queries, SERVICE, scope),
    )
