"""Which steps are safe, by their definition: whoever has taken a step gets on with whoever has not."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.compiler import compile_page
from fleet.evidence import pod_evidence
from fleet.page import read_page
from fleet.plan import Key, Plan
from fleet.prometheus import Series
from fleet.rotation import (
    AuthorityState,
    Evidence,
    Expected,
    HeldKey,
    KeyState,
    after_step,
    before_step,
    next_authority,
    of_authority,
    of_keys,
    planned_keys,
    recorded_keys,
    step_problems,
    unconfirmed,
)

AUTHORITY = AuthorityState(trust=(1,), issue=1)
GENERATIONS = st.integers(1, 6)
NUMBERS = st.lists(st.integers(1, 3), min_size=1, max_size=2, unique=True)


@st.composite
def authorities(draw: st.DrawFn) -> AuthorityState:
    trust = draw(NUMBERS)
    return AuthorityState(trust=tuple(sorted(trust)), issue=draw(st.sampled_from(trust)))


def of_generation(generation: int, authority: AuthorityState = AUTHORITY) -> KeyState:
    return KeyState(keys={"hub-federates-eu-1": generation}, authority=authority)


@given(GENERATIONS, GENERATIONS)
def test_a_step_is_allowed_where_each_end_accepts_the_other_before_and_after(old: int, new: int) -> None:
    gets_on = all(caller in Key("basic", callee).accepted for caller, callee in product((old, new), repeat=2))
    # And never back, where an earlier certificate would open it again.
    allowed = gets_on and new >= old
    assert (not [*step_problems(of_generation(old), of_generation(new))]) == allowed


@given(authorities(), authorities())
def test_an_authority_changes_where_each_end_believes_the_other_before_and_after(
    old: AuthorityState, new: AuthorityState
) -> None:
    gets_on = all(one.issue in other.trust for one, other in product((old, new), repeat=2))
    assert (not [*step_problems(of_generation(1, old), of_generation(1, new))]) == gets_on


@given(authorities(), authorities())
def test_every_authority_is_reached_by_allowed_steps(old: AuthorityState, goal: AuthorityState) -> None:
    steps = 0
    while old != goal:
        step = next_authority(old, goal)
        assert old.beside(step)
        assert len(step.trust) <= 2
        old, steps = step, steps + 1
        assert steps <= 3


def test_a_new_edge_begins_at_any_generation_and_one_that_goes_is_not_asked_about() -> None:
    old, new = KeyState(keys={"gone": 1}, authority=AUTHORITY), KeyState(keys={"new": 5}, authority=AUTHORITY)
    assert [*step_problems(old, new)] == []
    assert not before_step(old, new)


@pytest.mark.parametrize("outputs", [None, {}, {"fleet": {}}, {"fleet": {"keys": {}}}, {"fleet": "elided"}])
def test_a_stack_without_recorded_keys_has_no_old_state(outputs: object) -> None:
    assert recorded_keys(outputs) is None


def test_numbers_of_outputs_may_come_as_the_engine_has_them() -> None:
    outputs = {"fleet": {"keys": {"a": 2.0}, "authority": {"trust": [1.0, 2.0], "issue": 2.0}, "clusters": {}}}
    assert recorded_keys(outputs) == KeyState(keys={"a": 2}, authority=AuthorityState(trust=(1, 2), issue=2))


# What is confirmed


def plan_of(**page: object) -> Plan:
    located = {"host": "hub.example.com"}
    clusters = {
        "hub": {"tier": "global", "context": "hub", "gateway": located},
        "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
        "shop-1": {"tier": "edge", "context": "shop-1"},
    }
    return compile_page(read_page({"keys": {"auth": "both"}, "clusters": clusters, **page}, {}))


FEDERATES, WRITES, ALERTS = "hub-federates-eu-1", "shop-1-writes-hub", "eu-1-alerts-hub"
ONE, TWO = frozenset({1}), frozenset({2})


def named(numbers: frozenset[int]) -> frozenset[str]:
    return frozenset(f"authority {number} of dev" for number in numbers)


def said(generation: int = 1, trust: frozenset[int] = ONE, issue: frozenset[int] = ONE) -> dict[str, Evidence]:
    def held(edge: str) -> list[HeldKey]:
        return [HeldKey(edge, generation, trust, issue)]

    return {
        "hub": Evidence(held(FEDERATES), {WRITES: generation, ALERTS: generation}, named(trust), named(issue)),
        "eu-1": Evidence(held(ALERTS), {FEDERATES: generation}, named(trust), named(issue)),
        # The password comes by way of the configuration, the rest in files.
        "shop-1": Evidence([*held(WRITES), HeldKey(WRITES, generation)]),
    }


def faults(expected: Expected, told: dict[str, Evidence], plan: Plan | None = None) -> list[str]:
    return [*unconfirmed(plan or plan_of(), expected, {name: {"pod-0": each} for name, each in told.items()})]


def expected() -> Expected:
    state = planned_keys(plan_of())
    return Expected(of_keys(state, state.keys).generations, of_authority(state).authorities)


def test_a_step_asks_only_for_what_it_changes() -> None:
    two = KeyState(keys={"a": 1, "b": 1}, authority=AUTHORITY)
    assert after_step(two, KeyState(keys={"a": 2, "b": 1}, authority=AUTHORITY)) == of_keys(
        KeyState(keys={"a": 2}, authority=AUTHORITY), ["a"]
    )
    other = AuthorityState(trust=(1, 2), issue=1)
    changed = KeyState(keys=two.keys, authority=other)
    assert after_step(two, changed) == of_authority(changed)
    assert not after_step(two, two)


def test_nothing_is_lacking_where_every_process_has_said_so() -> None:
    assert faults(expected(), said()) == []


@pytest.mark.parametrize("cluster", ["hub", "eu-1", "shop-1"])
@pytest.mark.parametrize("lacking", ["generation", "trust", "issue"])
def test_one_process_that_is_behind_is_named(cluster: str, lacking: str) -> None:
    other = {"generation": said(generation=2), "trust": said(trust=TWO), "issue": said(issue=TWO)}[lacking]
    found = faults(expected(), {**said(), cluster: other[cluster]})
    assert found
    assert all(fault.startswith(f"{cluster} still ") for fault in found)


@pytest.mark.parametrize("cluster", ["hub", "eu-1", "shop-1"])
def test_silence_confirms_nothing(cluster: str) -> None:
    assert [fault for fault in faults(expected(), {**said(), cluster: Evidence()}) if fault.startswith(cluster)]


def test_one_of_two_ways_in_which_a_key_arrives_is_not_enough() -> None:
    told = said()
    found = faults(expected(), {**told, "shop-1": Evidence(told["shop-1"].held[:1])})
    assert found == [f"shop-1 does not say with which generation it calls along {WRITES}"]


def test_every_replica_counts_for_itself() -> None:
    told = {name: {"pod-0": each} for name, each in said().items()}
    told["eu-1"]["pod-1"] = said(generation=2)["eu-1"]
    assert [*unconfirmed(plan_of(), expected(), told)] == [
        f"eu-1 (pod-1) still accepts {FEDERATES} at generation 2",
        f"eu-1 (pod-1) still calls along {ALERTS} with generation 2",
    ]


@pytest.mark.parametrize(
    ("seen", "why"),
    [("cannot be asked: refused", "eu-1: cannot be asked: refused"), ({}, "eu-1: no Prometheus is running")],
)
def test_a_cluster_that_cannot_be_asked_is_named_with_the_reason(seen: dict[str, Evidence] | str, why: str) -> None:
    told = {name: {"pod-0": each} for name, each in said().items()}
    assert [*unconfirmed(plan_of(), expected(), {**told, "eu-1": seen})] == [why]


def test_what_does_not_change_is_not_asked_about() -> None:
    old, new = (
        planned_keys(plan_of()),
        planned_keys(plan_of(keys={"auth": "both", "edges": {WRITES: {"generation": 2}}})),
    )
    asked = before_step(old, new)
    assert asked == Expected({WRITES: frozenset({1, 2})})
    assert faults(asked, {**said(generation=2), "eu-1": Evidence()}) == []


def test_a_change_of_the_authority_asks_everybody() -> None:
    old = planned_keys(plan_of())
    asked = before_step(old, planned_keys(plan_of(authority={"trust": [1, 2], "issue": 1})))
    assert faults(asked, said(generation=9)) == []
    assert faults(asked, {**said(), "shop-1": said(trust=TWO)["shop-1"]}) == [f"shop-1 still trusts 2 along {WRITES}"]


def test_evidence_is_read_as_the_processes_tell_it() -> None:
    dropped: Sequence[dict[str, str]] = [
        {
            "__address__": FEDERATES,
            "job": "keys",
            "edge": FEDERATES,
            "generation": "2",
            "trusts": "1,2",
            "authority": "1",
        },
        {"__address__": WRITES, "job": "keys", "edge": WRITES, "generation": "1"},
    ]
    facts = [
        series("accepted_generation", 3, edge="a", caller="hub"),
        series("trusted_authority", 1, name="authority 1 of dev", fingerprint="sha256:0"),
        series("certificate_authority", 1, name="hub.prometheus-fleet.internal", issuer="authority 2 of dev"),
        series("certificate_authority", 1, name="hub.example.com", issuer="Somebody's authority 7"),
        series("certificate_expiry_timestamp_seconds", 1e9, name="hub.prometheus-fleet.internal"),
    ]
    assert pod_evidence(dropped, facts) == Evidence(
        [HeldKey(FEDERATES, 2, frozenset({1, 2}), ONE), HeldKey(WRITES, 1)], {"a": 3}, named(ONE), named(TWO)
    )


def test_an_authority_of_another_stack_is_not_the_one_of_the_same_number() -> None:
    """A sender of the stack below shows a certificate by its own stack's second authority, which nobody trusts yet."""
    plan = plan_of(authority={"trust": [1, 2], "issue": 1})
    plan = replace(plan, stacks={name: "top" if name == "hub" else "below" for name in plan.clusters})
    both, told = Expected(authorities=(planned_keys(plan).authority,)), said(trust=frozenset({1, 2}))

    def at_the_hub(*trusted: str) -> list[str]:
        hub = replace(told["hub"], trusted=frozenset(trusted), shown=frozenset({"authority 1 of below"}))
        found = faults(both, {**told, "hub": hub}, plan)
        return [fault for fault in found if fault.startswith("hub") and "at its gateway" in fault]

    below = ("authority 1 of below", "authority 2 of below")
    assert at_the_hub(*below, "authority 1 of top") == []
    assert at_the_hub(below[0], "authority 1 of top", "authority 2 of top") == [
        "hub still trusts 1 at its gateway (stack below)"
    ]


def series(metric: str, value: float, **labels: str) -> Series:
    return Series(metric={"__name__": f"prometheus_fleet_{metric}", **labels}, value=(0, value))
