"""Changing keys while they are in use: which steps are allowed, and what must be confirmed before each.

Everything rests on two facts. A gateway accepts the generation before, its own and the next, so two ends may be one
step apart in either direction. And a Secret that is written is not yet read: before a next step, the running processes
have to say that they took the last one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

from fleet.errors import Problem, at, yaml_at
from fleet.keys import tls_keys
from fleet.names import authority_name, authority_number
from fleet.plan import FLEET, Discovery, Edge, OwnWriteEdge, Plan


class AuthorityState(BaseModel, frozen=True):
    trust: tuple[int, ...]
    issue: int

    def beside(self, other: "AuthorityState") -> bool:
        """Whether clusters in one state and in the other believe each other."""
        return self.issue in other.trust and other.issue in self.trust


class KeyState(BaseModel, frozen=True):
    """Of all keys of a stack: what stack output `fleet` says was deployed, or what a page asks for."""

    keys: dict[str, int]
    """Generations by edge."""
    authority: AuthorityState


class _Recorded(BaseModel):
    fleet: KeyState


def planned_keys(plan: Plan) -> KeyState:
    """Of all keys that have generations: who brings a password renews it."""
    authority = AuthorityState(trust=tuple(sorted(plan.authority.trust)), issue=plan.authority.issue)
    keys = {each.id: each.key.generation for each in plan.keyed if each.key.brought is None}
    return KeyState(keys=keys, authority=authority)


def recorded_keys(outputs: object) -> KeyState | None:
    """Of a stack's outputs; None where it was never deployed, or by a program that knew no generations."""
    try:
        return _Recorded.model_validate(outputs).fleet
    except ValidationError:
        return None


# Steps


def step_problems(old: KeyState, new: KeyState) -> Iterator[Problem]:
    """Steps too large to be taken at once, with the YAML of the one to take now."""
    jumps = {edge: (old.keys[edge], to) for edge, to in new.keys.items() if edge in old.keys}
    # Never back: the certificates of an earlier generation would be let in again.
    jumps = {edge: (since, to) for edge, (since, to) in jumps.items() if to < since or to > since + 1}
    if len(set(jumps.values())) == 1 and len(jumps) == len(new.keys):
        yield _jump(["keys", "generation"], *next(iter(jumps.values())))
    else:
        for edge, (since, to) in jumps.items():
            yield _jump(["keys", "edges", edge, "generation"], since, to)
    if not old.authority.beside(new.authority):
        right = next_authority(old.authority, new.authority)
        message = (
            f"clusters trust {_numbers(old.authority.trust)} and show certificates by {old.authority.issue}; some are "
            "always the first to change, and would not get on with the others. The step to take now is"
        )
        yield Problem("authority", message, yaml_at(["authority"], {"trust": list(right.trust), "issue": right.issue}))


def _jump(path: Sequence[object], since: int, to: int) -> Problem:
    if to < since:
        message = f"generation {since} is deployed, and what an earlier one opened must not open it again"
        return at(path, message, since)
    accepted = f"gateways accept {max(1, since - 1)} to {since + 1}"
    return at(path, f"generation {since} is deployed, and {accepted}; the step to take now is", since + 1)


def next_authority(old: AuthorityState, goal: AuthorityState) -> AuthorityState:
    """The step from `old` towards `goal`: trust both, then issue with the new one, then distrust the old one."""
    if old.beside(goal):
        return goal
    both = tuple(sorted({old.issue, goal.issue}))
    return AuthorityState(trust=both, issue=goal.issue if goal.issue in old.trust else old.issue)


def _numbers(numbers: Sequence[int]) -> str:
    return " and ".join(map(str, numbers))


# What is confirmed


@dataclass(frozen=True, slots=True)
class Expected:
    """What running processes may say. More than one value where a step was begun: some have taken it, some have not."""

    generations: Mapping[str, frozenset[int]] = field(default_factory=dict[str, frozenset[int]])
    """By edge; of others nothing is asked."""
    authorities: tuple[AuthorityState, ...] = ()
    """Nothing is asked where there is none."""

    def __bool__(self) -> bool:
        return bool(self.generations or self.authorities)


def before_step(old: KeyState, new: KeyState) -> Expected:
    """Of whatever the step from `old` changes."""
    changed = {edge: since for edge, since in old.keys.items() if new.keys.get(edge, since) != since}
    generations = {edge: frozenset({since, new.keys[edge]}) for edge, since in changed.items()}
    return Expected(generations, (old.authority, new.authority) if new.authority != old.authority else ())


def after_step(old: KeyState, new: KeyState) -> Expected:
    """Of whatever the step from `old` changed."""
    changed = [edge for edge, to in new.keys.items() if old.keys.get(edge) != to]
    authorities = of_authority(new) if new.authority != old.authority else Expected()
    return Expected(of_keys(new, changed).generations, authorities.authorities)


def of_keys(state: KeyState, edges: Iterable[str]) -> Expected:
    return Expected({edge: frozenset({state.keys[edge]}) for edge in edges})


def of_authority(state: KeyState) -> Expected:
    return Expected(authorities=(state.authority,))


@dataclass(frozen=True, slots=True)
class HeldKey:
    """What a caller says of the key with which it calls along one edge."""

    edge: str
    generation: int
    trusts: frozenset[int] = frozenset()
    """Authorities by which it knows the callee; empty where those are not the fleet's."""
    signed_by: frozenset[int] = frozenset()
    """Of its client certificate."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one running Prometheus, and the gateway beside it, say of their keys."""

    held: Sequence[HeldKey] = ()
    """Several of one edge where parts of its key come in different ways."""
    accepted: Mapping[str, int] = field(default_factory=dict[str, int])
    """The generation of each edge that the gateway takes for current."""
    trusted: frozenset[str] = frozenset()
    """Authorities of client certificates, by name: each stack has its own; empty where no caller shows one."""
    shown: frozenset[str] = frozenset()
    """Authorities that signed what the gateway shows; empty where those are not the fleet's."""


Seen = Mapping[str, Mapping[str, Evidence] | str]
"""By cluster: evidence by pod, or why there is none."""


def concerned(plan: Plan, expected: Expected) -> tuple[Edge | Discovery, ...]:
    return tuple(
        each
        for each in plan.keyed
        if each.id in expected.generations or (expected.authorities and not isinstance(each, Discovery))
    )


def asked_clusters(plan: Plan, expected: Expected) -> tuple[str, ...]:
    """Both ends of each edge that is concerned; of a discovery the parent alone, for the other end is not ours."""
    ends = ((each.caller, *_callee(each)) for each in concerned(plan, expected))
    return tuple(dict.fromkeys(name for pair in ends for name in pair))


def _callee(edge: Edge | Discovery) -> tuple[str, ...]:
    return () if isinstance(edge, Discovery) else (edge.callee,)


def unconfirmed(plan: Plan, expected: Expected, seen: Seen) -> Iterator[str]:
    """For each cluster and edge what a running process still uses, or why that is not known."""
    told = dict[str, None]()
    for name in asked_clusters(plan, expected):
        pods = seen[name]
        if isinstance(pods, str):
            told[f"{name}: {pods}"] = None
            continue
        if not pods:
            told[f"{name}: no Prometheus is running"] = None
        for pod, evidence in pods.items():
            who = name if len(pods) == 1 else f"{name} ({pod})"
            told |= dict.fromkeys(f"{who} {what}" for what in _faults(plan, expected, name, evidence))
    yield from told


def _faults(plan: Plan, expected: Expected, name: str, evidence: Evidence) -> Iterator[str]:
    for edge in concerned(plan, expected):
        if edge.caller == name:
            yield from _caller_faults(edge, expected, [each for each in evidence.held if each.edge == edge.id])
        if name in _callee(edge):
            allowed = expected.generations.get(edge.id)
            accepted = evidence.accepted.get(edge.id)
            if accepted is None:
                yield f"does not say which generation of {edge.id} its gateway accepts"
            elif allowed is not None and accepted not in allowed:
                yield f"still accepts {edge.id} at generation {accepted}"
    if expected.authorities:
        yield from _gateway_faults(plan, expected, name, evidence)


def _caller_faults(edge: Edge | Discovery, expected: Expected, held: Sequence[HeldKey]) -> Iterator[str]:
    if len(held) < _ways(edge):
        yield f"does not say with which generation it calls along {edge.id}"
    allowed = expected.generations.get(edge.id)
    for each in held:
        if allowed is not None and each.generation not in allowed:
            yield f"still calls along {edge.id} with generation {each.generation}"
        if expected.authorities:
            if each.trusts and each.trusts not in _trusts(expected):
                yield f"still trusts {_numbers(sorted(each.trusts))} along {edge.id}"
            if each.signed_by and not each.signed_by <= _issuers(expected):
                yield f"still shows a certificate by {_numbers(sorted(each.signed_by))} along {edge.id}"


def _ways(edge: Edge | Discovery) -> int:
    """In how many ways its key reaches the caller: mounted files, and a password that the operator inlines."""
    if not isinstance(edge, OwnWriteEdge):
        return 1
    return edge.key.has_password + bool(tls_keys(edge))


def _gateway_faults(plan: Plan, expected: Expected, name: str, evidence: Evidence) -> Iterator[str]:
    called = [edge for edge in plan.edges if edge.callee == name]
    for stack in _signing(plan, [edge for edge in called if edge.key.has_certificate]):
        if (trusted := _of(stack, evidence.trusted)) not in _trusts(expected):
            yield f"still trusts {_numbers(sorted(trusted)) or 'nobody'} at its gateway{_from(plan, stack)}"
    for stack in _signing(plan, [edge for edge in called if edge.server is not None and edge.server.ca == FLEET]):
        shown = _of(stack, evidence.shown)
        if not shown:
            yield f"does not say who signed the certificate of its gateway{_from(plan, stack)}"
        elif not shown <= _issuers(expected):
            yield f"still shows a certificate by {_numbers(sorted(shown))} at its gateway{_from(plan, stack)}"


def _signing(plan: Plan, edges: Sequence[Edge]) -> Iterable[str | None]:
    """Stacks whose authorities sign for both ends of `edges`: those of their lower ends."""
    return dict.fromkeys(plan.stacks.get(edge.lower) for edge in edges)


def _of(stack: str | None, authorities: Iterable[str]) -> frozenset[int]:
    """Numbers of those that are of `stack`; of all where the plan does not know stacks."""
    numbered = ((authority_number(name), name) for name in authorities)
    return frozenset(
        number
        for number, name in numbered
        if number is not None and (stack is None or name == authority_name(stack, number))
    )


def _from(plan: Plan, stack: str | None) -> str:
    return f" (stack {stack})" if len(set(plan.stacks.values())) > 1 else ""


def _trusts(expected: Expected) -> set[frozenset[int]]:
    return {frozenset(each.trust) for each in expected.authorities}


def _issuers(expected: Expected) -> frozenset[int]:
    return frozenset(each.issue for each in expected.authorities)
