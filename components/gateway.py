from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random

from components.authorities import Authorities, Certificate, made
from components.credential import EdgeCredential, Parts, password_parts
from components.gateway_config import KnownCaller, Shown, gateway_config, htpasswd
from components.objects import create
from components.remote_write import RemoteWriteReceiver
from fleet import manifests
from fleet.gateway import ACCOUNTS_KEY, CONFIG_KEY
from fleet.names import ALERTMANAGER_PORT, CA_KEY
from fleet.plan import (
    FLEET,
    PUBLIC,
    AlertEdge,
    ClusterPlan,
    FederationEdge,
    GatewayPlan,
    Plan,
    Reader,
    RemoteWriteEdge,
)


@dataclass(frozen=True, slots=True)
class FederationTarget:
    """What a parent needs to federate one child."""

    edge: FederationEdge
    address: pulumi.Output[str]
    """`host:port` of the child's gateway."""
    credentials: EdgeCredential


@dataclass(frozen=True, slots=True)
class AlertReceiver:
    """What a sender needs to have its alerts heard at one Alertmanager."""

    edge: AlertEdge
    address: pulumi.Output[str]
    """`host:port` of the gateway before it."""
    credentials: EdgeCredential


class GatewayArgs(TypedDict):
    cluster: ClusterPlan
    """The cluster whose Prometheus is reached through this gateway."""
    callers: Sequence[EdgeCredential]
    """Credentials of the edges that call it."""
    authorities: Authorities
    """Who signs what it shows."""


class Gateway(pulumi.ComponentResource):
    """Address, certificate and accounts of a cluster's gateway.

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
        plan = cast("GatewayPlan", cluster.gateway)
        self._callers = callers
        child = pulumi.ResourceOptions(parent=self)
        readers = [_ReaderKey(reader, password_parts(reader, self)) for reader in cluster.readers]
        known: list[KnownCaller] = [*callers, *readers]
        shown = _shown(name, plan, callers, args["authorities"], self)
        alertmanager = _alertmanager(name, cluster, child) if cluster.hears_alerts else None
        data = {ACCOUNTS_KEY: htpasswd(known), CONFIG_KEY: gateway_config(known, shown, alertmanager)}
        self.secret = create(f"{name}-accounts", manifests.gateway_secret(cluster, data), child)
        if readers:
            held: dict[str, pulumi.Input[str]] = {each.edge.name: each.parts["password"] for each in readers}
            if plan.server.ca != PUBLIC:
                held[CA_KEY] = args["authorities"].bundle if plan.server.ca == FLEET else plan.server.ca
            create(f"{name}-readers", manifests.gateway_readers(cluster, held), child)
        service = create(f"{name}-service", manifests.gateway_service(cluster), child)
        for manifest in manifests.gateway_ways(cluster, args["authorities"].bundle):
            create(f"{name}-{manifest['kind'].lower()}", manifest, child)
        self.address = _address(plan, cast("k8s.core.v1.Service", service))
        self.url = pulumi.Output.concat("https://", self.address)
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

    @property
    def alert_receivers(self) -> tuple[AlertReceiver, ...]:
        """One for each planned sender."""
        return tuple(
            AlertReceiver(caller.edge, self.address, caller)
            for caller in self._callers
            if isinstance(caller.edge, AlertEdge)
        )


def receivers_above(plan: Plan, credentials: Mapping[str, EdgeCredential]) -> tuple[RemoteWriteReceiver, ...]:
    """Receivers that another stack deploys, which is deployed later: their addresses stand on the page."""
    return tuple(
        RemoteWriteReceiver(edge, pulumi.Output.concat("https://", address, "/api/v1/write"), credentials[edge.id])
        for edge in plan.remote_write
        if (address := _address_above(plan, edge.receiver)) is not None
    )


def alert_receivers_above(plan: Plan, credentials: Mapping[str, EdgeCredential]) -> tuple[AlertReceiver, ...]:
    """The same of Alertmanagers."""
    return tuple(
        AlertReceiver(edge, address, credentials[edge.id])
        for edge in plan.alerts
        if (address := _address_above(plan, edge.receiver)) is not None
    )


def _address_above(plan: Plan, receiver: str) -> pulumi.Output[str] | None:
    if receiver not in plan.outside:
        return None
    gateway = cast("GatewayPlan", plan.outside[receiver].gateway)
    return pulumi.Output.from_input(f"{gateway.host}:{gateway.port}")


@dataclass(frozen=True, slots=True)
class _ReaderKey:
    edge: Reader
    parts: Parts


def _shown(
    name: str, plan: GatewayPlan, callers: Sequence[EdgeCredential], authorities: Authorities, parent: pulumi.Resource
) -> Shown:
    """Certificates by which callers know it: its own, and those that stacks below made for it."""
    below = [
        Certificate(caller.parts["server_certificate"], caller.parts["server_key"])
        for caller in callers
        if "server_certificate" in caller.parts
    ]
    if plan.tls.mode == "generated":
        return Shown([authorities.server_certificate(name, plan.certified), *below], None)
    path = pulumi_random.RandomPassword(
        f"{name}-certificate", length=32, special=False, opts=pulumi.ResourceOptions(parent=parent)
    )
    return Shown(below, pulumi.Output.secret(made(path.result)))


def _alertmanager(name: str, cluster: ClusterPlan, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """`host:port` inside of the cluster."""
    service = create(f"{name}-alertmanager", manifests.gateway_alertmanager(cluster), opts)
    address = cast("k8s.core.v1.Service", service).spec.cluster_ip
    return made(address).apply(lambda address: f"{_bracketed(address)}:{ALERTMANAGER_PORT}")


def _address(plan: GatewayPlan, service: k8s.core.v1.Service) -> pulumi.Output[str]:
    if plan.host is not None:
        return pulumi.Output.from_input(f"{plan.host}:{plan.port}")

    ingress = service.status.load_balancer.ingress[0]
    return pulumi.Output.all(ingress.ip, ingress.hostname).apply(
        lambda addresses: f"{_bracketed(addresses[0] or addresses[1])}:{plan.port}"
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
