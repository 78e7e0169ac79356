from collections.abc import Sequence
from typing import TypedDict

import pulumi

from components.alertmanager import alert_urls
from components.gateway import AlertReceiver, FederationTarget, Gateway
from components.notifier import alert_credentials
from components.objects import alerting_rules, recording_rules
from components.release import kube_prometheus_stack
from components.remote_write import RemoteWriteReceiver, as_receivers, remote_write_credentials
from components.thanos_objects import thanos_objects
from components.waves import Waves
from fleet.alerts import AlertGroup
from fleet.plan import ClusterPlan
from fleet.values import chart_values


class LeafClusterArgs(TypedDict):
    cluster: ClusterPlan
    """What the compiler decided for this leaf."""
    gateway: Gateway | None
    """The way in for the leaf's parents; None where it goes up by remote write alone."""
    receivers: Sequence[RemoteWriteReceiver]
    """Where it writes to."""
    alerts: Sequence[AlertGroup]
    """What its Prometheus notices of itself."""
    alert_receivers: Sequence[AlertReceiver]
    """Where its alerts are heard."""
    waves: Waves
    """When the release may be touched."""


class LeafCluster(pulumi.ComponentResource):
    """Scrapes its own cluster, records `cluster:*`, and is federated by its parent or writes to the global tier."""

    federation_targets: Sequence[FederationTarget]
    """One per parent."""
    recording_rules: pulumi.Output[list[str]]

    def __init__(self, name: str, args: LeafClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:LeafCluster", name, None, opts)
        cluster, gateway, receivers = args["cluster"], args["gateway"], args["receivers"]
        secrets = remote_write_credentials(cluster, receivers, self)
        if gateway is not None:
            secrets.append(gateway.secret)
        secrets += alert_credentials(cluster, args["alert_receivers"], self)
        secrets += alert_urls(cluster, self)
        objects = thanos_objects(f"{name}-thanos-objects", cluster, cluster.bucket, pulumi.ResourceOptions(parent=self))
        secrets += objects.secrets
        values = chart_values(cluster, receivers=as_receivers(receivers), mark=objects.mark)
        release = kube_prometheus_stack(cluster, values, self, secrets, args["waves"])
        self.federation_targets = gateway.federation_targets if gateway is not None else ()
        self.recording_rules = recording_rules(cluster, self, release)
        alerting_rules(cluster, args["alerts"], self, release)
        self.register_outputs({"recording_rules": self.recording_rules})
