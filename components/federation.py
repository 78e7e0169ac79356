"""What a parent has beside its release: the keys with which it calls its children."""

from collections.abc import Sequence

import pulumi

from components.credential import HeldCredential, held_data
from components.discovery import DiscoveryAccount
from components.gateway import FederationTarget
from components.objects import create
from fleet import manifests
from fleet.plan import ClusterPlan
from fleet.values import Child


def federation_credentials(
    cluster: ClusterPlan, children: Sequence[FederationTarget], parent: pulumi.Resource
) -> pulumi.CustomResource:
    credentials: list[HeldCredential] = [target.credentials for target in children]
    if cluster.discovery is not None:
        opts = pulumi.ResourceOptions(parent=parent)
        credentials.append(DiscoveryAccount(cluster, cluster.discovery, opts))
    manifest = manifests.federation_credentials(cluster, held_data(credentials))
    return create(f"{cluster.name}-federation-credentials", manifest, pulumi.ResourceOptions(parent=parent))


def as_children(targets: Sequence[FederationTarget]) -> list[Child]:
    return [Child(target.edge, target.address) for target in targets]
