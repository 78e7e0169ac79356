"""The stacks below this one, read through their outputs: a contract that docs/outputs.md documents."""

from collections.abc import Mapping, Sequence
from typing import cast

import pulumi

from components.credential import ReferencedCredential
from components.gateway import FederationTarget
from components.stack_config import UnreadableError, full_name, last_outputs
from fleet.keys import Part, needed_above
from fleet.plan import Edge, FederationEdge, Plan

Path = tuple[str, ...]
"""The name of an output and the keys inside it."""


class ChildStacks:
    """What of a fleet's other stacks is known only once they are deployed: addresses and credentials.

    Raises RunError where one of them has yet to be deployed; nothing of this stack should have been made by then.
    """

    credentials: Mapping[str, ReferencedCredential]
    """By edge: of those that begin in a stack below."""
    federation_targets: Sequence[FederationTarget]

    def __init__(self, plan: Plan) -> None:
        self._stacks = plan.stacks
        crossing = [edge for edge in plan.edges if edge.lower in plan.outside]
        below = dict.fromkeys(plan.stacks[edge.lower] for edge in crossing)
        self._references = {
            stack: _reference(stack, [edge for edge in crossing if plan.stacks[edge.lower] == stack]) for stack in below
        }
        self.credentials = {edge.id: self._credential(edge) for edge in crossing}
        self.federation_targets = [
            FederationTarget(edge, self._address(edge), self.credentials[edge.id])
            for edge in crossing
            if isinstance(edge, FederationEdge)
        ]

    def _credential(self, edge: Edge) -> ReferencedCredential:
        parts = {part: pulumi.Output.secret(self._read(edge, _credential(edge, part))) for part in needed_above(edge)}
        return ReferencedCredential(edge, parts)

    def _address(self, edge: FederationEdge) -> pulumi.Output[str]:
        return self._read(edge, _gateway(edge)).apply(lambda url: url.partition("://")[2])

    def _read(self, edge: Edge, path: Path) -> pulumi.Output[str]:
        stack = self._stacks[edge.lower]
        output = cast("pulumi.Output[object]", self._references[stack].get_output(path[0]))
        return output.apply(lambda value: _found({path[0]: value}, stack, edge, path))


def _credential(edge: Edge, part: Part) -> Path:
    return "credentials", edge.id, part


def _gateway(edge: FederationEdge) -> Path:
    return "fleet", "clusters", edge.child, "gateway", "url"


def _reference(stack: str, edges: Sequence[Edge]) -> pulumi.StackReference:
    try:
        # Asked first: a reference to a stack that is not there ends the update before anything can be said about it.
        outputs = last_outputs(stack)
    except UnreadableError as error:
        raise pulumi.RunError(f"stack {stack} cannot be read: {error}\n{_remedy(stack)}") from None
    for edge in edges:
        for part in needed_above(edge):
            _found(outputs, stack, edge, _credential(edge, part))
        if isinstance(edge, FederationEdge):
            _found(outputs, stack, edge, _gateway(edge))
    return pulumi.StackReference(stack, full_name(stack))


def _found(outputs: object, stack: str, edge: Edge, path: Path) -> str:
    value = outputs
    for key in path:
        value = cast("Mapping[str, object]", value).get(key) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return value
    name = ".".join(path)
    # The engine hands on an empty map for a secret that it cannot decrypt.
    if value == {}:
        raise pulumi.RunError(
            f"stack {stack}'s output {name} cannot be decrypted here\n"
            "Stacks of one fleet have the same passphrase, or secrets providers that all of them may use."
        )
    raise pulumi.RunError(
        f"stack {stack} has no output {name}, which joins {edge.lower} to {edge.upper}\n{_remedy(stack)}"
    )


def _remedy(stack: str) -> str:
    return f"Stacks below are deployed before the one above: `pulumi up --stack {stack}` first."
