from typing import TypedDict, cast

import pulumi

from components.objects import create, service_address
from components.thanos_objects import thanos_objects
from fleet import thanos
from fleet.names import THANOS_GRPC_PORT, THANOS_WRITE_PORT, ThanosPart, thanos_url, thanos_workload
from fleet.network_policies import thanos_policies
from fleet.page import Thanos
from fleet.plan import ClusterPlan

_READING_TOPOLOGY: tuple[ThanosPart, ...] = ("router", "query")


class ThanosStoreArgs(TypedDict):
    cluster: ClusterPlan
    """The global cluster."""


class ThanosStore(pulumi.ComponentResource):
    """Takes in what clusters write, keeps it in a bucket for years, and answers queries over all of it.

    It is there before the gateway that is before it, and waits for no release: a receiver's address is a Service's.
    """

    receiver: pulumi.Output[str]
    """`host:port` in the cluster, where samples are taken in."""
    query: str
    """URL in the cluster, where it answers PromQL."""

    def __init__(self, name: str, args: ThanosStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:ThanosStore", name, None, opts)
        cluster = args["cluster"]
        page = cast("Thanos", cluster.thanos)
        child = pulumi.ResourceOptions(parent=self)
        # Before any pod: none of them is there while anybody may reach it.
        first = [
            create(f"{name}-policy-{policy['metadata']['name']}", policy, child) for policy in thanos_policies(cluster)
        ]
        services = {
            each: create(f"{name}-{each}", service, child) for each, service in thanos.services(cluster, page).items()
        }
        receivers = [
            service_address(services[thanos.receiver_service(number)], THANOS_GRPC_PORT)
            for number in range(page.receivers)
        ]
        store = service_address(services[thanos_workload("store")], THANOS_GRPC_PORT)
        topology = thanos.topology(
            cluster,
            pulumi.Output.all(*receivers).apply(thanos.hashrings),
            pulumi.Output.all(*receivers, store).apply(thanos.endpoints),
        )
        if page.object_storage.volume is not None:
            volume = thanos.objects_volume(cluster, page.object_storage.volume)
            # As a bucket would, it stays when nobody asks for it any more.
            kept = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
            first.append(create(f"{name}-objects", volume, kept))
        objects = thanos_objects(f"{name}-objects", cluster, page.object_storage, child)
        first += objects.secrets
        if page.receivers > 1:
            first.append(create(f"{name}-disruption-budget", thanos.disruption_budget(cluster), child))
        workloads = thanos.workloads(cluster, page, objects.mark)
        before = pulumi.ResourceOptions(parent=self, depends_on=first, custom_timeouts=_patience(page.receivers))
        pods = [
            create(f"{name}-{part}", manifest, before)
            for part, manifest in workloads.items()
            if part not in _READING_TOPOLOGY
        ]
        # Nobody is told of a receiver before it is there.
        after = pulumi.ResourceOptions(parent=self, depends_on=pods)
        told = pulumi.ResourceOptions(parent=self, depends_on=[create(f"{name}-topology", topology, after)])
        for part in _READING_TOPOLOGY:
            create(f"{name}-{part}", workloads[part], told)
        self.receiver = service_address(services[thanos_workload("router")], THANOS_WRITE_PORT)
        self.query = thanos_url(cluster.namespace)
        self.register_outputs({"query": self.query})


def _patience(receivers: int) -> pulumi.CustomTimeouts:
    """They are changed one after the other, and each may take that long to upload what it has, and as long to start."""
    most = f"{2 * receivers * thanos.GRACE_SECONDS}s"
    return pulumi.CustomTimeouts(create=most, update=most, delete=most)
