from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random

from components.authorities import Authorities, Certificate, made
from components.credential import EdgeCredential, Parts, password_parts
from components.gateway_config import KnownCaller, Shown, gateway_config, htpasswd
from components.objects import bracketed, create, service_address
from components.remote_write import RemoteWriteReceiver
from fleet import manifests
from fleet.gateway import ACCOUNTS_KEY, CONFIG_KEY
from fleet.names import ALERTMANAGER_PORT, CA_KEY, GATEWAY, PROMETHEUS_PORT
from fleet.plan import (
    FLEET,
    PUBLIC,
    Address,
    AlertEdge,
    ClusterPlan,
    FederationEdge,
    GatewayPlan,
    OwnWriteEdge,
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
    thanos: pulumi.Output[str] | None
    """`host:port` in the cluster of what takes samples in for the fleet's Thanos; None where it is elsewhere."""


class Gateway(pulumi.ComponentResource):
    """Address, certificate and accounts of a cluster's gateway.

    They exist before the cluster's release, so that a fleet in which two clusters need each other's address has no
    cycle: nobody waits for a release to learn an address. The proxy itself is a sidecar of the release's Prometheus.
    """

    address: pulumi.Output[str]
    """`host:port` as the other clusters dial it."""
    url: pulumi.Output[str]
    replica_urls: Sequence[pulumi.Output[str]]
    """Of each replica that others write to; empty where they write to `url`."""
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
        alertmanager = None
        if cluster.hears_alerts:
            service = manifests.gateway_alertmanager(cluster)
            alertmanager = service_address(create(f"{name}-alertmanager", service, child), ALERTMANAGER_PORT)
        replicas = [
            service_address(create(f"{name}-prometheus-{number}", service, child), PROMETHEUS_PORT)
            for number, service in enumerate(manifests.replica_prometheuses(cluster))
        ]
        data = {
            ACCOUNTS_KEY: htpasswd(known),
            CONFIG_KEY: gateway_config(known, shown, alertmanager, replicas, args["thanos"]),
        }
        self.secret = create(f"{name}-accounts", manifests.gateway_secret(cluster, data), child)
        if readers:
            held: dict[str, pulumi.Input[str]] = {each.edge.name: each.parts["password"] for each in readers}
            if plan.server.ca != PUBLIC:
                held[CA_KEY] = args["authorities"].bundle if plan.server.ca == FLEET else plan.server.ca
            create(f"{name}-readers", manifests.gateway_readers(cluster, held), child)
        service = create(f"{name}-service", manifests.gateway_service(cluster), child)
        for manifest in manifests.gateway_ways(cluster, args["authorities"].bundle):
            # A replica's route has the replica's number at its end.
            number = str(manifest["metadata"]["name"]).removeprefix(GATEWAY)
            suffix = number if manifest["kind"] == "HTTPRoute" else ""
            create(f"{name}-{manifest['kind'].lower()}{suffix}", manifest, child)
        self.address = _address(plan.address, service)
        published = [
            create(f"{name}-service-{number}", each, child)
            for number, each in enumerate(manifests.replica_gateways(cluster))
        ]
        self.replica_urls = [_url(_address(*each)) for each in zip(plan.replicas, published, strict=True)]
        self.url = _url(self.address)
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
        """One for each planned sender, and one for each that writes to Thanos."""
        return tuple(
            RemoteWriteReceiver(caller.edge, self._write_urls(caller.edge), caller)
            for caller in self._callers
            if isinstance(caller.edge, OwnWriteEdge)
        )

    def _write_urls(self, edge: OwnWriteEdge) -> list[pulumi.Output[str]]:
        urls = self.replica_urls if isinstance(edge, RemoteWriteEdge) and self.replica_urls else [self.url]
        return [pulumi.Output.concat(url, edge.path) for url in urls]

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
        RemoteWriteReceiver(
            edge,
            [pulumi.Output.concat(_url(str(each.address)), edge.path) for each in edge.replicas],
            credentials[edge.id],
        )
        for edge in plan.own_writes
        if edge.receiver in plan.outside
    )


def _url(address: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.concat("https://", address)


def alert_receivers_above(plan: Plan, credentials: Mapping[str, EdgeCredential]) -> tuple[AlertReceiver, ...]:
    """The same of Alertmanagers."""
    return tuple(
        AlertReceiver(edge, pulumi.Output.from_input(str(gateway.address)), credentials[edge.id])
        for edge in plan.alerts
        if edge.receiver in plan.outside and (gateway := plan.outside[edge.receiver].gateway) is not None
    )


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


def _address(dialled: Address, service: pulumi.CustomResource) -> pulumi.Output[str]:
    if dialled.host is not None:
        return pulumi.Output.from_input(str(dialled))

    ingress = cast("k8s.core.v1.Service", service).status.load_balancer.ingress[0]
    return pulumi.Output.all(ingress.ip, ingress.hostname).apply(
        lambda addresses: f"{bracketed(addresses[0] or addresses[1])}:{dialled.port}"
    )
