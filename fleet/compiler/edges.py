"""The edges, each with its matches, its pace and its budget."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from fleet.alerts import sent_by_edges
from fleet.compiler.budgets import Estimate
from fleet.compiler.clusters import settings
from fleet.compiler.gateways import gateway_plan
from fleet.compiler.keys import edge_key
from fleet.compiler.topology import Topology
from fleet.names import Tier, server_name
from fleet.page import Page, Rule
from fleet.plan import FLEET, FederationEdge, Key, RemoteWriteEdge
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
    clusters = (child,) if is_leaf else (*leaves, *cluster.discover)
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
        across = stacks.get(name) != stacks.get(topology.top)
        server = gateway_plan(page, topology.top).server
        if across and server.ca == FLEET:
            server = replace(server, name=server_name(f"{name}.{topology.top}"))
        edge = RemoteWriteEdge(name, topology.top, cluster.region, keep, server, across, Key())
        yield replace(edge, key=edge_key(page, edge.id))
