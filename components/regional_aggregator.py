from collections.abc import Sequence
from typing import TypedDict

import pulumi

from components.alertmanager import alert_urls
from components.federation import as_children, federation_credentials
from components.gateway import AlertReceiver, FederationTarget, Gateway
from components.notifier import alert_credentials
from components.objects import alerting_rules, recording_rules
from components.release import kube_prometheus_stack
from components.remote_write import RemoteWriteReceiver, as_receivers, remote_write_credentials
from components.waves import Waves
from fleet.alerts import AlertGroup
from fleet.plan import ClusterPlan
from fleet.values import chart_values


class RegionalAggregatorArgs(TypedDict):
    cluster: ClusterPlan
    """What the compiler decided for this region's cluster."""
    gateway: Gateway
    """The way in for the global tier."""
    children: Sequence[FederationTarget]
    """The region's leaves."""
    receivers: Sequence[RemoteWriteReceiver]
    """Where it writes to."""
    alerts: Sequence[AlertGroup]
    """What its Prometheus notices of itself and of those below."""
    alert_receivers: Sequence[AlertReceiver]
    """Where its alerts are heard."""
    waves: Waves
    """When the release may be touched."""


class RegionalAggregator(pulumi.ComponentResource):
    """Federates the leaves of one region, records `region:*` and is federated by the global tier."""

    federation_targets: Sequence[FederationTarget]
    """One per parent."""
    recording_rules: pulumi.Output[list[str]]

    def __init__(self, name: str, args: RegionalAggregatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:RegionalAggregator", name, None, opts)
        cluster, gateway, children = args["cluster"], args["gateway"], args["children"]
        secrets = [gateway.secret, federation_credentials(cluster, children, self)]
        secrets += remote_write_credentials(cluster, args["receivers"], self)
        secrets += alert_credentials(cluster, args["alert_receivers"], self)
        secrets += alert_urls(cluster, self)
        values = chart_values(cluster, as_children(children), as_receivers(args["receivers"]))
        release = kube_prometheus_stack(cluster, values, self, secrets, args["waves"])
        self.federation_targets = gateway.federation_targets
        self.recording_rules = recording_rules(cluster, self, release)
        alerting_rules(cluster, args["alerts"], self, release)
        self.register_outputs({"recording_rules": self.recording_rules})
