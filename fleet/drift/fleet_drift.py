"""Every cluster of a plan, side by side: one that cannot be reached keeps no other from being compared."""

import asyncio
from collections.abc import Mapping

from fleet.clients import SecretKubeconfig, connected
from fleet.drift.cluster_drift import cluster_drift
from fleet.drift.drift import ClusterDrift
from fleet.errors import FleetError
from fleet.plan import ClusterPlan, Plan
from fleet.prometheus import Prometheus, Unreachable


async def fleet_drift(plan: Plan, addresses: Mapping[str, str], secret: SecretKubeconfig) -> list[ClusterDrift]:
    """`addresses` of gateways, `host:port` by cluster, where the page does not say them."""

    async def one(cluster: ClusterPlan) -> ClusterDrift:
        return await cluster_drift(plan, cluster, await _client(cluster, secret), addresses)

    return [*await asyncio.gather(*(one(cluster) for cluster in plan.clusters.values()))]


async def _client(cluster: ClusterPlan, secret: SecretKubeconfig) -> Prometheus | Unreachable:
    try:
        return await connected(cluster, secret)
    except FleetError as error:
        return Unreachable(str(error))
