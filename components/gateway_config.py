"""The configuration of a gateway, made of what the engine makes: hashes, certificates, authorities."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict, cast

import pulumi

from components.authorities import Certificate
from components.credential import Parts
from fleet.gateway import CERTIFICATE_MOUNT, Caller, KeyPair, MountedKeyPair, Tls, caddy_config
from fleet.keys import Part, beginning_part, hash_part, shown_parts
from fleet.pem import certificates
from fleet.plan import Call, Key


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


def gateway_config(
    callers: Sequence[KnownCaller],
    shown: Shown | None,
    alertmanager: pulumi.Output[str] | None = None,
    replicas: Sequence[pulumi.Output[str]] = (),
    thanos: pulumi.Output[str] | None = None,
) -> pulumi.Output[str]:
    """Caddy's, as JSON text; without TLS where nothing is `shown`. The others are as `caddy_config` has them."""

    def config(resolved: _Resolved) -> str:
        known = [
            Caller(
                caller.edge,
                _by_generation(caller.edge.key, parts, hash_part),
                _by_generation(caller.edge.key, parts, beginning_part),
                parts.get("certificate"),
            )
            for caller, parts in zip(callers, resolved["parts"], strict=True)
        ]
        # Callers of one stack have the same authorities.
        bundles = dict.fromkeys(each["client_ca"] for each in resolved["parts"] if "client_ca" in each)
        authorities = [one for bundle in bundles for one in certificates(bundle)]
        served = [KeyPair(*each) for each in resolved["served"] if all(each)]
        mounted = MountedKeyPair(CERTIFICATE_MOUNT, resolved["path"]) if resolved["path"] is not None else None
        tls = Tls(served, authorities, mounted) if shown is not None else None
        configured = caddy_config(known, tls, resolved["alertmanager"], resolved["replicas"], resolved["thanos"])
        return json.dumps(configured, sort_keys=True)

    return pulumi.Output.all(
        parts=[{part: caller.parts[part] for part in shown_parts(caller.edge.key)} for caller in callers],
        served=[(each.certificate, each.key) for each in shown.certificates] if shown is not None else [],
        path=shown.path if shown is not None else None,
        alertmanager=alertmanager,
        thanos=thanos,
        replicas=list(replicas),
    ).apply(lambda resolved: config(cast("_Resolved", resolved)))


class _Resolved(TypedDict):
    parts: Sequence[Mapping[Part, str]]
    served: Sequence[tuple[str, str]]
    path: str | None
    alertmanager: str | None
    thanos: str | None
    replicas: Sequence[str]


def _by_generation(key: Key, parts: Mapping[Part, str], part: Callable[[int], Part]) -> dict[int, str]:
    return {each: parts[part(each)] for each in key.accepted if part(each) in parts}
