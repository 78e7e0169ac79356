from typing import TypedDict

import pulumi

from components.gateway import FederationTarget, Gateway
from components.objects import recording_rules
from components.release import kube_prometheus_stack
from fleet.plan import ClusterPlan, FederationEdge
from fleet.values import chart_values


class LeafClusterArgs(TypedDict):
    cluster: ClusterPlan
    """What the compiler decided for this leaf."""
    gateway: Gateway
    """The way in for the leaf's parent."""
    federated_by: FederationEdge
    """The edge over which the parent scrapes this leaf."""


class LeafCluster(pulumi.ComponentResource):
    """Scrapes its own cluster, records `cluster:*` and is federated by its parent."""

    federation_target: FederationTarget
    recording_rules: pulumi.Output[list[str]]

    def __init__(self, name: str, args: LeafClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:LeafCluster", name, None, opts)
        cluster, gateway = args["cluster"], args["gateway"]
        release = kube_prometheus_stack(cluster, chart_values(cluster), self, [gateway.secret])
        self.federation_target = gateway.federation_target(args["federated_by"])
        self.recording_rules = recording_rules(cluster, self, release)
        self.register_outputs({"recording_rules": self.recording_rules})
