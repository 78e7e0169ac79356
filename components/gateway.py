import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict, cast

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random

from components.authorities import Authorities, Certificate, made
from components.credential import EdgeCredential, Parts, made_parts
from components.objects import create
from fleet import manifests
from fleet.gateway import (
    ACCOUNTS_KEY,
    CERTIFICATE_MOUNT,
    CONFIG_KEY,
    Caller,
    KeyPair,
    MountedKeyPair,
    Tls,
    caddy_config,
)
from fleet.keys import Part, beginning_part, hash_part, shown_parts
from fleet.pem import certificates
from fleet.plan import Call, ClusterPlan, FederationEdge, GatewayPlan, Key, Plan, Reader, RemoteWriteEdge


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
        readers = [_ReaderKey(reader, made_parts(reader, self)) for reader in cluster.readers]
        known: list[KnownCaller] = [*callers, *readers]
        data = {
            ACCOUNTS_KEY: htpasswd(known),
            CONFIG_KEY: gateway_config(known, _shown(name, plan, callers, args["authorities"], self)),
        }
        self.secret = create(f"{name}-accounts", manifests.gateway_secret(cluster, data), child)
        if readers:
            passwords = {each.edge.name: each.parts["password"] for each in readers}
            create(f"{name}-readers", manifests.gateway_readers(cluster, passwords), child)
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


def receivers_above(plan: Plan, credentials: Mapping[str, EdgeCredential]) -> tuple[RemoteWriteReceiver, ...]:
    """Receivers that another stack deploys, which is deployed later: their addresses stand on the page."""

    def url(edge: RemoteWriteEdge) -> pulumi.Output[str]:
        gateway = cast("GatewayPlan", plan.outside[edge.receiver].gateway)
        return pulumi.Output.from_input(f"https://{gateway.host}:{gateway.port}/api/v1/write")

    above = (edge for edge in plan.remote_write if edge.receiver in plan.outside)
    return tuple(RemoteWriteReceiver(edge, url(edge), credentials[edge.id]) for edge in above)


@dataclass(frozen=True, slots=True)
class _ReaderKey:
    edge: Reader
    parts: Parts


class KnownCaller(Protocol):
    @property
    def edge(self) -> Call: ...

    @property
    def parts(self) -> Parts: ...


def htpasswd(callers: Sequence[KnownCaller]) -> pulumi.Output[str]:
    """Each caller's line of its own generation before those of its others: htpasswd reads the first alone."""
    lines = (
        pulumi.Output.concat(caller.edge.caller, ":", caller.parts[hash_part(generation)], "\n")
        for caller in callers
        if caller.edge.key.has_password
        for generation in sorted(caller.edge.key.accepted, key=lambda each: each != caller.edge.key.generation)
    )
    return pulumi.Output.concat(*lines)


@dataclass(frozen=True, slots=True)
class Shown:
    """How a gateway shows who it is."""

    certificates: Sequence[Certificate]
    """Those that `pulumi up` makes."""
    path: pulumi.Output[str] | None
    """Where on loopback the gateway finds its own, if somebody else makes it; a secret."""


def gateway_config(callers: Sequence[KnownCaller], shown: Shown | None) -> pulumi.Output[str]:
    """Caddy's, as JSON text; without TLS where nothing is `shown`."""

    def config(resolved: _Resolved) -> str:
        known = [
            Caller(
                caller.edge,
                _by_generation(caller.edge.key, parts, hash_part),
                _by_generation(caller.edge.key, parts, beginning_part),
            )
            for caller, parts in zip(callers, resolved["parts"], strict=True)
        ]
        # Callers of one stack have the same authorities.
        bundles = dict.fromkeys(each["client_ca"] for each in resolved["parts"] if "client_ca" in each)
        authorities = [one for bundle in bundles for one in certificates(bundle)]
        served = [KeyPair(*each) for each in resolved["served"] if all(each)]
        mounted = MountedKeyPair(CERTIFICATE_MOUNT, resolved["path"]) if resolved["path"] is not None else None
        tls = Tls(served, authorities, mounted) if shown is not None else None
        return json.dumps(caddy_config(known, tls), sort_keys=True)

    return pulumi.Output.all(
        parts=[{part: caller.parts[part] for part in shown_parts(caller.edge.key)} for caller in callers],
        served=[(each.certificate, each.key) for each in shown.certificates] if shown is not None else [],
        path=shown.path if shown is not None else None,
    ).apply(lambda resolved: config(cast("_Resolved", resolved)))


class _Resolved(TypedDict):
    parts: Sequence[Mapping[Part, str]]
    served: Sequence[tuple[str, str]]
    path: str | None


def _by_generation(key: Key, parts: Mapping[Part, str], part: Callable[[int], Part]) -> dict[int, str]:
    return {each: parts[part(each)] for each in key.accepted if part(each) in parts}


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


def _address(plan: GatewayPlan, service: k8s.core.v1.Service) -> pulumi.Output[str]:
    if plan.host is not None:
        return pulumi.Output.from_input(f"{plan.host}:{plan.port}")

    ingress = service.status.load_balancer.ingress[0]
    return pulumi.Output.all(ingress.ip, ingress.hostname).apply(
        lambda addresses: f"{addresses[0] or addresses[1]}:{plan.port}"
    )
