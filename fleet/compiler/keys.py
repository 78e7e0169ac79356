"""The key of each edge: the fleet's settings, with what the page says of that edge alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pydantic.alias_generators import to_camel

from fleet.compiler.gateways import gateway_plan
from fleet.errors import Problem, at, yaml_at
from fleet.page import Page
from fleet.page.model import EdgeKey
from fleet.page.problems import did_you_mean, nearest
from fleet.plan import Call, Discovery, Edge, Key, Reader, password_path


def edge_key(page: Page, edge: str) -> Key:
    own = page.keys.edges.get(edge, EdgeKey())
    generation = 1 if own.password is not None else own.generation or page.keys.generation
    return Key(own.auth or page.keys.auth, generation, own.password)


def discovery_key(page: Page, discovery: str) -> Key:
    """A child that is no part of the fleet knows its caller by a password: no certificate was made for it."""
    return replace(edge_key(page, discovery), auth="basic")


def key_problems(page: Page, edges: Sequence[Edge], found: Mapping[str, Discovery]) -> Iterator[Problem]:
    seen: dict[str, Edge] = {}
    for edge in edges:
        # Names may hold what stands between two of them.
        if (other := seen.setdefault(edge.id, edge)) != edge:
            message = (
                f"{edge.caller} and {edge.callee} make the same name of an edge as {other.caller} and {other.callee}"
            )
            fix = yaml_at(["clusters"], {f"{edge.lower}-2": {"tier": page.clusters[edge.lower].tier.value}})
            yield Problem(f"clusters.{edge.lower}", f"{message}: {edge.id}", fix)
    discoveries = {each.id: each for each in found.values()}
    known = [*(edge.id for edge in edges), *discoveries]
    for name, own in page.keys.edges.items():
        where = ["keys", "edges", name]
        if name not in known:
            right = {"generation": own.generation or page.keys.generation + 1}
            fix = at([*where[:-1], nearest(name, known) or known[0]], "", right).fix if known else ""
            message = f"the fleet has no edge of this name{did_you_mean(name, known)}"
            yield Problem(at(where, "").path, message, fix)
        elif name in discoveries:
            for field in own.model_fields_set - {"generation", "password"}:
                message = "has no meaning here: what is discovered is shown a password, and nothing else"
                yield at([*where, to_camel(field)], message)
        elif own.password is not None and not edge_key(page, name).has_password:
            yield at([*where, "password"], "has no effect: a certificate alone opens this edge")
    for edge in edges:
        if edge.key.has_certificate and not gateway_plan(page, edge.callee).passthrough:
            message = f"TLS ends before {edge.callee}'s gateway, which never sees the certificate of {edge.caller}"
            yield at(["keys", "edges", edge.id, "auth"], message, "basic")


def shared_password_problems(calls: Iterable[Call], stacks: Mapping[str, str]) -> Iterator[Problem]:
    """Two keys with one password: who steals one has both."""
    seen: dict[tuple[str | None, ...], Call] = {}
    for call in calls:
        if (brought := call.key.brought) is None:
            continue
        if brought.config is not None:
            # It means something in its own stack alone.
            place = (stacks.get(call.lower), brought.config)
        else:
            place = (call.lower, brought.namespace, brought.secret, brought.key)
        if (other := seen.setdefault(place, call)) is not call:
            message = f"{other.id} and {call.id} would have one password: who steals one opens both"
            # A reader of several clusters has one config key, but a Secret in each of them.
            of_secret = brought.config is None or isinstance(call, Reader)
            right = {"secret": call.id, "namespace": brought.namespace or "credentials"}
            yield at(password_path(call), message, right if of_secret else {"config": call.id})
