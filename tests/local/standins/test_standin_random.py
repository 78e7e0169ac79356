"""RandomPassword: what it promises of its result, alone and through the engine."""

import asyncio

import bcrypt
import pulumi
import pulumi_random
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi_project import Project

from local.standins.properties import from_json, marshal
from local.standins.random import DEFAULTS, SPECIAL, RandomPassword, bcrypt_hash, password


@given(
    st.integers(8, 80),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
)
def test_a_password_has_its_length_and_enough_of_each_class(
    length: int, lower: int, upper: int, numeric: int, special: int
) -> None:
    least = {"minLower": lower, "minUpper": upper, "minNumeric": numeric, "minSpecial": special}
    made = password({**DEFAULTS, **least, "length": length})
    assert len(made) == length
    assert sum(letter.islower() for letter in made) >= lower
    assert sum(letter.isupper() for letter in made) >= upper
    assert sum(letter.isdigit() for letter in made) >= numeric
    assert sum(letter in SPECIAL for letter in made) >= special


def test_a_password_keeps_to_the_enabled_characters() -> None:
    assert set(password({**DEFAULTS, "length": 200, "special": False})).isdisjoint(SPECIAL)
    only = {"lower": False, "upper": False, "numeric": False, "overrideSpecial": "ab"}
    assert set(password({**DEFAULTS, **only, "length": 200})) == {"a", "b"}


def test_the_hash_is_of_the_first_72_bytes_at_cost_10() -> None:
    text = "x" * 72 + "beyond"
    hashed = bcrypt_hash(text).encode()
    assert hashed.startswith(b"$2b$10$")
    assert bcrypt.checkpw(b"x" * 72, hashed)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({}, "length is required"),
        ({"length": 0}, "at least 1"),
        ({"length": 2, "minLower": 3}, "minLower + minUpper"),
        ({"length": 9, "lower": False, "upper": False, "numeric": False, "special": False}, "must be true"),
        ({"length": 9, "upper": False, "minUpper": 1}, "minUpper needs its characters enabled"),
        ({"length": 9, "lenght": 1}, "no input 'lenght'"),
    ],
)
def test_impossible_inputs_are_refused(inputs: dict[str, int | bool], reason: str) -> None:
    news = marshal({key: from_json(value) for key, value in inputs.items()})
    answer = asyncio.run(RandomPassword().check(pb.CheckRequest(news=news)))
    assert any(reason in failure.reason for failure in answer.failures)


@pytest.mark.cluster
def test_a_password_is_secret_stable_and_replaced_on_any_change(project: Project) -> None:
    length = 20

    def program(_: pulumi.ResourceOptions) -> None:
        made = pulumi_random.RandomPassword("password", length=length, special=False, keepers={"for": "edge"})
        pulumi.export("result", made.result)
        pulumi.export("hash", made.bcrypt_hash)

    assert project.preview(program)["create"] == 3
    project.up(program)
    outputs = project.stack(program).outputs()
    first = outputs["result"]
    assert first.secret
    assert outputs["hash"].secret
    assert len(first.value) == 20
    assert bcrypt.checkpw(first.value.encode(), outputs["hash"].value.encode())
    assert project.state("password")["id"] == "none"
    assert first.value not in project.kept_text()
    assert project.up(program) == {"same": 3}
    assert project.refresh() == {"same": 3}
    assert project.stack(program).outputs()["hash"].value == outputs["hash"].value
    length = 24
    assert project.up(program) == {"same": 2, "replace": 1}
    assert len(project.stack(program).outputs()["result"].value) == 24
    project.destroy()


@pytest.mark.cluster
def test_other_random_resources_are_refused(project: Project) -> None:
    def program(_: pulumi.ResourceOptions) -> None:
        pulumi_random.RandomPet("pet")

    assert "does not know the resource type random:index/randomPet:RandomPet" in project.fails(program)
