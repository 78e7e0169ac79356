from collections.abc import Sequence
from typing import TypedDict

import pulumi

from components.gateway import RemoteWriteReceiver
from components.objects import create
from components.release import kube_prometheus_stack
from fleet import manifests
from fleet.plan import ClusterPlan
from fleet.values import Receiver, chart_values, password_key, username_key


class EdgeAgentArgs(TypedDict):
    cluster: ClusterPlan
    """What the compiler decided for this edge."""
    receivers: Sequence[RemoteWriteReceiver]
    """Where it writes to."""


class EdgeAgent(pulumi.ComponentResource):
    """Prometheus in agent mode: scrapes annotated pods and writes upward; keeps, evaluates and answers nothing."""

    def __init__(self, name: str, args: EdgeAgentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:EdgeAgent", name, None, opts)
        cluster, receivers = args["cluster"], args["receivers"]
        data: dict[str, pulumi.Input[str]] = {}
        for receiver in receivers:
            data[username_key(receiver.edge)] = receiver.credentials.username
            data[password_key(receiver.edge)] = receiver.credentials.password
        manifest = manifests.remote_write_credentials(cluster, data)
        opts_child = pulumi.ResourceOptions(parent=self)
        credentials = create(f"{name}-remote-write-credentials", manifest, opts_child)
        values = chart_values(cluster, receivers=[Receiver(each.edge, each.url) for each in receivers])
        kube_prometheus_stack(cluster, values, self, [credentials])
        self.register_outputs({})
