"""What lies beside the chart's Alertmanager."""

import pulumi

from components.objects import create
from components.stack_config import told_plainly
from fleet import manifests
from fleet.alertmanager import url_of, urls_in_config
from fleet.names import PROJECT
from fleet.plan import ClusterPlan


def alert_urls(cluster: ClusterPlan, parent: pulumi.Resource) -> list[pulumi.CustomResource]:
    """Where it posts alerts, as far as the stack's config says so: the Secret that has to be there before it starts."""
    urls = {receiver: _url(key) for receiver, key in urls_in_config(cluster.alertmanager).items()}
    if not urls:
        return []
    opts = pulumi.ResourceOptions(parent=parent)
    return [create(f"{cluster.name}-alert-urls", manifests.alert_urls(cluster, urls), opts)]


def _url(key: str) -> pulumi.Output[str]:
    def checked(text: str) -> str:
        with told_plainly():
            return url_of(key, text)

    return pulumi.Config(PROJECT).require_secret(key).apply(checked)
