"""What the program says of a page before it deploys anything."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import pulumi
import pytest
import yaml
from test_program import ROOT

from components import read_plan, stack_config
from components.stack_config import UnreadableError, last_outputs
from fleet.budgets import budget_summary


class Dev:
    """The config of stack dev."""

    def get_object(self, _: str) -> object:
        return yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]["prometheus-fleet:fleet"]


@pytest.mark.parametrize("preview", [True, False])
def test_warnings_are_said_always_and_budgets_in_the_preview_alone(
    monkeypatch: pytest.MonkeyPatch, *, preview: bool
) -> None:
    said: dict[str, list[str]] = {"info": [], "warn": []}
    for level, kept in said.items():
        monkeypatch.setattr(pulumi.log, level, kept.append)
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: preview)
    plan = read_plan(cast("pulumi.Config", Dev()))
    assert said["warn"] == [*plan.warnings]
    assert said["info"] == [budget_summary(plan)] * preview


class Engine:
    """Fails with `errors`, one after the other, and then answers."""

    def __init__(self, *errors: str) -> None:
        self.errors = [*errors]

    def invoke(self, _token: str, _arguments: object) -> SimpleNamespace:
        if self.errors:
            raise ValueError(self.errors.pop(0))
        return SimpleNamespace(value={"outputs": {"fleet": {}}})


EOF = "invocation of readStackOutputs returned an error: failed to load checkpoint: EOF"


@pytest.mark.parametrize(
    ("errors", "found"), [((EOF, EOF), {"fleet": {}}), ((EOF,) * 9, None), (("unknown stack", EOF), None)]
)
def test_a_stack_that_is_being_written_is_read_again_and_any_other_error_is_told(
    monkeypatch: pytest.MonkeyPatch, errors: tuple[str, ...], found: object
) -> None:
    monkeypatch.setattr(pulumi.runtime, "invoke", Engine(*errors).invoke)
    monkeypatch.setattr(stack_config, "full_name", lambda stack: stack)
    with nullcontext() if found is not None else pytest.raises(UnreadableError, match=errors[0]):
        assert last_outputs("dev") == found
