"""What all of it costs: series, samples, bytes, and where they come from."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from fleet.dashboards import measures
from fleet.dashboards.clusters import LABELS, TO_CLUSTER
from fleet.dashboards.federation import OF_BUDGET, SAMPLES, of_budget
from fleet.dashboards.panels import COUNT, RATIO, Column, Limits, Panel, assemble, in_a_row, table
from fleet.dashboards.queries import CLUSTER, FLEET, Queries
from fleet.names import PROJECT

COST = f"{PROJECT}-cost"

_MEASURES = (measures.SERIES, measures.GROWTH, measures.CHURN, measures.SAMPLES, measures.DISK)


def cost(queries: Queries) -> Dashboard:
    panels = [*in_a_row(*(each.number(queries, FLEET) for each in _MEASURES)), _clusters(queries)]
    if queries.edges:
        panels.append(_edges(queries))
    panels += in_a_row(*(each.top(queries, CLUSTER) for each in (measures.SERIES, measures.CHURN)))
    panels += in_a_row(*(each.top(queries, CLUSTER) for each in (measures.SAMPLES, measures.DISK)))
    description = "Series are what a Prometheus costs: memory while they live, disk for as long as it remembers them."
    return assemble(COST, "Cardinality and cost", description, panels)


def _clusters(queries: Queries) -> Panel:
    return table(
        "Prometheus by cluster",
        f"A row without a cluster is a region's own, one without a region either is {queries.top.name}'s. Which "
        'metrics they are, the cluster\'s own Prometheus says: topk(10, count by (__name__) ({__name__!=""})).',
        LABELS,
        [each.column(queries, CLUSTER) for each in _MEASURES],
        sort="Series",
        links=TO_CLUSTER,
    )


def _edges(queries: Queries) -> Panel:
    return table(
        f"Federated by {queries.top.name}",
        "A row for each child. At 200 % of its budget nothing of it arrives any more. New series of an hour beyond the "
        "budget: each scrape brings others, and each stays in memory for hours.",
        {"child": "Child"},
        [
            Column("Series", queries.of_edges(SAMPLES), COUNT),
            Column("Of budget", of_budget(queries), RATIO, OF_BUDGET),
            Column("New in an hour, of budget", queries.churn(), RATIO, Limits(warn=1, bad=2)),
        ],
        sort="Of budget",
    )
