"""`python -m fleet rotate` against a fleet that is told by its states alone; a real one is in tests/e2e."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
import yaml
from typer.testing import CliRunner

import fleet.rotate
from fleet.__main__ import app
from fleet.compiler import compile_fleet
from fleet.errors import FleetError
from fleet.page import read_fleet
from fleet.plan import Plan
from fleet.rotate import Rotation
from fleet.rotation import AuthorityState, Expected, KeyState, planned_keys, step_problems

PAGE = """\
# What a team wrote about its fleet.
config:
  prometheus-fleet:fleet:
    keys:
      auth: both # by two of them
    clusters:
      hub: {tier: global, context: hub, gateway: {host: hub.example.com}}
      # The only leaf.
      eu-1: {tier: leaf, region: eu, context: eu-1}
      shop-1: {tier: edge, context: shop-1}
encryptionsalt: v1:abc
"""
EDGES = ("hub-federates-eu-1", "shop-1-writes-hub", "eu-1-alerts-hub")
BEGINNING = KeyState(keys=dict.fromkeys(EDGES, 1), authority=AuthorityState(trust=(1,), issue=1))


class Stopped(BaseException):
    """As a user stops a command: at any moment."""


class World:
    """A stack whose outputs and clusters follow its updates, the clusters a little later."""

    def __init__(self) -> None:
        self.deployed = self.running = BEGINNING
        self.ups: list[KeyState] = []
        self.moments = 0
        self.stops_at: int | None = None
        self.said: list[str] = []

    def moment(self) -> None:
        self.moments += 1
        if self.moments == self.stops_at:
            raise Stopped

    def stack_keys(self, _stack: str) -> KeyState | None:
        return self.deployed

    async def live_evidence(self, _plan: Plan, expected: Expected) -> list[str]:
        self.moment()
        behind = [
            f"x still at {edge}" for edge, at in self.running.keys.items() if not self._is_expected(edge, at, expected)
        ]
        if expected.authorities and self.running.authority not in expected.authorities:
            behind.append("x still trusts another")
        self.running = self.deployed
        return behind

    def _is_expected(self, edge: str, generation: int, expected: Expected) -> bool:
        return edge not in expected.generations or generation in expected.generations[edge]

    def run_to_its_end(self, command: Sequence[str]) -> int:
        assert list(command[:2]) == ["pulumi", "up"]
        self.moment()
        page = asked()
        # What the gate in the program would see.
        assert [*step_problems(self.deployed, page)] == []
        assert any(self.running == each for each in (self.deployed, page))
        # Clusters have it, and Pulumi is killed before it writes that down.
        self.running = page
        self.moment()
        self.deployed = page
        self.ups.append(page)
        return 0

    def rotation(self) -> Rotation:
        return Rotation("dev", is_asked=False, say=self.said.append)


def asked() -> KeyState:
    return planned_keys(compile_fleet(read_fleet("dev", Path())))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    (tmp_path / "Pulumi.dev.yaml").write_text(PAGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fleet.rotate, "_POLL_SECONDS", 0)
    world = World()
    for name in ("stack_keys", "live_evidence", "run_to_its_end"):
        monkeypatch.setattr(fleet.rotate, name, getattr(world, name))
    return world


def state(generation: int, trust: tuple[int, ...] = (1,), issue: int = 1) -> KeyState:
    return KeyState(keys=dict.fromkeys(EDGES, generation), authority=AuthorityState(trust=trust, issue=issue))


def test_every_update_of_a_rotation_has_to_pass_the_policy_packs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def up(command: Sequence[str]) -> int:
        commands.append([*command])
        return world.run_to_its_end(command)

    monkeypatch.setattr(fleet.rotate, "run_to_its_end", up)
    packs = ["--policy-pack", "policies", "--policy-pack", "our/own"]
    done = CliRunner().invoke(app, ["rotate", "--stack", "dev", "--yes", *packs, "keys", "--revoke"])
    assert done.exit_code == 0, done.output
    assert len(commands) == 2
    for command in commands:
        assert [each for each in command if "policy" in each] == ["--policy-pack=policies", "--policy-pack=our/own"]


def test_keys_go_one_generation_on(world: World) -> None:
    world.rotation().keys([], revoke=False)
    assert world.ups == [state(2)]
    assert world.running == world.deployed == asked() == state(2)


def test_to_revoke_goes_two_generations_on_each_confirmed_before_the_next(world: World) -> None:
    world.rotation().keys([], revoke=True)
    assert world.ups == [state(2), state(3)]
    assert world.running == state(3)


def test_an_authority_is_trusted_then_issues_then_replaces_the_old_one(world: World) -> None:
    world.rotation().authority()
    assert world.ups == [state(1, (1, 2), 1), state(1, (1, 2), 2), state(1, (2,), 2)]
    assert world.running == state(1, (2,), 2)


def test_one_edge_rotates_alone(world: World) -> None:
    world.rotation().keys([EDGES[1]], revoke=False)
    assert world.running.keys == {**dict.fromkeys(EDGES, 1), EDGES[1]: 2}


def test_an_edge_with_a_generation_of_its_own_rotates_with_all(world: World) -> None:
    world.rotation().keys([EDGES[1]], revoke=False)
    world.rotation().keys([], revoke=False)
    assert world.running.keys == {**dict.fromkeys(EDGES, 2), EDGES[1]: 3}


def test_the_rest_of_the_page_stays_as_it_was_written(world: World) -> None:
    world.rotation().keys([], revoke=False)
    assert Path("Pulumi.dev.yaml").read_text() == PAGE.replace(
        "      auth: both # by two of them\n", "      auth: both # by two of them\n      generation: 2\n"
    )


def test_a_begun_walk_through_authorities_is_finished_and_counts_for_no_key(world: World) -> None:
    Path("Pulumi.dev.yaml").write_text(PAGE.replace("    clusters:", "    authority: {trust: [1, 2]}\n    clusters:"))
    world.rotation().keys([], revoke=False)
    assert world.ups == [state(1, (1, 2)), state(2, (1, 2))]


def test_a_begun_rotation_of_keys_is_finished_and_counts_for_no_authority(world: World) -> None:
    Path("Pulumi.dev.yaml").write_text(PAGE.replace("auth: both", "generation: 2"))
    world.rotation().authority()
    assert world.running == state(2, (2,), 2)


MOMENTS = range(1, 25)


def stopped_and_continued(world: World, command: Callable[[Rotation], None], moment: int, goal: KeyState) -> None:
    world.stops_at = moment
    try:
        command(world.rotation())
    except Stopped:
        if not world.running == world.deployed == asked() == goal:
            command(world.rotation())


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_rotation_of_keys_that_was_stopped_anywhere_goes_on_and_not_further(world: World, moment: int) -> None:
    stopped_and_continued(world, lambda rotation: rotation.keys([], revoke=False), moment, state(2))
    assert world.running == world.deployed == asked() == state(2)


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_was_held_before_is_refused_also_after_a_revocation_that_was_stopped(world: World, moment: int) -> None:
    stopped_and_continued(world, lambda rotation: rotation.keys([], revoke=True), moment, state(3))
    assert world.running == world.deployed == asked()
    assert 3 <= world.running.keys[EDGES[0]] <= 5
    assert world.running == state(world.running.keys[EDGES[0]])


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_walk_through_authorities_that_was_stopped_anywhere_goes_on_and_not_further(
    world: World, moment: int
) -> None:
    goal = state(1, (2,), 2)
    stopped_and_continued(world, lambda rotation: rotation.authority(), moment, goal)
    assert world.running == world.deployed == asked() == goal


def refusal(command: Callable[[], None]) -> str:
    with pytest.raises(FleetError) as error:
        command()
    return str(error.value)


def test_an_edge_that_is_none_is_refused_with_the_one_that_may_be_meant(world: World) -> None:
    said = refusal(lambda: world.rotation().keys(["hub-federates-eu1"], revoke=False))
    assert said == "--edge hub-federates-eu1: the fleet has no edge of this name; did you mean hub-federates-eu-1?"
    assert world.ups == []


def test_a_password_that_somebody_brings_is_not_theirs_to_rotate(world: World) -> None:
    brought = PAGE.replace("auth: both", f"edges: {{{EDGES[1]}: {{password: {{config: mine}}}}}}")
    Path("Pulumi.dev.yaml").write_text(brought)
    world.deployed = world.running = asked()
    said = refusal(lambda: world.rotation().keys([EDGES[1]], revoke=False))
    assert said == f"--edge {EDGES[1]}: its password is your own and has no generations (keys.edges, password)"
    world.rotation().keys([], revoke=True)
    assert world.running.keys == {EDGES[0]: 3, EDGES[2]: 3}


def test_a_page_too_far_ahead_is_refused_as_the_program_would(world: World) -> None:
    Path("Pulumi.dev.yaml").write_text(PAGE.replace("auth: both", "generation: 3"))
    assert "keys.generation: generation 1 is deployed" in refusal(lambda: world.rotation().keys([], revoke=False))
    assert world.ups == []


def test_a_stack_that_knows_no_generations_is_told_to_be_deployed_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet.rotate, "stack_keys", lambda _: None)
    said = refusal(world.rotation().authority)
    assert said.endswith("first `pulumi up --stack dev`")


def test_a_declined_update_ends_the_rotation_and_leaves_the_page_to_go_on_from(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet.rotate, "run_to_its_end", lambda _: 255)
    assert "the same command goes on from here" in refusal(lambda: world.rotation().keys([], revoke=False))
    assert asked() == state(2)


def test_what_is_never_confirmed_is_named_once_patience_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(_plan: Plan, _expected: Expected) -> list[str]:
        return ["hub: cannot be asked: gone"]

    monkeypatch.setattr(fleet.rotate, "live_evidence", silent)
    monkeypatch.setattr(fleet.rotate, "PATIENCE", fleet.rotate.PATIENCE * 0)
    said = refusal(lambda: world.rotation().keys([], revoke=False))
    assert said == "hub: cannot be asked: gone: not confirmed within 0s; the same command goes on from here"


def test_a_fleet_in_several_stacks_is_told_what_to_run_by_hand(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(fleet.rotate, "run_to_its_end", never)
    page = yaml.safe_load(PAGE)
    clusters = page["config"]["prometheus-fleet:fleet"]["clusters"]
    below = {"parentStack": "dev", "clusters": {"shop-1": clusters.pop("shop-1")}}
    page["config"]["prometheus-fleet:fleet"]["childStacks"] = ["shops"]
    Path("Pulumi.dev.yaml").write_text(yaml.safe_dump(page))
    Path("Pulumi.shops.yaml").write_text(yaml.safe_dump({"config": {"prometheus-fleet:fleet": below}}))
    said = refusal(world.rotation().authority)
    assert "`pulumi up` of each stack of childStacks, then of dev" in said


@pytest.mark.parametrize("what", ["keys", "authority"])
def test_without_pulumi_the_command_says_so_and_changes_no_page(tmp_path: Path, what: str) -> None:
    page = tmp_path / "Pulumi.dev.yaml"
    page.write_text(PAGE)
    done = subprocess.run(
        [sys.executable, "-m", "fleet", "rotate", "--yes", what],
        cwd=tmp_path,
        env={"PATH": str(tmp_path), "PYTHONPATH": str(Path(fleet.rotate.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("pulumi: is not on PATH")
    assert page.read_text() == PAGE
