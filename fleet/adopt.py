"""What `pulumi import` is told about a release that was there before the program: its place in the stack's tree."""

from collections.abc import Sequence

from fleet.errors import FleetError, Problem
from fleet.names import PROJECT, RELEASE, Tier, top_urn
from fleet.page.problems import did_you_mean
from fleet.plan import ClusterPlan, Plan

_COMPONENTS = {
    Tier.LEAF: "LeafCluster",
    Tier.REGIONAL: "RegionalAggregator",
    Tier.GLOBAL: "GlobalPrometheus",
    Tier.EDGE: "EdgeAgent",
}


def import_file(plan: Plan, names: Sequence[str], stack: str) -> dict[str, object]:
    """For `pulumi import --file`: namespace, component and release of each cluster. Raises FleetError."""
    for name in names:
        if name in plan.outside:
            where = plan.stacks[name]
            raise FleetError([Problem("CLUSTER", f"stack {where} deploys {name}: say --stack {where}")])
        if name not in plan.clusters:
            raise FleetError([Problem("CLUSTER", f"there is no cluster {name!r}{did_you_mean(name, plan.clusters)}")])
    clusters = [plan.clusters[name] for name in dict.fromkeys(names)]
    return {
        "nameTable": {
            _provider(cluster): top_urn(stack, "pulumi:providers:kubernetes", cluster.name) for cluster in clusters
        },
        "resources": [resource for cluster in clusters for resource in _resources(cluster)],
    }


def _resources(cluster: ClusterPlan) -> list[dict[str, object]]:
    """As `__main__.py` nests them."""
    namespace, provider = f"{cluster.name}-namespace", _provider(cluster)
    return [
        {
            "type": "kubernetes:core/v1:Namespace",
            "name": namespace,
            "id": cluster.namespace,
            "provider": provider,
        },
        {
            "type": f"{PROJECT}:index:{_COMPONENTS[cluster.tier]}",
            "name": cluster.name,
            "component": True,
            "parent": namespace,
        },
        {
            "type": "kubernetes:helm.sh/v3:Release",
            "name": f"{cluster.name}-release",
            "id": f"{cluster.namespace}/{RELEASE}",
            "provider": provider,
            "parent": cluster.name,
        },
    ]


def _provider(cluster: ClusterPlan) -> str:
    """A name within the file; with a space, so that it is no resource's."""
    return f"provider of {cluster.name}"
