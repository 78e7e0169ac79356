"""What lies beside the chart's Grafana."""

import pulumi
import pulumi_random

from components.authorities import made
from components.objects import create
from fleet import manifests
from fleet.plan import ClusterPlan


def grafana_objects(cluster: ClusterPlan, parent: pulumi.Resource) -> list[pulumi.CustomResource]:
    """What has to be there before it starts: its administrator's password, and what its sidecars may read."""
    opts = pulumi.ResourceOptions(parent=parent)
    password = pulumi_random.RandomPassword(f"{cluster.name}-grafana-admin", length=32, special=False, opts=opts)
    admin = manifests.grafana_admin(cluster, made(password.result))
    return [
        create(f"{cluster.name}-grafana-admin-secret", admin, opts),
        create(f"{cluster.name}-grafana-role", manifests.grafana_role(cluster), opts),
    ]
