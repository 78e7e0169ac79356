"""The ways up, as the global cluster sees them."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Dashboard

from fleet.dashboards.clusters import CLUSTER_DETAIL
from fleet.dashboards.panels import (
    COUNT,
    RATIO,
    REQUESTS_PER_SECOND,
    SAMPLES_PER_SECOND,
    SECONDS,
    Column,
    Limits,
    Panel,
    assemble,
    in_a_row,
    lines,
    number,
    table,
    url,
)
from fleet.dashboards.queries import EXPIRY, FLEET, OLD_KEYS, REFUSED, Queries, largest
from fleet.names import PROJECT
from fleet.plan import NEARLY

FEDERATION = f"{PROJECT}-federation"

_DURATION = "scrape_duration_seconds"
_SAMPLES = "scrape_samples_post_metric_relabeling"
_OF_TIMEOUT = Limits(warn=0.5, bad=0.8)
_OF_BUDGET = Limits(warn=NEARLY, bad=1)
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
    yield number(
        "Clusters missing",
        "Clusters of the plan of which nothing is here. A whole region at once: see the region's own scrape below.",
        f"count({queries.missing(FLEET)}) or vector(0)",
        COUNT,
        limits=_NONE,
    )
    if queries.edges:
        yield number(
            "Scrapes failing",
            "Children that do not answer, or for which there is no target. `python -m fleet status` says why.",
            f"count({queries.edges_up()} < 1) or vector(0)",
            COUNT,
            limits=_NONE,
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
            f"max({_of_budget(queries)})",
            RATIO,
            limits=_OF_BUDGET,
        )
    if queries.writers:
        yield number(
            "Writers silent",
            "Senders from which nothing came for 5 minutes. Their own log says why: `python -m fleet status` reads it.",
            f"count({queries.writers_writing()} == 0) or vector(0)",
            COUNT,
            limits=_NONE,
        )


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
                Column("Samples", queries.of_edges(_SAMPLES), COUNT),
                Column("Of budget", _of_budget(queries), RATIO, _OF_BUDGET),
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
            {"cluster": "Cluster", "region": "Region"},
            [
                Column("Series", queries.series_behind_regions(), COUNT, words=_NOTHING),
                Column("Newest sample", queries.ages_behind_regions(), SECONDS, _old(queries.edges_fresh_within)),
            ],
            sort="Series",
            descending=False,
            links={"Cluster": url(CLUSTER_DETAIL, "cluster", "${__value.raw}")},
        )
    if queries.writers:
        yield table(
            "Remote writers",
            "A row for each sender. No samples: it is off, or refused (400, 401 and 413 lose samples for good). Old "
            "ones: its queue is behind.",
            {"cluster": "Cluster", "region": "Region"},
            [
                Column("Samples", queries.writers_writing(), SAMPLES_PER_SECOND, words=_NOTHING),
                Column("Newest sample", queries.writer_ages(), SECONDS, _old(queries.writers_fresh_within)),
            ],
            sort="Samples",
            descending=False,
            links={"Cluster": url(CLUSTER_DETAIL, "cluster", "${__value.raw}")},
        )
    if queries.has_gateways:
        yield table(
            "Gateways",
            f"A row without a cluster is a region's own gateway, one without a region either is {queries.top.name}'s. "
            "A certificate that is about to end: `pulumi up`. Refused: its log says who. Another key: a rotation that "
            "has not ended.",
            {"cluster": "Cluster", "region": "Region"},
            [
                Column("Certificate ends in", f"global:{EXPIRY} - time()", SECONDS),
                Column("Refused", f"global:{REFUSED}", REQUESTS_PER_SECOND),
                Column("With another key", f"global:{OLD_KEYS}", REQUESTS_PER_SECOND),
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
            top(_SAMPLES),
            COUNT,
            "{{child}}",
        ),
    ]


def _of_timeout(queries: Queries) -> str:
    return queries.share(_DURATION, lambda edge: edge.timeout.total_seconds())


def _of_budget(queries: Queries) -> str:
    return queries.share(_SAMPLES, lambda edge: edge.budget)


def _old(seconds: float) -> Limits:
    return Limits(warn=None, bad=seconds)
