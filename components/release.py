"""The one place that makes a Helm release, and the NetworkPolicies of what runs in it."""

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.helm.v3 import Release

from components.objects import create
from components.waves import Waves
from fleet.names import RELEASE
from fleet.network_policies import network_policies
from fleet.plan import ClusterPlan
from fleet.values import Values


def kube_prometheus_stack(
    cluster: ClusterPlan, values: Values, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource], waves: Waves
) -> Release:
    before = waves.before(cluster)
    # Before the release: no pod of it is there while anybody may reach it. In its wave: a wrong one cuts a cluster off.
    policies = [
        create(
            f"{cluster.name}-policy-{policy['metadata']['name']}",
            policy,
            pulumi.ResourceOptions(parent=parent, depends_on=before),
        )
        for policy in network_policies(cluster)
    ]
    release = Release(
        f"{cluster.name}-release",
        name=RELEASE,
        namespace=cluster.namespace,
        chart=cluster.chart.source,
        version=cluster.chart.version,
        values=values,
        # As the helm CLI keeps; the provider keeps all, and with the CRDs in it each is 0.6 MB of the cluster's etcd.
        max_history=10,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[*depends_on, *policies, *before]),
    )
    waves.joined(cluster, release)
    return release
