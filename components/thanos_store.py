import hashlib
from typing import TypedDict, cast

import pulumi

from components.objects import create, service_address
from components.stack_config import told_plainly
from fleet import thanos
from fleet.bucket import bucket_in_config
from fleet.names import PROJECT, THANOS_GRPC_PORT, THANOS_WRITE_PORT, thanos_url, thanos_workload
from fleet.network_policies import thanos_policies
from fleet.page import Thanos
from fleet.plan import ClusterPlan


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
        ingest = [
            service_address(services[thanos.ingest_service(number)], THANOS_GRPC_PORT)
            for number in range(page.receivers)
        ]
        store = service_address(services[thanos_workload("store")], THANOS_GRPC_PORT)
        topology = thanos.topology(
            cluster,
            pulumi.Output.all(*ingest).apply(thanos.hashrings),
            pulumi.Output.all(*ingest, store).apply(thanos.endpoints),
        )
        first.append(create(f"{name}-topology", topology, child))
        if page.object_storage.volume is not None:
            volume = thanos.objects_volume(cluster, page.object_storage.volume)
            first.append(create(f"{name}-objects", volume, child))
        fingerprint = None
        if page.object_storage.config is not None:
            config = _bucket(page.object_storage.config)
            first.append(create(f"{name}-objects", thanos.objects_secret(cluster, config), child))
            fingerprint = pulumi.Output.unsecret(config.apply(_fingerprint))
        after = pulumi.ResourceOptions(parent=self, depends_on=first)
        for manifest in thanos.workloads(cluster, page, fingerprint):
            create(f"{name}-{manifest['metadata']['name']}-pods", manifest, after)
        self.receiver = service_address(services[thanos_workload("receive")], THANOS_WRITE_PORT)
        self.query = thanos_url(cluster.namespace)
        self.register_outputs({"query": self.query})


def _bucket(key: str) -> pulumi.Output[str]:
    def checked(text: str) -> str:
        with told_plainly():
            return bucket_in_config(key, text)

    return pulumi.Config(PROJECT).require_secret(key).apply(checked)


def _fingerprint(config: str) -> str:
    """Of a text with a key in it, which nobody can guess: enough to see that it changes."""
    return hashlib.sha256(config.encode()).hexdigest()[:12]
