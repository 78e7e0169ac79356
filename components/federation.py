"""What a parent has beside its release: the passwords with which it calls its children."""

from collections.abc import Sequence

import pulumi

from components.discovery import DiscoveryAccount
from components.gateway import FederationTarget
from components.objects import create
from fleet import manifests
from fleet.names import DISCOVERY_KEY
from fleet.plan import ClusterPlan
from fleet.values import Child


def federation_credentials(
    cluster: ClusterPlan, children: Sequence[FederationTarget], parent: pulumi.Resource
) -> pulumi.CustomResource:
    passwords = {target.edge.child: target.credentials.password for target in children}
    if cluster.discovery is not None:
        account = DiscoveryAccount(cluster, cluster.discovery, pulumi.ResourceOptions(parent=parent))
        passwords[DISCOVERY_KEY] = account.credentials.password
    manifest = manifests.federation_credentials(cluster, passwords)
    return create(f"{cluster.name}-federation-credentials", manifest, pulumi.ResourceOptions(parent=parent))


def as_children(targets: Sequence[FederationTarget]) -> list[Child]:
    return [Child(target.edge, target.address) for target in targets]
