"""Who writes to the Thanos of the fleet, by which way, and how much."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from fleet.compiler.destinations import RECORDS, asserts_cluster, expected_rate
from fleet.compiler.edges import receiving
from fleet.compiler.gateways import gateway_plan
from fleet.compiler.holdings import Holdings
from fleet.compiler.keys import edge_key
from fleet.compiler.sizes import replicas
from fleet.compiler.topology import Topology
from fleet.names import REPLICA_LABEL, THANOS, Tier
from fleet.page import Page
from fleet.plan import Key, StoreEdge
from fleet.queues import OLDEST_SENT, queue

_HAVE_OTHERS = {Tier.REGIONAL, Tier.GLOBAL}
"""Whose series others may write themselves: sums would double."""


def stores(page: Page, topology: Topology, holdings: Holdings, stacks: Mapping[str, str]) -> Iterator[StoreEdge]:
    if page.thanos is None:
        return
    for name in topology.storing:
        tier = page.clusters[name].tier
        keep = page.thanos.keep or ((RECORDS[tier],) if tier in _HAVE_OTHERS else ())
        rate = expected_rate(page, holdings, name, page.thanos.series, keep)
        server, across = receiving(page, topology, stacks, name, f"{THANOS}.{name}.{topology.top}")
        edge = StoreEdge(
            sender=name,
            receiver=topology.top,
            region=page.clusters[name].region,
            server=server,
            across_stacks=across,
            key=Key(),
            keep=keep,
            asserts_cluster=asserts_cluster(page, name),
            replica_label=REPLICA_LABEL if replicas(page, name) > 1 else None,
            rate=rate,
            queue=queue(rate, page.thanos.queue, kept=OLDEST_SENT),
            address=gateway_plan(page, topology.top).address,
        )
        yield replace(edge, key=edge_key(page, edge.id))
