"""Where a cluster writes to, and what it has beside its release: the credentials with which it writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.credential import EdgeCredential, held_data
from components.objects import create
from components.stack_config import told_plainly
from fleet import manifests
from fleet.names import PROJECT
from fleet.plan import ClusterPlan, DestinationEdge, WriteEdge
from fleet.remote_write import InConfig, Source, held_sources, text_in_config
from fleet.values import Receiver


@dataclass(frozen=True, slots=True)
class DestinationCredential:
    """What a sender shows somebody outside of the fleet, as far as it lies in a Secret of the sender's own."""

    held: Mapping[str, pulumi.Output[str]]
    """By the Secret's key; secret."""


@dataclass(frozen=True, slots=True)
class RemoteWriteReceiver:
    """What a sender needs to write to one receiver: the fleet's own, one of the page, or another component's output."""

    edge: WriteEdge
    urls: Sequence[pulumi.Output[str]]
    """Of each of the edge's replicas, in their order; one of somebody else."""
    credentials: EdgeCredential | DestinationCredential


def destination_receivers(cluster: ClusterPlan) -> tuple[RemoteWriteReceiver, ...]:
    """Those of the page; raises RunError where the stack's config has not what the page says it has."""
    return tuple(
        RemoteWriteReceiver(edge, [pulumi.Output.from_input(edge.destination.url)], _credential(edge))
        for edge in cluster.destinations
    )


def _credential(edge: DestinationEdge) -> DestinationCredential:
    held = {key: pulumi.Output.secret(_text(edge, key, source)) for key, source in held_sources(edge).items()}
    return DestinationCredential(held)


def _text(edge: DestinationEdge, key: str, source: Source) -> pulumi.Input[str]:
    if not isinstance(source, InConfig):
        return source

    def checked(text: str) -> str:
        with told_plainly():
            return text_in_config(edge, key, source, text)

    return pulumi.Config(PROJECT).require_secret(source.key).apply(checked)


def remote_write_credentials(
    cluster: ClusterPlan, receivers: Sequence[RemoteWriteReceiver], parent: pulumi.Resource
) -> list[pulumi.CustomResource]:
    """One Secret for the fleet's own keys, which Prometheus mounts, and one for those that its operator alone reads."""
    opts = pulumi.ResourceOptions(parent=parent)
    own, held = list[EdgeCredential](), dict[str, pulumi.Output[str]]()
    for receiver in receivers:
        if isinstance(receiver.credentials, DestinationCredential):
            held |= receiver.credentials.held
        else:
            own.append(receiver.credentials)
    created: list[pulumi.CustomResource] = []
    if own:
        manifest = manifests.remote_write_credentials(cluster, held_data(own))
        created.append(create(f"{cluster.name}-remote-write-credentials", manifest, opts))
    if held:
        manifest = manifests.destination_credentials(cluster, held)
        created.append(create(f"{cluster.name}-destination-credentials", manifest, opts))
    return created


def as_receivers(receivers: Sequence[RemoteWriteReceiver]) -> list[Receiver]:
    return [Receiver(each.edge, url, replica) for each in receivers for replica, url in enumerate(each.urls)]
