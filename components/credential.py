import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import pulumi
import pulumi_random

from components.authorities import Authorities, made
from components.brought_password import brought_password
from fleet.gateway import BEGINNING, certificate_identity
from fleet.keys import (
    Part,
    bcrypt_hash,
    beginning_part,
    generated_hash,
    hash_part,
    held,
    held_key,
    needed_above,
    telling_parts,
)
from fleet.names import HELD_KEYS
from fleet.page import Password
from fleet.plan import FLEET, AlertEdge, Call, Discovery, Edge, OwnWriteEdge, Plan

Parts = Mapping[Part, pulumi.Output[str]]


class Credential(pulumi.ComponentResource):
    """The key of one edge of the fleet: a stolen one opens that edge and no other."""

    edge: Edge
    parts: Parts

    def __init__(self, edge: Edge, authorities: Authorities, opts: pulumi.ResourceOptions) -> None:
        """`opts` have the provider of the edge's lower end."""
        super().__init__("prometheus-fleet:index:Credential", edge.id, None, opts)
        self.edge = edge
        self.parts = {**password_parts(edge, self), **_certificates(edge, authorities)}
        self.register_outputs({"username": edge.caller})


def password_parts(call: Call, parent: pulumi.Resource) -> dict[Part, pulumi.Output[str]]:
    """The generation, the caller's user name and password, and what the callee knows of all that it accepts.

    `parent` is on the provider of the call's lower end.
    """
    return _made(call, parent) if call.key.brought is None else _brought(call, call.key.brought, parent)


def _made(edge: Call, parent: pulumi.Resource) -> dict[Part, pulumi.Output[str]]:
    key = edge.key
    generation = {"generation": pulumi.Output.from_input(str(key.generation))}
    if not key.has_password:
        return generation
    passwords = {
        # 32 letters and digits hold 190 bits and need no quoting anywhere.
        generation: made(
            pulumi_random.RandomPassword(
                f"{edge.id}.{generation}", length=32, special=False, opts=pulumi.ResourceOptions(parent=parent)
            ).result
        )
        for generation in key.accepted
    }
    return generation | {
        "username": pulumi.Output.from_input(edge.caller),
        "password": pulumi.Output.secret(passwords[key.generation]),
        **{hash_part(each): pulumi.Output.secret(text.apply(generated_hash)) for each, text in passwords.items()},
        **{
            beginning_part(each): pulumi.Output.secret(text.apply(lambda text: text[:BEGINNING]))
            for each, text in passwords.items()
        },
    }


def _brought(call: Call, brought: Password, parent: pulumi.Resource) -> dict[Part, pulumi.Output[str]]:
    """The same of a password that somebody brings. One that would not do reaches neither end."""
    password = brought_password(call, brought, parent)
    # Kept in state: with a new salt on each run, the gateway would be loaded anew each time.
    salt = pulumi_random.RandomPassword(f"{call.id}.salt", length=16, opts=pulumi.ResourceOptions(parent=parent))

    def hashed(both: Sequence[str]) -> str:
        return bcrypt_hash(both[0], both[1]) if both[1] else ""

    return {
        "generation": pulumi.Output.from_input(str(call.key.generation)),
        "username": pulumi.Output.from_input(call.caller),
        "password": password,
        hash_part(call.key.generation): pulumi.Output.secret(
            pulumi.Output.all(password, made(salt.result)).apply(hashed)
        ),
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
    if isinstance(edge, OwnWriteEdge | AlertEdge) and edge.across_stacks and edge.server.ca == FLEET:
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


class HeldCredential(Protocol):
    @property
    def edge(self) -> Edge | Discovery: ...

    @property
    def parts(self) -> Parts: ...


def held_data(credentials: Sequence[HeldCredential]) -> dict[str, pulumi.Input[str]]:
    """The data of a caller's Secret: what it holds, and the file that says which generation of it that is."""
    data: dict[str, pulumi.Input[str]] = {}
    for each in credentials:
        data |= {key: each.parts[part] for key, part in held(each.edge).items()}
    return {**data, HELD_KEYS: _held_keys(credentials)}


def _held_keys(credentials: Sequence[HeldCredential]) -> pulumi.Output[str]:
    telling = ({part: each.parts[part] for part in telling_parts(each.edge)} for each in credentials)

    def text(parts: Sequence[Mapping[Part, str]]) -> str:
        return json.dumps([held_key(each.edge, of) for each, of in zip(credentials, parts, strict=True)])

    return pulumi.Output.all(*telling).apply(lambda parts: text(cast("Sequence[Mapping[Part, str]]", parts)))


def exported_credentials(
    plan: Plan, credentials: Mapping[str, EdgeCredential]
) -> dict[str, dict[Part, pulumi.Output[str]]]:
    """By edge, of those that end in the stack above: what has to be known there."""
    return {
        edge.id: {part: credentials[edge.id].parts[part] for part in needed_above(edge)}
        for edge in plan.edges
        if edge.upper in plan.outside
    }
