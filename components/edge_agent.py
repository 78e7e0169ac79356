from collections.abc import Sequence
from typing import TypedDict

import pulumi

from components.release import kube_prometheus_stack
from components.remote_write import RemoteWriteReceiver, as_receivers, remote_write_credentials
from components.waves import Waves
from fleet.plan import ClusterPlan
from fleet.values import chart_values


class EdgeAgentArgs(TypedDict):
    cluster: ClusterPlan
    """What the compiler decided for this edge."""
    receivers: Sequence[RemoteWriteReceiver]
    """Where it writes to."""
    waves: Waves
    """When the release may be touched."""


class EdgeAgent(pulumi.ComponentResource):
    """Prometheus in agent mode: scrapes annotated pods and writes upward; keeps, evaluates and answers nothing."""

    def __init__(self, name: str, args: EdgeAgentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:EdgeAgent", name, None, opts)
        cluster, receivers = args["cluster"], args["receivers"]
        credentials = remote_write_credentials(cluster, receivers, self)
        values = chart_values(cluster, receivers=as_receivers(receivers))
        kube_prometheus_stack(cluster, values, self, credentials, args["waves"])
        self.register_outputs({})
