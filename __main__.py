"""The fleet, top to bottom: page → plan → providers, credentials and gateways → tiers → outputs."""

from collections.abc import Mapping

import pulumi

from components import (
    Credential,
    EdgeAgent,
    FederationTarget,
    Gateway,
    GlobalPrometheus,
    LeafCluster,
    RegionalAggregator,
    RemoteWriteReceiver,
    cluster_provider,
    monitoring_namespace,
)
from fleet.compiler import compile_page
from fleet.errors import FleetError
from fleet.kubeconfig import read_kubeconfigs
from fleet.names import PAGE_KEY, PROJECT, Tier
from fleet.outputs import fleet_output
from fleet.page import read_page

config = pulumi.Config(PROJECT)
try:
    plan = compile_page(read_page(config.get_object("fleet")))
    kubeconfigs = read_kubeconfigs(plan)
except FleetError as error:
    raise pulumi.RunError(f"{PAGE_KEY}\n{error}") from None
for warning in plan.warnings:
    pulumi.log.warn(warning)

providers = {
    name: cluster_provider(
        cluster,
        config.require_secret(cluster.kubeconfig_secret) if cluster.kubeconfig_secret else kubeconfigs[name].text,
    )
    for name, cluster in plan.clusters.items()
}

namespaces = {name: monitoring_namespace(cluster, providers[name]) for name, cluster in plan.clusters.items()}


def inside(name: str) -> pulumi.ResourceOptions:
    """In the cluster's namespace: after it on the way up, before it on the way down, on its provider."""
    return pulumi.ResourceOptions(parent=namespaces[name])


credentials = {edge.id: Credential(edge) for edge in plan.edges}
gateways = {
    name: Gateway(
        f"{name}-gateway",
        {"cluster": cluster, "callers": [credentials[edge.id] for edge in plan.calls_to(name)]},
        inside(name),
    )
    for name, cluster in plan.clusters.items()
    if cluster.gateway is not None
}


def receivers(name: str) -> list[RemoteWriteReceiver]:
    return [gateways[edge.receiver].remote_write_receiver(edge) for edge in plan.written_by(name)]


leaves = {
    cluster.name: LeafCluster(
        cluster.name,
        {
            "cluster": cluster,
            "gateway": gateways.get(cluster.name),
            "federated_by": plan.federations_of(cluster.name),
            "receivers": receivers(cluster.name),
        },
        inside(cluster.name),
    )
    for cluster in plan.tier(Tier.LEAF)
}


def children(name: str, below: Mapping[str, LeafCluster | RegionalAggregator]) -> list[FederationTarget]:
    """Of the parent `name`, in the order of its edges."""
    targets = {target.edge.id: target for child in below.values() for target in child.federation_targets}
    return [targets[edge.id] for edge in plan.federated_by(name)]


regions = {
    cluster.name: RegionalAggregator(
        cluster.name,
        {
            "cluster": cluster,
            "gateway": gateways[cluster.name],
            "federated_by": plan.federations_of(cluster.name),
            "children": children(cluster.name, leaves),
        },
        inside(cluster.name),
    )
    for cluster in plan.tier(Tier.REGIONAL)
}
for cluster in plan.tier(Tier.GLOBAL):
    below = leaves | regions
    GlobalPrometheus(
        cluster.name,
        {
            "cluster": cluster,
            "gateway": gateways.get(cluster.name),
            "children": children(cluster.name, below),
        },
        inside(cluster.name),
    )
for cluster in plan.tier(Tier.EDGE):
    EdgeAgent(cluster.name, {"cluster": cluster, "receivers": receivers(cluster.name)}, inside(cluster.name))

pulumi.export("fleet", fleet_output(plan, {name: gateway.url for name, gateway in gateways.items()}))
