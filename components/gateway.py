import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import pulumi
import pulumi_kubernetes as k8s

from components.credential import EdgeCredential
from components.objects import create
from fleet import manifests
from fleet.gateway import ACCOUNTS_KEY, CONFIG_KEY, Caller, caddy_config
from fleet.plan import ClusterPlan, FederationEdge, GatewayPlan, Plan, RemoteWriteEdge


@dataclass(frozen=True, slots=True)
class FederationTarget:
    """What a parent needs to federate one child."""

    edge: FederationEdge
    address: pulumi.Output[str]
    """`host:port` of the child's gateway."""
    credentials: EdgeCredential


@dataclass(frozen=True, slots=True)
class RemoteWriteReceiver:
    """What a sender needs to write to one receiver."""

    edge: RemoteWriteEdge
    url: pulumi.Output[str]
    credentials: EdgeCredential


class GatewayArgs(TypedDict):
    cluster: ClusterPlan
    """The cluster whose Prometheus is reached through this gateway."""
    callers: Sequence[EdgeCredential]
    """Credentials of the edges that call it."""


class Gateway(pulumi.ComponentResource):
    """Address and accounts of a cluster's gateway.

    They exist before the cluster's release, so that a fleet in which two clusters need each other's address has no
    cycle: nobody waits for a release to learn an address. The proxy itself is a sidecar of the release's Prometheus.
    """

    address: pulumi.Output[str]
    """`host:port` as the other clusters dial it."""
    url: pulumi.Output[str]
    secret: pulumi.CustomResource
    """What the sidecar mounts."""

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:Gateway", name, None, opts)
        cluster, callers = args["cluster"], args["callers"]
        self._callers = callers
        child = pulumi.ResourceOptions(parent=self)

        def config(hashes: Sequence[str]) -> str:
            known = [
                Caller(each.edge, {each.edge.key.generation: hashed})
                for each, hashed in zip(callers, hashes, strict=True)
            ]
            return json.dumps(caddy_config(known, None), sort_keys=True)

        htpasswd = [pulumi.Output.concat(caller.username, ":", caller.bcrypt_hash, "\n") for caller in callers]
        data = {
            ACCOUNTS_KEY: pulumi.Output.concat(*htpasswd),
            CONFIG_KEY: pulumi.Output.all(*(caller.bcrypt_hash for caller in callers)).apply(config),
        }
        self.secret = create(f"{name}-accounts", manifests.gateway_secret(cluster, data), child)
        service = create(f"{name}-service", manifests.gateway_service(cluster), child)
        if (route := manifests.gateway_route(cluster)) is not None:
            create(f"{name}-route", route, child)
        plan = cast("GatewayPlan", cluster.gateway)
        self.address = _address(plan, cast("k8s.core.v1.Service", service))
        self.url = pulumi.Output.concat(plan.scheme, "://", self.address)
        self.register_outputs({"address": self.address, "url": self.url})

    @property
    def federation_targets(self) -> tuple[FederationTarget, ...]:
        """One for each planned parent."""
        return tuple(
            FederationTarget(caller.edge, self.address, caller)
            for caller in self._callers
            if isinstance(caller.edge, FederationEdge)
        )

    @property
    def remote_write_receivers(self) -> tuple[RemoteWriteReceiver, ...]:
        """One for each planned sender."""
        return tuple(
            RemoteWriteReceiver(caller.edge, pulumi.Output.concat(self.url, "/api/v1/write"), caller)
            for caller in self._callers
            if isinstance(caller.edge, RemoteWriteEdge)
        )


def receivers_above(plan: Plan, credentials: Mapping[str, EdgeCredential]) -> tuple[RemoteWriteReceiver, ...]:
    """Receivers that another stack deploys, which is deployed later: their addresses stand on the page."""

    def url(edge: RemoteWriteEdge) -> pulumi.Output[str]:
        gateway = cast("GatewayPlan", plan.outside[edge.receiver].gateway)
        return pulumi.Output.from_input(f"{gateway.scheme}://{gateway.host}:{gateway.port}/api/v1/write")

    above = (edge for edge in plan.remote_write if edge.receiver in plan.outside)
    return tuple(RemoteWriteReceiver(edge, url(edge), credentials[edge.id]) for edge in above)


def _address(plan: GatewayPlan, service: k8s.core.v1.Service) -> pulumi.Output[str]:
    if plan.host is not None:
        return pulumi.Output.from_input(f"{plan.host}:{plan.port}")

    ingress = service.status.load_balancer.ingress[0]
    return pulumi.Output.all(ingress.ip, ingress.hostname).apply(
        lambda addresses: f"{addresses[0] or addresses[1]}:{plan.port}"
    )
