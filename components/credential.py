from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import pulumi
import pulumi_random

from components.authorities import Authorities
from fleet.gateway import certificate_identity
from fleet.keys import Part, bcrypt_hash, hash_part, held, needed_above
from fleet.plan import FLEET, Discovery, Edge, Plan, RemoteWriteEdge

Parts = Mapping[Part, pulumi.Output[str]]


class Credential(pulumi.ComponentResource):
    """The key of one edge of the fleet: a stolen one opens that edge and no other."""

    edge: Edge
    parts: Parts

    def __init__(self, edge: Edge, authorities: Authorities, config: pulumi.Config) -> None:
        super().__init__("prometheus-fleet:index:Credential", edge.id)
        self.edge = edge
        password = passwords(edge, self) if edge.key.password_secret is None else _brought(edge, config, self)
        self.parts = {**password, **_certificates(edge, authorities)}
        self.register_outputs({"username": edge.caller})


def passwords(edge: Edge | Discovery, parent: pulumi.Resource) -> dict[Part, pulumi.Output[str]]:
    """The caller's user name and password, and the hashes of all passwords that the callee accepts.

    Hashes are kept in state with their passwords, so that they are the same on every run.
    """
    key = edge.key
    if not key.has_password:
        return {}
    made = {
        # bcrypt hashes the first 72 bytes only; 32 letters and digits hold 190 bits and need no quoting anywhere.
        generation: pulumi_random.RandomPassword(
            f"{edge.id}.{generation}", length=32, special=False, opts=pulumi.ResourceOptions(parent=parent)
        )
        for generation in key.accepted
    }
    return {
        "username": pulumi.Output.from_input(edge.caller),
        "password": pulumi.Output.secret(made[key.generation].result),
        **{hash_part(each): pulumi.Output.secret(password.bcrypt_hash) for each, password in made.items()},
    }


def _brought(edge: Edge, config: pulumi.Config, parent: pulumi.Resource) -> dict[Part, pulumi.Output[str]]:
    """The same of a password that stands in the config."""
    key = cast("str", edge.key.password_secret)
    password = config.require_secret(key)
    # Kept in state: with a new salt on each run, the gateway would be loaded anew each time.
    salt = pulumi_random.RandomPassword(f"{edge.id}.salt", length=16, opts=pulumi.ResourceOptions(parent=parent))

    def hashed(both: Sequence[str]) -> str:
        try:
            return bcrypt_hash(*both)
        except ValueError as error:
            raise pulumi.RunError(f"config key {config.full_key(key)}: {error}") from None

    return {
        "username": pulumi.Output.from_input(edge.caller),
        "password": password,
        hash_part(edge.key.generation): pulumi.Output.secret(pulumi.Output.all(password, salt.result).apply(hashed)),
    }


def _certificates(edge: Edge, authorities: Authorities) -> dict[Part, pulumi.Output[str]]:
    parts = {"client_ca": authorities.bundle}
    if edge.server is not None:
        is_ours = edge.server.ca == FLEET
        parts["ca"] = authorities.bundle if is_ours else pulumi.Output.from_input(edge.server.ca)
    if edge.key.has_certificate:
        generation = edge.key.generation
        client = authorities.client_certificate(f"{edge.id}.{generation}", certificate_identity(edge, generation))
        parts |= {"certificate": client.certificate, "key": client.key}
    if isinstance(edge, RemoteWriteEdge) and edge.across_stacks and edge.server.ca == FLEET:
        # The stack above makes its own authorities later: this one knows none of them, so it signs for both ends.
        server = authorities.server_certificate(f"{edge.id}-server", edge.server.name)
        parts |= {"server_certificate": server.certificate, "server_key": server.key}
    return parts


@dataclass(frozen=True, slots=True)
class ReferencedCredential:
    """A credential that the stack of the edge's lower end has made; it has the parts that are `needed_above`."""

    edge: Edge
    parts: Parts


EdgeCredential = Credential | ReferencedCredential


def held_data(edge: Edge, credential: EdgeCredential) -> dict[str, pulumi.Input[str]]:
    """The caller's share of its Secret's data."""
    return {key: credential.parts[part] for key, part in held(edge).items()}


def exported_credentials(
    plan: Plan, credentials: Mapping[str, EdgeCredential]
) -> dict[str, dict[Part, pulumi.Output[str]]]:
    """By edge, of those that end in the stack above: what has to be known there."""
    return {
        edge.id: {part: credentials[edge.id].parts[part] for part in needed_above(edge)}
        for edge in plan.edges
        if edge.upper in plan.outside
    }
