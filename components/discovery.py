import pulumi

from components.credential import Parts, password_parts
from components.gateway_config import gateway_config, htpasswd
from components.objects import create
from fleet import manifests
from fleet.gateway import ACCOUNTS_KEY, CONFIG_KEY
from fleet.plan import ClusterPlan, Discovery


class DiscoveryAccount(pulumi.ComponentResource):
    """The one credential that a parent shows to all whom it discovers, and the Secret by which they recognise it.

    That Secret holds no password: whoever puts it before a Prometheus learns none until the parent calls.
    """

    edge: Discovery
    parts: Parts

    def __init__(self, cluster: ClusterPlan, discovery: Discovery, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:DiscoveryAccount", discovery.id, None, opts)
        self.edge = discovery
        self.parts = password_parts(discovery, self)
        # No certificate: this one is for a proxy that is not of the fleet's making, in the parent's own cluster.
        data = {ACCOUNTS_KEY: htpasswd([self]), CONFIG_KEY: gateway_config([self], None)}
        child = pulumi.ResourceOptions(parent=self)
        create(f"{cluster.name}-discovery-account", manifests.discovery_account(cluster, data), child)
        self.register_outputs({"username": discovery.caller})
