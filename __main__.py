"""The fleet, top to bottom: page → plan → providers, credentials and gateways → tiers → outputs."""

import pulumi

from components import (
    Credential,
    EdgeAgent,
    Gateway,
    GlobalPrometheus,
    LeafCluster,
    RegionalAggregator,
    cluster_provider,
    monitoring_namespace,
)
from fleet.errors import FleetError
from fleet.kubeconfig import read_kubeconfigs
from fleet.names import PAGE_KEY, PROJECT, Tier
from fleet.outputs import fleet_output
from fleet.page import read_page
from fleet.plan import compile_page
from fleet.rules import source_metrics

config = pulumi.Config(PROJECT)
try:
    plan = compile_page(read_page(config.get_object("fleet")), source_metrics())
    kubeconfigs = read_kubeconfigs(plan)
except FleetError as error:
    raise pulumi.RunError(f"{PAGE_KEY}\n{error}") from None

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

leaves = {
    cluster.name: LeafCluster(
        cluster.name,
        {"cluster": cluster, "gateway": gateways[cluster.name], "federated_by": plan.way_up(cluster.name)},
        inside(cluster.name),
    )
    for cluster in plan.tier(Tier.LEAF)
}
regions = {
    cluster.name: RegionalAggregator(
        cluster.name,
        {
            "cluster": cluster,
            "gateway": gateways[cluster.name],
            "federated_by": plan.way_up(cluster.name),
            "children": [leaves[edge.child].federation_target for edge in plan.federated_by(cluster.name)],
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
            "children": [below[edge.child].federation_target for edge in plan.federated_by(cluster.name)],
        },
        inside(cluster.name),
    )
for cluster in plan.tier(Tier.EDGE):
    writes = plan.written_by(cluster.name)
    receivers = [gateways[edge.receiver].remote_write_receiver(edge) for edge in writes]
    EdgeAgent(cluster.name, {"cluster": cluster, "receivers": receivers}, inside(cluster.name))

pulumi.export("fleet", fleet_output(plan, {name: gateway.url for name, gateway in gateways.items()}))
