"""The ways up by remote write, as the global cluster sees them and as senders tell of themselves."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Dashboard

from fleet.dashboards import measures
from fleet.dashboards.clusters import LABELS, TO_CLUSTER
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
)
from fleet.dashboards.queries import CLUSTER, OWN, Queries, largest
from fleet.names import GATEWAY_JOB, PROJECT, PROMETHEUS

REMOTE_WRITE = f"{PROJECT}-remote-write"

_NOTHING = {0.0: ("none", False)}
_ANY = Limits(warn=None, bad=1e-9)


def remote_write(queries: Queries) -> Dashboard:
    panels = [
        *in_a_row(*_numbers(queries)),
        _writers(queries),
        *in_a_row(*(each.top(queries, CLUSTER) for each in (measures.SENT, measures.LAG, measures.SHARDS))),
        *in_a_row(*(each.top(queries, CLUSTER) for each in (measures.FAILED, measures.DROPPED, measures.RETRIED))),
    ]
    if queries.has_queues_side_by_side:
        panels += in_a_row(*_by_queue(queries))
    if queries.writers:
        panels += in_a_row(_answers(queries), _refused_over_time(queries))
    description = (
        "Who writes, to the fleet or to others. What a sender says of itself comes up with its other series: while it "
        "cannot send at all, its newest sample is what tells."
    )
    return assemble(REMOTE_WRITE, "Remote write", description, panels)


def writers_silent(queries: Queries) -> Panel:
    return number(
        "Writers silent",
        "Senders from which nothing came for 5 minutes. Their own log says why: `python -m fleet status` reads it.",
        f"count({queries.writers_writing()} == 0) or vector(0)",
        COUNT,
        limits=Limits(warn=None, bad=1),
    )


def arriving(queries: Queries) -> list[Column]:
    """What the global cluster itself sees of each sender."""
    old = Limits(warn=None, bad=queries.writers_fresh_within)
    return [
        Column("Arrives", queries.writers_writing(), SAMPLES_PER_SECOND, words=_NOTHING),
        Column("Newest sample", queries.writer_ages(), SECONDS, old),
    ]


def _numbers(queries: Queries) -> Iterator[Panel]:
    if queries.writers:
        yield writers_silent(queries)
        yield number(
            "Refused by the receiver",
            "Samples that came too late, or out of order and outside of its window. They are lost.",
            _REFUSED,
            SAMPLES_PER_SECOND,
            limits=_ANY,
        )
    yield number(
        "Worst lag",
        measures.LAG.meaning,
        "max(global:remote_write_lag_seconds:max)",
        SECONDS,
        limits=measures.LAG.limits,
    )
    yield number(
        "Busiest queue",
        measures.SHARDS.meaning,
        "max(global:remote_write_shards_desired:ratio)",
        RATIO,
        limits=measures.SHARDS.limits,
    )
    lost = " + ".join(f"sum(global:remote_write_{each}_samples:rate5m)" for each in ("failed", "dropped"))
    yield number(
        "Lost", "Refused by receivers, or dropped by queues: they are gone.", lost, SAMPLES_PER_SECOND, limits=_ANY
    )


def _writers(queries: Queries) -> Panel:
    shown = (
        *(measures.SENT, measures.LAG, measures.SHARDS, measures.FAILED, measures.DROPPED, measures.RETRIED),
        measures.LOG_BEHIND,
    )
    return table(
        "Writers",
        f"A row without a cluster is a region's own, one without a region either is {queries.top.name}'s. Nothing "
        "arrives: it is off, or refused (400, 401 and 413 lose samples for good). Old samples: its queue is behind.",
        LABELS,
        [
            *(arriving(queries) if queries.writers else ()),
            *(each.column(queries, CLUSTER) for each in shown),
        ],
        sort="Lag",
        links=TO_CLUSTER,
    )


def _by_queue(queries: Queries) -> Iterator[Panel]:
    """Of whose raw series are here; leaves and regions record theirs over all of their queues."""
    top = queries.top.name
    whose = f"Of {top} and of edges, each queue by itself, the ten largest. A line without a cluster is {top}'s."

    def rate(metric: str) -> str:
        counted = f'prometheus_remote_storage_{metric}{{job="{PROMETHEUS}"}}[5m]'
        return largest(lambda at: f"sum by (cluster, remote_name) (rate({counted}{at}))")

    def lag(at: str) -> str:
        stamps = (f"prometheus_remote_storage_queue_highest_{each}_seconds" for each in ("timestamp", "sent_timestamp"))
        newest, sent = (f'{stamp}{{job="{PROMETHEUS}"}}{at}' for stamp in stamps)
        # A queue that has never got anything through says 0, which is no time.
        return f"max by (cluster, remote_name) ({newest} - ({sent} > 0))"

    name = "{{cluster}} → {{remote_name}}"
    yield lines("Samples by queue, top 10", whose, rate("samples_total"), SAMPLES_PER_SECOND, name)
    yield lines("Lag by queue, top 10", whose, largest(lag), SECONDS, name)
    lost = f"{whose} What a receiver refuses is lost."
    yield lines("Refused by queue, top 10", lost, rate("samples_failed_total"), SAMPLES_PER_SECOND, name)


# Each by itself: they have the same labels, and `or` would show the first alone.
_REFUSED = " + ".join(
    f"sum(rate(prometheus_tsdb_{why}_samples_total{{{OWN}}}[5m]))"
    for why in ("out_of_order", "too_old", "out_of_bound")
)

# What it answers itself never comes to the Prometheus behind it.
_TURNED_AWAY = (
    f'caddy_http_request_duration_seconds_count{{job="{GATEWAY_JOB}",cluster="",server="{GATEWAY_JOB}",'
    'handler="headers",code="503"}'
)


def _answers(queries: Queries) -> Panel:
    return lines(
        f"Answers of {queries.top.name} to writers",
        "By status. 204 and 200 are well; 400 loses samples, 5xx lets senders wait and try again. 503 of the gateway: "
        "more writes come at once than may be under way.",
        f'sum by (code) (rate(prometheus_http_requests_total{{{OWN},handler="/api/v1/write"}}[5m]))'
        f' or label_replace(sum(rate({_TURNED_AWAY}[5m])), "code", "503 of the gateway", "", "")',
        REQUESTS_PER_SECOND,
        "{{code}}",
    )


def _refused_over_time(queries: Queries) -> Panel:
    return lines(
        f"Samples refused by {queries.top.name}",
        "Too late, or out of order and outside of the window: a sender whose clock is wrong, or two of one name.",
        _REFUSED,
        SAMPLES_PER_SECOND,
        "refused",
    )
