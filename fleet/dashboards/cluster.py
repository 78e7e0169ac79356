"""One cluster."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from fleet.dashboards import measures
from fleet.dashboards.clusters import CLUSTER_DETAIL, REPORTS, SERVICE, by_namespace, by_service, health, used
from fleet.dashboards.panels import COUNT, Panel, assemble, in_a_row, lines, number, table, variable
from fleet.dashboards.queries import CLUSTER, Queries, Scope


def cluster(queries: Queries) -> Dashboard:
    scope = Scope("cluster")
    reports = number(
        "Reports",
        "Whether its heartbeat is here. If not: 'Federation health' says whether the way up is at fault.",
        f"max({queries.presence(scope)})",
        COUNT,
        words=REPORTS,
        link=queries.runbook("ClusterSilent"),
    )
    of_namespaces = (measures.CPU, measures.MEMORY, measures.PODS, measures.NOT_READY, measures.RESTARTS)
    of_services = (measures.REQUESTS, measures.ERRORS, measures.MEDIAN, measures.LATENCY)
    panels = [
        *in_a_row(reports, *used(queries, scope)),
        *in_a_row(*health(queries, scope)),
        *by_namespace(queries, scope),
        *by_service(queries, scope),
        *_nodes(queries, scope),
        table(
            "Namespaces",
            "Everything that runs here; sort by what is short.",
            {"namespace": "Namespace"},
            [each.column(queries, ("namespace",), scope) for each in of_namespaces],
            sort="CPU",
        ),
        table(
            "Services",
            "Services with HTTP traffic. Errors are the share of requests answered with 5xx.",
            {"namespace": "Namespace", "service": "Service"},
            [each.column(queries, SERVICE, scope) for each in of_services],
            sort="Requests",
        ),
    ]
    description = "One cluster as the global cluster knows it. For single pods ask the cluster's own Prometheus."
    names = [each.name for each in queries.clusters]
    return assemble(CLUSTER_DETAIL, "Cluster", description, panels, [variable("cluster", names)])


def _nodes(queries: Queries, scope: Scope) -> list[Panel]:
    shown = (measures.NODE_CPU, measures.NODE_MEMORY, measures.API_ERRORS)
    return in_a_row(
        *(
            lines(each.title, each.meaning, each.ask(queries, CLUSTER, scope, ""), each.unit, "{{cluster}}")
            for each in shown
        )
    )
