"""The fleet, top to bottom: page → plan → providers, keys and gateways → tiers → outputs."""

from pathlib import Path

import pulumi

from components import (
    Authorities,
    ChildStacks,
    Credential,
    EdgeAgent,
    Gateway,
    GlobalPrometheus,
    LeafCluster,
    Protection,
    RegionalAggregator,
    ThanosStore,
    Waves,
    alert_receivers_above,
    cluster_provider,
    destination_receivers,
    exported_credentials,
    kubeconfigs,
    monitoring_namespace,
    read_plan,
    receivers_above,
    refuse_gaps,
)
from fleet.alerts import alert_groups
from fleet.dashboards import dashboards
from fleet.names import PROJECT, Tier
from fleet.outputs import fleet_output
from fleet.topology import mermaid

config = pulumi.Config(PROJECT)
plan = read_plan(config)
refuse_gaps(plan, config)
below = ChildStacks(plan)
configs = kubeconfigs(plan, config)
providers = {name: cluster_provider(plan.clusters[name], kubeconfig) for name, kubeconfig in configs.items()}
namespaces = {name: monitoring_namespace(cluster, providers[name]) for name, cluster in plan.clusters.items()}
# In the cluster's namespace: after it on the way up, before it on the way down, on its provider; itself not protected.
inside = {name: pulumi.ResourceOptions(parent=each, protect=False) for name, each in namespaces.items()}
waves = Waves(plan, configs)

authorities = Authorities(plan.authority)
# Of an edge between two stacks, the one below makes the credential: it is deployed first.
credentials = {
    edge.id: below.credentials.get(edge.id)
    or Credential(edge, authorities, pulumi.ResourceOptions(provider=providers[edge.lower]))
    for edge in plan.edges
}
stores = {
    name: ThanosStore(f"{name}-thanos", {"cluster": cluster}, inside[name])
    for name, cluster in plan.clusters.items()
    if cluster.thanos is not None
}
gateways = {
    name: Gateway(
        f"{name}-gateway",
        {
            "cluster": cluster,
            "callers": [credentials[edge.id] for edge in plan.calls_to(name)],
            "authorities": authorities,
            "thanos": stores[name].receiver if name in stores else None,
        },
        inside[name],
    )
    for name, cluster in plan.clusters.items()
    if cluster.gateway is not None
}
written = {each.edge.id: each for gateway in gateways.values() for each in gateway.remote_write_receivers}
written |= {each.edge.id: each for each in receivers_above(plan, credentials)}
receivers = {
    name: [*(written[edge.id] for edge in plan.own_writes_of(name)), *destination_receivers(cluster)]
    for name, cluster in plan.clusters.items()
}
told = {each.edge.id: each for gateway in gateways.values() for each in gateway.alert_receivers}
told |= {each.edge.id: each for each in alert_receivers_above(plan, credentials)}
alert_receivers = {name: [told[edge.id] for edge in plan.alerts_of(name)] for name in plan.clusters}

leaves = {
    each.name: LeafCluster(
        each.name,
        {
            "cluster": each,
            "gateway": gateways.get(each.name),
            "receivers": receivers[each.name],
            "alerts": alert_groups(plan, each),
            "alert_receivers": alert_receivers[each.name],
            "waves": waves,
        },
        inside[each.name],
    )
    for each in plan.tier(Tier.LEAF)
}
federated = {target.edge.id: target for each in (below, *leaves.values()) for target in each.federation_targets}
regions = {
    each.name: RegionalAggregator(
        each.name,
        {
            "cluster": each,
            "gateway": gateways[each.name],
            "children": [federated[edge.id] for edge in plan.federated_by(each.name)],
            "receivers": receivers[each.name],
            "alerts": alert_groups(plan, each),
            "alert_receivers": alert_receivers[each.name],
            "waves": waves,
        },
        inside[each.name],
    )
    for each in plan.tier(Tier.REGIONAL)
}
federated |= {target.edge.id: target for region in regions.values() for target in region.federation_targets}
tops = {
    each.name: GlobalPrometheus(
        each.name,
        {
            "cluster": each,
            "gateway": gateways.get(each.name),
            "children": [federated[edge.id] for edge in plan.federated_by(each.name)],
            "receivers": receivers[each.name],
            "alerts": alert_groups(plan, each),
            "dashboards": dashboards(plan),
            "waves": waves,
        },
        inside[each.name],
    )
    for each in plan.tier(Tier.GLOBAL)
}
edges = {
    each.name: EdgeAgent(
        each.name, {"cluster": each, "receivers": receivers[each.name], "waves": waves}, inside[each.name]
    )
    for each in plan.tier(Tier.EDGE)
}
for name, member in {**leaves, **regions, **tops, **edges}.items():
    Protection(plan.clusters[name], member, gateways.get(name))

urls = {name: gateway.url for name, gateway in gateways.items()}
replica_urls = {name: gateway.replica_urls for name, gateway in gateways.items()}
pulumi.export("fleet", fleet_output(plan, urls, replica_urls))
pulumi.export("topology", mermaid(plan))
pulumi.export("readme", Path(__file__).with_name("Pulumi.README.md").read_text())
if exported := exported_credentials(plan, credentials):
    pulumi.export("credentials", exported)
