"""Every cluster of a plan, side by side: one that cannot be reached keeps no other from being compared."""

import asyncio
from collections.abc import Mapping

from fleet.clients import SecretKubeconfig, connected
from fleet.drift.cluster_drift import cluster_drift
from fleet.drift.drift import ClusterDrift
from fleet.errors import FleetError
from fleet.plan import ClusterPlan, Plan
from fleet.prometheus import Prometheus, Unreachable

_AT_ONCE = 8
"""Clusters: of many more, this process would let answers wait until their time has run out."""


async def fleet_drift(plan: Plan, addresses: Mapping[str, str], secret: SecretKubeconfig) -> list[ClusterDrift]:
    """`addresses` of gateways, `host:port` by cluster, where the page does not say them."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(cluster: ClusterPlan) -> ClusterDrift:
        async with slots:
            return await cluster_drift(plan, cluster, await _client(cluster, secret), addresses)

    return [*await asyncio.gather(*(one(cluster) for cluster in plan.clusters.values()))]


async def _client(cluster: ClusterPlan, secret: SecretKubeconfig) -> Prometheus | Unreachable:
    try:
        return await connected(cluster, secret)
    except FleetError as error:
        return Unreachable(str(error))
