import json

import pulumi

from components.credential import Credential
from components.objects import create
from fleet import manifests
from fleet.gateway import ACCOUNTS_KEY, CONFIG_KEY, Caller, caddy_config
from fleet.plan import ClusterPlan, Discovery


class DiscoveryAccount(pulumi.ComponentResource):
    """The one credential that a parent shows to all whom it discovers, and the Secret by which they recognise it.

    That Secret holds no password: whoever puts it before a Prometheus learns none until the parent calls.
    """

    credentials: Credential

    def __init__(self, cluster: ClusterPlan, discovery: Discovery, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:DiscoveryAccount", discovery.id, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.credentials = Credential(discovery, child)
        hashed = self.credentials.bcrypt_hash

        def config(resolved: str) -> str:
            callers = [Caller(discovery, {discovery.key.generation: resolved})]
            return json.dumps(caddy_config(callers, None), sort_keys=True)

        data = {
            ACCOUNTS_KEY: pulumi.Output.concat(self.credentials.username, ":", hashed, "\n"),
            CONFIG_KEY: hashed.apply(config),
        }
        create(f"{cluster.name}-discovery-account", manifests.discovery_account(cluster, data), child)
        self.register_outputs({"username": self.credentials.username})
