"""A plan for people to read: its edges as a table, and as a drawing."""

from collections.abc import Iterator
from typing import Literal

from rich.table import Table

from fleet.duration import format_duration
from fleet.names import Tier
from fleet.plan import ClusterPlan, Plan

Format = Literal["table", "mermaid"]


def topology_table(plan: Plan) -> Table:
    table = Table(title=f"{len(plan.clusters)} clusters, {len(plan.edges)} edges", title_justify="left")
    for column in ("from", "to"):
        table.add_column(column, overflow="fold")
    in_waves = any(cluster.wave > 1 for cluster in plan.clusters.values())
    for column in ("by", "what", "every", "series", *(["wave"] if in_waves else [])):
        table.add_column(column, no_wrap=True)

    def wave(*names: str) -> list[str]:
        return [" → ".join(str(plan.clusters[name].wave) for name in names)] if in_waves else []

    for edge in plan.federation:
        series = f"{edge.estimate} of {edge.budget}"
        extra = f" + {len(edge.extra)}" if edge.extra else ""
        every = format_duration(edge.interval)
        table.add_row(
            edge.child,
            edge.parent,
            "federation",
            f"{edge.records}:*{extra}",
            every,
            series,
            *wave(edge.child, edge.parent),
        )
    for edge in plan.remote_write:
        what, waves = f"{len(edge.keep)} metrics", wave(edge.sender, edge.receiver)
        table.add_row(edge.sender, edge.receiver, "remote write", what, "at once", "-", *waves)
    for cluster in plan.clusters.values():
        for name in cluster.destinations:
            table.add_row(cluster.name, name, "remote write", "everything", "at once", "-", *wave(cluster.name))
    return table


def extra_matches(plan: Plan) -> Iterator[str]:
    """What is federated beside the recorded series, and why."""
    for extra in dict.fromkeys(extra for edge in plan.federation for extra in edge.extra):
        yield f"+ {extra.match} of every {extra.of}: {extra.reason}"


def mermaid(plan: Plan) -> str:
    return "\n".join(["flowchart BT", *(f"  {line}" for line in _drawing(plan))]) + "\n"


def _drawing(plan: Plan) -> Iterator[str]:
    # Names may be words that Mermaid keeps for itself, so nodes go by number.
    nodes = {name: f"c{number}" for number, name in enumerate(plan.clusters)}
    regions = dict.fromkeys(cluster.region for cluster in plan.clusters.values())
    for number, region in enumerate(regions):
        inside = [cluster for cluster in plan.clusters.values() if cluster.region == region]
        lines = [f"{nodes[cluster.name]}{_shape(cluster)}" for cluster in inside]
        if region is None:
            yield from lines
        else:
            yield from (f'subgraph r{number}["region {region}"]', *(f"  {line}" for line in lines), "end")
    for edge in plan.federation:
        every = format_duration(edge.interval)
        yield f'{nodes[edge.child]} -->|"{every}, {edge.estimate} series"| {nodes[edge.parent]}'
    for edge in plan.remote_write:
        yield f'{nodes[edge.sender]} -.->|"{len(edge.keep)} metrics"| {nodes[edge.receiver]}'
    destinations = dict.fromkeys(name for cluster in plan.clusters.values() for name in cluster.destinations)
    for number, name in enumerate(destinations):
        yield f'd{number}[("{name}")]'
        for cluster in plan.clusters.values():
            if name in cluster.destinations:
                yield f"{nodes[cluster.name]} -.-> d{number}"


def _shape(cluster: ClusterPlan) -> str:
    label = f"{cluster.name}<br/>{cluster.tier}"
    return f'(["{label}"])' if cluster.tier is Tier.EDGE else f'["{label}"]'
