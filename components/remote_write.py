"""What a sender has beside its release: the credentials with which it writes."""

from collections.abc import Sequence

import pulumi

from components.gateway import RemoteWriteReceiver
from components.objects import create
from fleet import manifests
from fleet.plan import ClusterPlan
from fleet.values import Receiver, password_key, username_key


def remote_write_credentials(
    cluster: ClusterPlan, receivers: Sequence[RemoteWriteReceiver], parent: pulumi.Resource
) -> pulumi.CustomResource:
    data: dict[str, pulumi.Input[str]] = {}
    for receiver in receivers:
        data[username_key(receiver.edge)] = receiver.credentials.username
        data[password_key(receiver.edge)] = receiver.credentials.password
    manifest = manifests.remote_write_credentials(cluster, data)
    return create(f"{cluster.name}-remote-write-credentials", manifest, pulumi.ResourceOptions(parent=parent))


def as_receivers(receivers: Sequence[RemoteWriteReceiver]) -> list[Receiver]:
    return [Receiver(each.edge, each.url) for each in receivers]
