"""The edges, each with its matches, its pace and its budget."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from fleet.alerts import sent_by_edges
from fleet.compiler.budgets import Estimate, series_of
from fleet.compiler.gateways import gateway_plan
from fleet.compiler.keys import edge_key
from fleet.compiler.sizes import agent_rate, settings
from fleet.compiler.topology import Topology
from fleet.names import Tier, replica_name, server_name
from fleet.page import Page, QueueSettings, Rule
from fleet.plan import FLEET, AlertEdge, FederationEdge, Identity, Key, RemoteWriteEdge, Replica
from fleet.queues import OLDEST_SENT, queue
from fleet.rules import source_metrics, without_gateways


def federation(page: Page, topology: Topology, rules: Sequence[Rule]) -> Iterator[FederationEdge]:
    """Leaves first: those below before those above."""
    estimate = Estimate(page, rules)
    for tier in (Tier.LEAF, Tier.REGIONAL):
        for child, parents in topology.parents.items():
            if page.clusters[child].tier is tier:
                for parent in parents:
                    edge = _edge(page, topology, estimate, parent, child)
                    yield replace(edge, key=edge_key(page, edge.id))


def _edge(page: Page, topology: Topology, estimate: Estimate, parent: str, child: str) -> FederationEdge:
    cluster = page.clusters[child]
    is_leaf = cluster.tier is Tier.LEAF
    leaves = topology.children.get(child, ())
    clusters = _spoken_for(page, topology, child)
    return FederationEdge(
        parent=parent,
        child=child,
        region=cluster.region,
        clusters=clusters,
        asserts_cluster=is_leaf,
        records="cluster" if is_leaf else "region",
        extra=tuple(each for each in page.federate if each.of == cluster.tier),
        interval=interval(page, parent),
        timeout=timeout(page, parent),
        server=gateway_plan(page, child).server,
        budget=(settings(page, child).budget or 0) * len(clusters),
        estimate=estimate.leaf(child) if is_leaf else estimate.region(child, leaves),
        key=Key(),
    )


def _spoken_for(page: Page, topology: Topology, name: str) -> tuple[str, ...]:
    """`cluster` label values that a leaf or a region may speak for."""
    cluster = page.clusters[name]
    return (name,) if cluster.tier is Tier.LEAF else (*topology.children.get(name, ()), *cluster.discover)


def interval(page: Page, parent: str) -> timedelta:
    """Between two scrapes of a child of `parent`."""
    intervals = page.intervals.federation
    return intervals.regional if page.clusters[parent].tier is Tier.REGIONAL else intervals.global_


def timeout(page: Page, parent: str) -> timedelta:
    # A scrape that overruns its interval delays the next one; Prometheus's own default of 10 s is too
    # short for a far cluster and too long for a fast one.
    return page.intervals.federation.timeout or interval(page, parent) * 0.8


def remote_write(
    page: Page, topology: Topology, rules: Sequence[Rule], stacks: Mapping[str, str]
) -> Iterator[RemoteWriteEdge]:
    """Edges send what rules and alerts read of them, leaves what their rules made of it."""
    raw = tuple(sorted({*source_metrics(rules), *sent_by_edges(), *page.keep}))
    for name in topology.writers:
        cluster = page.clusters[name]
        has_gateway = name in topology.called
        recorded = tuple(sorted(rule.record for rule in (rules if has_gateway else without_gateways(rules))))
        keep = raw if cluster.tier is Tier.EDGE else recorded
        server, across = receiving(page, topology, stacks, name, f"{name}.{topology.top}")
        replicas = _replicas(page, topology.top, server)
        rate = _rate(page, rules, name)
        own_queue = queue(rate, settings(page, name).queue or QueueSettings(), kept=OLDEST_SENT)
        edge = RemoteWriteEdge(
            name, topology.top, cluster.region, server, across, Key(), keep, rate, own_queue, replicas
        )
        yield replace(edge, key=edge_key(page, edge.id))


def _rate(page: Page, rules: Sequence[Rule], sender: str) -> float | None:
    cluster = page.clusters[sender]
    if cluster.tier is Tier.EDGE:
        return agent_rate(page, sender)
    expected = Estimate(page, rules).expected(cluster.expect)
    return sum(series_of(rule, expected) for rule in rules) / page.intervals.rules.total_seconds()


def _replicas(page: Page, top: str, server: Identity) -> tuple[Replica, ...]:
    gateway = gateway_plan(page, top)
    return tuple(
        Replica(
            replica_name(top, number) if gateway.replicas else top,
            address,
            # Whoever ends TLS before it has a certificate for the name that is dialled.
            server.name if gateway.passthrough else address.host or "",
        )
        for number, address in enumerate(gateway.written_to)
    )


def alerts(page: Page, topology: Topology, stacks: Mapping[str, str]) -> Iterator[AlertEdge]:
    for name in topology.alerting:
        cluster = page.clusters[name]
        server, across = receiving(page, topology, stacks, name, f"alerts.{name}.{topology.top}")
        clusters, is_leaf = _spoken_for(page, topology, name), cluster.tier is Tier.LEAF
        edge = AlertEdge(name, topology.top, cluster.region, server, across, Key(), clusters, is_leaf)
        yield replace(edge, key=edge_key(page, edge.id))


def receiving(
    page: Page, topology: Topology, stacks: Mapping[str, str], sender: str, own_name: str
) -> tuple[Identity, bool]:
    """By what `sender` knows the top's gateway, and whether that is another stack's; `own_name` is its alone."""
    across = stacks.get(sender) != stacks.get(topology.top)
    server = gateway_plan(page, topology.top).server
    if across and server.ca == FLEET:
        server = replace(server, name=server_name(own_name))
    return server, across
