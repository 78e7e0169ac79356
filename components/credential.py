from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_random

from fleet.plan import Discovery, Edge, FederationEdge, Plan

Needed = Literal["password", "bcrypt_hash"]


class Credential(pulumi.ComponentResource):
    """The user name and password of one edge of the fleet: a stolen one opens that edge and no other.

    All that one parent discovers in its own cluster counts as one edge here.
    """

    edge: Edge | Discovery
    username: str
    password: pulumi.Output[str]
    bcrypt_hash: pulumi.Output[str]
    """Kept in state with the password, so that it is the same on every run."""

    def __init__(self, edge: Edge | Discovery, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:Credential", edge.id, None, opts)
        # bcrypt hashes the first 72 bytes only; 32 letters and digits hold 190 bits and need no quoting anywhere.
        generated = pulumi_random.RandomPassword(
            edge.id, length=32, special=False, opts=pulumi.ResourceOptions(parent=self)
        )
        self.edge = edge
        self.username = edge.caller
        self.password = pulumi.Output.secret(generated.result)
        self.bcrypt_hash = pulumi.Output.secret(generated.bcrypt_hash)
        self.register_outputs({"username": self.username})


@dataclass(frozen=True, slots=True)
class ReferencedCredential:
    """A credential that the stack of the edge's lower end has made; it has the part that is `needed_above`."""

    edge: Edge
    read: Callable[[Needed], pulumi.Output[str]]

    @property
    def username(self) -> str:
        return self.edge.caller

    @property
    def password(self) -> pulumi.Output[str]:
        return self.read("password")

    @property
    def bcrypt_hash(self) -> pulumi.Output[str]:
        return self.read("bcrypt_hash")


EdgeCredential = Credential | ReferencedCredential


def needed_above(edge: Edge) -> Needed:
    """What the upper end of an edge needs: a parent calls, and a receiver is called."""
    return "password" if isinstance(edge, FederationEdge) else "bcrypt_hash"


def exported_credentials(
    plan: Plan, credentials: Mapping[str, EdgeCredential]
) -> dict[str, dict[Needed, pulumi.Output[str]]]:
    """By edge, of those that end in the stack above: what has to be known there."""

    def exported(edge: Edge) -> dict[Needed, pulumi.Output[str]]:
        needed = needed_above(edge)
        credential = credentials[edge.id]
        return {needed: credential.password if needed == "password" else credential.bcrypt_hash}

    return {edge.id: exported(edge) for edge in plan.edges if edge.upper in plan.outside}
