"""The ways up, as the global cluster sees them."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Dashboard

from fleet.dashboards.clusters import LABELS, TO_CLUSTER, clusters_missing
from fleet.dashboards.panels import (
    COUNT,
    RATIO,
    REQUESTS_PER_SECOND,
    SECONDS,
    Column,
    Limits,
    Panel,
    assemble,
    in_a_row,
    lines,
    number,
    table,
)
from fleet.dashboards.queries import CLUSTER, FLEET, Queries, largest
from fleet.dashboards.remote_write import arriving, writers_silent
from fleet.names import PROJECT
from fleet.plan import NEARLY

FEDERATION = f"{PROJECT}-federation"

_DURATION = "scrape_duration_seconds"
SAMPLES = "scrape_samples_post_metric_relabeling"
_OF_TIMEOUT = Limits(warn=0.5, bad=0.8)
OF_BUDGET = Limits(warn=NEARLY, bad=1)
_NONE = Limits(warn=None, bad=1)
_NOTHING = {0.0: ("none", False)}
_UP = {1.0: ("yes", True), 0.0: ("no", False), -1.0: ("no target", False)}


def federation(queries: Queries) -> Dashboard:
    panels = [*in_a_row(*_numbers(queries)), *_tables(queries)]
    if queries.edges:
        panels += in_a_row(*_over_time(queries))
    description = (
        f"How series come up to {queries.top.name}. A region's own scrapes are known to the region alone: what is here "
        "of its clusters tells of them."
    )
    return assemble(FEDERATION, "Federation health", description, panels)


def _numbers(queries: Queries) -> Iterator[Panel]:
    yield clusters_missing(queries, FLEET)
    if queries.edges:
        yield number(
            "Scrapes failing",
            "Children that do not answer, or for which there is no target. `python -m fleet status` says why.",
            f"count({queries.edges_up()} < 1) or vector(0)",
            COUNT,
            limits=_NONE,
            link=queries.runbook("FederationTargetDown"),
        )
        yield number(
            "Slowest scrape",
            "Of its timeout. At 100 % the whole child is lost: raise intervals.federation.timeout or send less.",
            f"max({_of_timeout(queries)})",
            RATIO,
            limits=_OF_TIMEOUT,
        )
        yield number(
            "Fullest budget",
            "Of the child's series budget. At 200 % the whole child is lost: find what grew, or raise its budget.",
            f"max({of_budget(queries)})",
            RATIO,
            limits=OF_BUDGET,
            link=queries.runbook("FederationSampleLimit"),
        )
    if queries.writers:
        yield writers_silent(queries)


def _tables(queries: Queries) -> Iterator[Panel]:
    if queries.edges:
        yield table(
            f"Scraped by {queries.top.name}",
            "A row for each child. Not up: `python -m fleet status` names the reason. Old samples under a scrape that "
            "is up: the child's rules have stopped.",
            {"child": "Child"},
            [
                Column("Up", queries.edges_up(), COUNT, words=_UP),
                Column("Duration", queries.of_edges(_DURATION), SECONDS),
                Column("Of timeout", _of_timeout(queries), RATIO, _OF_TIMEOUT),
                Column("Samples", queries.of_edges(SAMPLES), COUNT),
                Column("Of budget", of_budget(queries), RATIO, OF_BUDGET),
                Column("Newest sample", queries.edge_ages(), SECONDS, _old(queries.edges_fresh_within)),
            ],
            sort="Up",
            descending=False,
        )
    if queries.behind_regions:
        yield table(
            "Clusters behind regions",
            "Age of the newest sample that a region passed on; kept for an hour after it ended. One old cluster: look "
            "at its scrape in the region's Prometheus. All of a region: look at the region above.",
            LABELS,
            [
                Column("Series", queries.series_behind_regions(), COUNT, words=_NOTHING),
                Column("Newest sample", queries.ages_behind_regions(), SECONDS, _old(queries.edges_fresh_within)),
            ],
            sort="Series",
            descending=False,
            links=TO_CLUSTER,
        )
    if queries.writers:
        yield table(
            "Remote writers",
            "A row for each sender. Nothing arrives: it is off, or refused. Old samples: its queue is behind. More of "
            "each stands on 'Remote write'.",
            LABELS,
            arriving(queries),
            sort="Arrives",
            descending=False,
            links=TO_CLUSTER,
        )
    if queries.has_gateways:
        yield table(
            "Gateways",
            f"A row without a cluster is a region's own gateway, one without a region either is {queries.top.name}'s. "
            "A certificate that is about to end: `pulumi up`. Refused: its log says who. Another key: a rotation that "
            "has not ended.",
            LABELS,
            [
                Column(
                    "Certificate ends in",
                    f"{queries.total(CLUSTER, 'certificate_expiry_timestamp_seconds:min')} - time()",
                    SECONDS,
                ),
                Column("Refused", queries.total(CLUSTER, "gateway_refused_requests:rate5m"), REQUESTS_PER_SECOND),
                Column(
                    "With another key", queries.total(CLUSTER, "gateway_old_key_requests:rate5m"), REQUESTS_PER_SECOND
                ),
            ],
            sort="Certificate ends in",
            descending=False,
        )


def _over_time(queries: Queries) -> list[Panel]:
    def top(metric: str) -> str:
        return largest(lambda at: queries.of_edges(metric, at))

    return [
        lines(
            "Scrape duration, slowest 10",
            "A step at a fixed time is a release of the child; a slow climb is a child that grows.",
            top(_DURATION),
            SECONDS,
            "{{child}}",
        ),
        lines(
            "Samples, largest 10",
            "Series of each scrape after relabelling. A climb without new clusters is cardinality: find the label.",
            top(SAMPLES),
            COUNT,
            "{{child}}",
        ),
    ]


def _of_timeout(queries: Queries) -> str:
    return queries.share(f"{_DURATION}{{}}", lambda edge: edge.timeout.total_seconds())


def of_budget(queries: Queries) -> str:
    return queries.share(f"{SAMPLES}{{}}", lambda edge: edge.budget)


def _old(seconds: float) -> Limits:
    return Limits(warn=None, bad=seconds)
