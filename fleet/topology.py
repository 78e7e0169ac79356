"""A plan for people to read: its edges as a table, and as a drawing."""

from collections.abc import Iterator, Mapping
from typing import Literal

from rich.table import Table

from fleet.duration import format_duration
from fleet.names import THANOS, Tier
from fleet.plan import ClusterPlan, DestinationEdge, DiscoveredEdge, Plan, StoreEdge, WriteEdge

Format = Literal["table", "mermaid"]


def topology_table(plan: Plan) -> Table:
    stacks = {plan.stacks[name] for name in plan.clusters} if plan.stacks else set[str]()
    among = f" of {len(stacks)} stacks" if len(stacks) > 1 else ""
    edges = len(plan.edges) + len(plan.discovered) + sum(len(each.destinations) for each in plan.clusters.values())
    table = Table(title=f"{len(plan.clusters)} clusters{among}, {edges} edges", title_justify="left")
    for column in ("from", "to"):
        table.add_column(column, overflow="fold")
    in_waves = any(cluster.wave > 1 for cluster in plan.clusters.values())
    for column in ("by", "what", "every", "series", *(["wave"] if in_waves else [])):
        table.add_column(column, no_wrap=True)

    everywhere = plan.everywhere

    def wave(*names: str) -> list[str]:
        known = (everywhere[name].wave for name in names if name in everywhere)
        return [" → ".join(map(str, known))] if in_waves else []

    for edge in plan.scraped:
        extra = f" + {len(edge.extra)}" if edge.extra else ""
        ends = _named(plan, edge.child), _named(plan, edge.parent)
        kind = "discovery" if isinstance(edge, DiscoveredEdge) else "federation"
        every, series = format_duration(edge.interval), f"{edge.estimate} of {edge.budget}"
        table.add_row(*ends, kind, f"{edge.records}:*{extra}", every, series, *wave(edge.child, edge.parent))
    for edge in plan.remote_write:
        ends = _named(plan, edge.sender), _named(plan, edge.receiver)
        what, waves = f"{len(edge.keep)} metrics", wave(edge.sender, edge.receiver)
        table.add_row(*ends, "remote write", what, "at once", _rate(plan, edge), *waves)
    for edge in plan.stores:
        ends = _named(plan, edge.sender), f"{edge.name} at {_named(plan, edge.receiver)}"
        table.add_row(
            *ends, "remote write", _kept(edge), "at once", _rate(plan, edge), *wave(edge.sender, edge.receiver)
        )
    for edge in plan.alerts:
        ends = _named(plan, edge.sender), _named(plan, edge.receiver)
        table.add_row(*ends, "alerts", "whatever fires", "at once", "-", *wave(edge.sender, edge.receiver))
    for cluster in plan.clusters.values():
        for edge in cluster.destinations:
            ends = cluster.name, edge.name
            table.add_row(*ends, "remote write", _kept(edge), "at once", _rate(plan, edge), *wave(cluster.name))
    return table


def _kept(edge: DestinationEdge | StoreEdge) -> str:
    shown = ", ".join(edge.keep) or "everything"
    return shown if len(shown) <= _WIDE else f"{len(edge.keep)} patterns"


_WIDE = 24  # characters, from which on a column pushes others out of the table


def _rate(plan: Plan, edge: WriteEdge) -> str:
    if edge.rate is None:
        return "unknown"
    # Of an agent is known what it scrapes, and not which part of that is kept.
    most = "at most " if edge.keep and plan.clusters[edge.sender].tier is Tier.EDGE else ""
    return f"{most}{edge.rate:,.0f}/s"


def outside(plan: Plan) -> Iterator[str]:
    """What receivers outside of the fleet are, and how a sender shows who it is."""
    for edge in {edge.name: edge for cluster in plan.clusters.values() for edge in cluster.destinations}.values():
        found = edge.destination
        ways = " and ".join(found.auth.ways) if found.auth is not None else "nothing"
        tenant = f", tenant {found.tenant}" if found.tenant is not None else ""
        yield f"→ {edge.name}: {found.kind} at {found.url}{tenant}, shown {ways}"


def _named(plan: Plan, name: str) -> str:
    return f"{name} (stack {plan.stacks[name]})" if name in plan.outside else name


def extra_matches(plan: Plan) -> Iterator[str]:
    """What is federated beside the recorded series, and why."""
    for extra in dict.fromkeys(extra for edge in plan.scraped for extra in edge.extra):
        yield f"+ {extra.match} of every {extra.of}: {extra.reason}"


def mermaid(plan: Plan) -> str:
    return "\n".join(["flowchart BT", *(f"  {line}" for line in _drawing(plan))]) + "\n"


def _drawing(plan: Plan) -> Iterator[str]:
    shown = plan.clusters.keys() | {end for edge in plan.edges for end in (edge.lower, edge.upper)}
    clusters = {name: cluster for name, cluster in plan.everywhere.items() if name in shown}
    # Names may be words that Mermaid keeps for itself, so nodes go by number.
    nodes = {name: f"c{number}" for number, name in enumerate(clusters)}
    regions = dict.fromkeys(cluster.region for cluster in clusters.values())
    for number, region in enumerate(regions):
        inside = [cluster for cluster in clusters.values() if cluster.region == region]
        lines = [f"{nodes[cluster.name]}{_shape(cluster, _named(plan, cluster.name))}" for cluster in inside]
        if region is None:
            yield from lines
        else:
            yield from (f'subgraph r{number}["region {region}"]', *(f"  {line}" for line in lines), "end")
    for edge in plan.discovered:
        nodes[edge.child] = f"c{len(nodes)}"
        yield f'{nodes[edge.child]}[/"{edge.child}<br/>discovered in {edge.namespace}"/]'
    for edge in plan.scraped:
        every = format_duration(edge.interval)
        yield f'{nodes[edge.child]} -->|"{every}, {edge.estimate} series"| {nodes[edge.parent]}'
    for edge in plan.remote_write:
        yield f'{nodes[edge.sender]} -.->|"{len(edge.keep)} metrics"| {nodes[edge.receiver]}'
    for edge in plan.alerts:
        yield f'{nodes[edge.sender]} -.->|"alerts"| {nodes[edge.receiver]}'
    yield from _draw_stores(plan, nodes)


def _draw_stores(plan: Plan, nodes: Mapping[str, str]) -> Iterator[str]:
    uploading = [cluster.name for cluster in plan.clusters.values() if cluster.bucket is not None]
    if plan.stores or uploading:
        (top,) = (cluster.name for cluster in plan.everywhere.values() if cluster.tier is Tier.GLOBAL)
        yield f't[("{THANOS}<br/>at {top}")]'
    for edge in plan.stores:
        yield f'{nodes[edge.sender]} -.->|"{_kept(edge)}"| t'
    for name in uploading:
        yield f'{nodes[name]} -.->|"blocks"| t'
    outward = [edge for cluster in plan.clusters.values() for edge in cluster.destinations]
    kinds = {edge.name: edge.destination.kind for edge in outward}
    for number, (name, kind) in enumerate(kinds.items()):
        yield f'd{number}[("{name}<br/>{kind}")]'
        for edge in outward:
            if edge.name == name:
                yield f'{nodes[edge.sender]} -.->|"{_kept(edge)}"| d{number}'


def _shape(cluster: ClusterPlan, name: str) -> str:
    label = f"{name}<br/>{cluster.tier}"
    return f'(["{label}"])' if cluster.tier is Tier.EDGE else f'["{label}"]'
