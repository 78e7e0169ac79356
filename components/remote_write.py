"""What a sender has beside its release: the credentials with which it writes."""

from collections.abc import Sequence

import pulumi

from components.credential import held_data
from components.gateway import RemoteWriteReceiver
from components.objects import create
from fleet import manifests
from fleet.plan import ClusterPlan
from fleet.values import Receiver


def remote_write_credentials(
    cluster: ClusterPlan, receivers: Sequence[RemoteWriteReceiver], parent: pulumi.Resource
) -> pulumi.CustomResource:
    data = held_data([receiver.credentials for receiver in receivers])
    manifest = manifests.remote_write_credentials(cluster, data)
    return create(f"{cluster.name}-remote-write-credentials", manifest, pulumi.ResourceOptions(parent=parent))


def as_receivers(receivers: Sequence[RemoteWriteReceiver]) -> list[Receiver]:
    return [Receiver(each.edge, each.url) for each in receivers]
