from collections.abc import Mapping, Sequence
from typing import TypedDict

import pulumi

from components.alertmanager import alert_urls
from components.federation import as_children, federation_credentials
from components.gateway import FederationTarget, Gateway
from components.grafana import grafana_objects
from components.objects import alerting_rules, create, recording_rules
from components.release import kube_prometheus_stack
from components.remote_write import RemoteWriteReceiver, as_receivers, remote_write_credentials
from components.waves import Waves
from fleet import manifests
from fleet.alerts import AlertGroup
from fleet.plan import ClusterPlan
from fleet.values import chart_values


class GlobalPrometheusArgs(TypedDict):
    cluster: ClusterPlan
    """What the compiler decided for the global cluster."""
    children: Sequence[FederationTarget]
    """The regions, and the leaves that have none."""
    gateway: Gateway | None
    """The way in for remote writers; None where nobody writes."""
    receivers: Sequence[RemoteWriteReceiver]
    """Where it writes to."""
    alerts: Sequence[AlertGroup]
    """What it calls people for."""
    dashboards: Mapping[str, str]
    """Grafana's JSON by uid."""
    waves: Waves
    """When the release may be touched."""


class GlobalPrometheus(pulumi.ComponentResource):
    """Federates the regions, receives remote write, answers queries and raises alerts over the whole fleet."""

    remote_write_receivers: Sequence[RemoteWriteReceiver]
    """One for each planned sender."""
    recording_rules: pulumi.Output[list[str]]

    def __init__(self, name: str, args: GlobalPrometheusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:GlobalPrometheus", name, None, opts)
        cluster, children, gateway = args["cluster"], args["children"], args["gateway"]
        calls = bool(children) or cluster.discovery is not None
        secrets = [federation_credentials(cluster, children, self)] if calls else []
        if gateway is not None:
            secrets.append(gateway.secret)
        secrets += alert_urls(cluster, self)
        if cluster.grafana:
            secrets += grafana_objects(cluster, self)
        secrets += remote_write_credentials(cluster, args["receivers"], self)
        values = chart_values(cluster, as_children(children), as_receivers(args["receivers"]))
        release = kube_prometheus_stack(cluster, values, self, secrets, args["waves"])
        self.remote_write_receivers = gateway.remote_write_receivers if gateway is not None else ()
        self.recording_rules = recording_rules(cluster, self, release)
        alerting_rules(cluster, args["alerts"], self, release)
        for uid, model in args["dashboards"].items():
            create(
                f"{cluster.name}-{uid}",
                manifests.dashboard(cluster, uid, model),
                pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({"recording_rules": self.recording_rules})
