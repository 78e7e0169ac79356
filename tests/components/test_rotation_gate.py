"""What the program refuses of a change of keys, before it makes anything. Which steps are allowed: tests/fleet."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
from test_program import Recorder, run_program

import fleet.evidence
from fleet.evidence import Clients
from fleet.plan import Plan
from fleet.rotation import Evidence, HeldKey, Seen

EDGES = ("hub-federates-eu-1", "shop-1-writes-hub", "eu-1-alerts-hub")


class Fleet:
    """A hub, a leaf and an edge whose processes say what the test lets them say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.generation = 1
        self.authority: Mapping[str, Any] = {"trust": [1], "issue": 1}
        self.asked: list[str] = []
        self.recorder = Recorder()

    async def evidence(self, _plan: Plan, clients: Clients) -> Seen:
        self.asked = [*clients]
        trust, issue = frozenset(self.authority["trust"]), frozenset({self.authority["issue"]})
        held = [HeldKey(edge, self.generation, trust, issue) for edge in EDGES for _ in range(2)]
        trusted, shown = (frozenset(f"authority {each} of dev" for each in numbers) for numbers in (trust, issue))
        said = Evidence(held, dict.fromkeys(EDGES, self.generation), trusted, shown)
        return {name: {"prometheus-0": said} for name in clients}

    def run(self, *, preview: bool = False, deployed: bool = True, **page: Any) -> str | None:
        """What the program was refused with, having made nothing; None where it made all."""
        clusters = {"hub": {"tier": "global"}, "eu-1": {"tier": "leaf", "region": "eu"}, "shop-1": {"tier": "edge"}}
        # The hub's own gateway is dialled by name, and its keys have both parts.
        located = {name: {**each, "context": name} for name, each in clusters.items()}
        located["hub"]["gateway"] = {"host": "hub.example.com"}
        self.recorder = Recorder()
        if deployed:
            self.recorder.last_outputs = {
                "fleet": {"keys": dict.fromkeys(EDGES, 1), "authority": {"trust": [1], "issue": 1}}
            }
        pages = {"clusters": located, "keys": {"auth": "both"}, **page}
        try:
            run_program(pages, recorder=self.recorder, preview=preview)
        except pulumi.RunError as error:
            assert self.recorder.resources == {}
            return str(error)
        assert self.recorder.releases()
        return None


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    (tmp_path / "kubeconfig").write_text("kubeconfig of all")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("FLEET_CHART", raising=False)
    fleet_of_three = Fleet(tmp_path)
    monkeypatch.setattr(fleet.evidence, "evidence", fleet_of_three.evidence)
    return fleet_of_three


def test_an_update_that_changes_no_key_asks_nobody(program: Fleet) -> None:
    assert program.run() is None
    assert program.asked == []


def test_a_first_update_has_nothing_to_confirm(program: Fleet) -> None:
    assert program.run(deployed=False, keys={"auth": "both", "generation": 7}) is None
    assert program.asked == []


@pytest.mark.parametrize("preview", [True, False])
def test_a_step_of_two_generations_is_refused_with_the_one_to_take(program: Fleet, preview: bool) -> None:  # noqa: FBT001 (what differs)
    assert program.run(preview=preview, keys={"auth": "both", "generation": 3}) == (
        "prometheus-fleet:fleet\n"
        "keys.generation: generation 1 is deployed, and gateways accept 1 to 2; the step to take now is\n"
        "\n    keys:\n      generation: 2\n"
    )
    assert program.asked == []


def test_a_step_of_one_edge_names_that_edge(program: Fleet) -> None:
    said = program.run(keys={"auth": "both", "edges": {EDGES[1]: {"generation": 3}}})
    assert said is not None
    assert f"keys.edges.{EDGES[1]}.generation: generation 1 is deployed" in said
    assert said.endswith(f"    keys:\n      edges:\n        {EDGES[1]}:\n          generation: 2\n")


@pytest.mark.parametrize("preview", [True, False])
def test_an_authority_that_nobody_trusts_yet_does_not_sign(program: Fleet, preview: bool) -> None:  # noqa: FBT001 (likewise)
    said = program.run(preview=preview, authority={"trust": [1, 2], "issue": 2})
    assert said is not None
    assert said.endswith("\n\n    authority: {trust: [1, 2], issue: 1}\n")


def test_an_authority_whose_certificates_are_shown_is_not_distrusted(program: Fleet) -> None:
    said = program.run(authority={"trust": [2], "issue": 2})
    assert said is not None
    assert said.endswith("\n\n    authority: {trust: [1, 2], issue: 1}\n")


@pytest.mark.parametrize(
    "page", [{"keys": {"auth": "both", "generation": 2}}, {"authority": {"trust": [1, 2], "issue": 1}}]
)
def test_a_step_is_taken_once_both_ends_of_every_edge_have_confirmed_the_last_one(
    program: Fleet, page: dict[str, Any]
) -> None:
    assert program.run(**page) is None
    assert set(program.asked) == {"hub", "eu-1", "shop-1"}


def test_a_step_of_one_edge_asks_its_two_ends_alone(program: Fleet) -> None:
    assert program.run(keys={"auth": "both", "edges": {EDGES[1]: {"generation": 2}}}) is None
    assert set(program.asked) == {"hub", "shop-1"}


def behind(program: Fleet) -> None:
    program.generation = 3


def with_another_authority(program: Fleet) -> None:
    program.authority = {"trust": [3], "issue": 3}


NEXT_GENERATION = {"keys": {"auth": "both", "generation": 2}}
TRUST_BOTH = {"authority": {"trust": [1, 2]}}


@pytest.mark.parametrize(
    ("state", "page", "said"),
    [
        (behind, NEXT_GENERATION, "- shop-1 still calls along shop-1-writes-hub with generation 3"),
        (behind, NEXT_GENERATION, "- hub still accepts shop-1-writes-hub at generation 3"),
        (with_another_authority, TRUST_BOTH, "- eu-1 still trusts 3 at its gateway"),
        (with_another_authority, TRUST_BOTH, "- hub still shows a certificate by 3 at its gateway"),
    ],
)
def test_a_step_too_early_is_refused_by_an_update_and_not_by_a_preview(
    program: Fleet, state: Callable[[Fleet], None], page: dict[str, Any], said: str
) -> None:
    state(program)
    assert program.run(preview=True, **page) is None
    assert program.asked == []
    refusal = program.run(**page)
    assert refusal is not None
    assert refusal.startswith("keys do not change yet: not every running process has confirmed")
    assert said in refusal.splitlines()


def test_what_an_interrupted_step_has_begun_does_not_hold_it_back(program: Fleet) -> None:
    program.generation = 2
    assert program.run(keys={"auth": "both", "generation": 2}) is None
    assert program.asked
