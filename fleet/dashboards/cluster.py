"""One cluster."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from fleet.dashboards.clusters import (
    CLUSTER_DETAIL,
    ERRORS_ALLOWED,
    REPORTS,
    by_namespace,
    by_service,
    used,
)
from fleet.dashboards.panels import (
    BYTES,
    CORES,
    COUNT,
    RATIO,
    REQUESTS_PER_SECOND,
    Column,
    assemble,
    in_a_row,
    lines,
    number,
    table,
    variable,
)
from fleet.dashboards.queries import CLUSTER, CPU, MEMORY, NODE_CPU, NODE_MEMORY, PODS, REQUESTS, Queries, Scope


def cluster(queries: Queries) -> Dashboard:
    scope = Scope("cluster")
    reports = number(
        "Reports",
        "Whether series of this cluster are here. If not: 'Federation health' says whether the way up is at fault.",
        f"max({queries.presence(scope)})",
        COUNT,
        words=REPORTS,
    )
    panels = [
        *in_a_row(reports, *used(queries, scope)),
        *in_a_row(*by_namespace(queries, scope)),
        *in_a_row(*by_service(queries, scope)),
        *in_a_row(
            lines(
                "Node CPU",
                "Mean over the cluster's nodes. Above 80 % for long: add nodes or move work.",
                queries.by(CLUSTER, NODE_CPU, scope),
                RATIO,
                "{{cluster}}",
            ),
            lines(
                "Node memory",
                "Mean over the cluster's nodes. Above 90 % kubelets begin to evict pods.",
                queries.by(CLUSTER, NODE_MEMORY, scope),
                RATIO,
                "{{cluster}}",
            ),
        ),
        table(
            "Namespaces",
            "Everything that runs here; sort by what is short.",
            {"namespace": "Namespace"},
            [
                Column("CPU", queries.total(("namespace",), CPU, scope), CORES),
                Column("Memory", queries.total(("namespace",), MEMORY, scope), BYTES),
                Column("Pods", queries.total(("namespace",), PODS, scope), COUNT),
            ],
            sort="CPU",
        ),
        table(
            "Services",
            "Services with HTTP traffic. Errors are the share of requests answered with 5xx.",
            {"namespace": "Namespace", "service": "Service"},
            [
                Column("Requests", queries.total(("namespace", "service"), REQUESTS, scope), REQUESTS_PER_SECOND),
                Column("Errors", queries.error_ratio(("namespace", "service"), scope), RATIO, ERRORS_ALLOWED),
            ],
            sort="Requests",
        ),
    ]
    description = "One cluster as the global cluster knows it. For single pods ask the cluster's own Prometheus."
    names = [each.name for each in queries.clusters]
    return assemble(CLUSTER_DETAIL, "Cluster", description, panels, [variable("cluster", names)])
