"""What a sender of alerts has beside its release: its key, and how its Prometheus finds the Alertmanager."""

from collections.abc import Sequence

import pulumi

from components.credential import held_data
from components.gateway import AlertReceiver
from components.objects import create
from fleet import manifests
from fleet.names import ALERTMANAGERS_KEY
from fleet.notifier import alertmanagers
from fleet.plan import ClusterPlan


def alert_credentials(
    cluster: ClusterPlan, receivers: Sequence[AlertReceiver], parent: pulumi.Resource
) -> list[pulumi.CustomResource]:
    """None where it sends nobody its alerts."""
    return [
        create(
            f"{cluster.name}-alert-credentials",
            manifests.alert_credentials(cluster, {**held_data([each.credentials]), ALERTMANAGERS_KEY: _config(each)}),
            pulumi.ResourceOptions(parent=parent),
        )
        for each in receivers
    ]


def _config(receiver: AlertReceiver) -> pulumi.Output[str]:
    return receiver.address.apply(lambda address: alertmanagers(receiver.edge, address))
