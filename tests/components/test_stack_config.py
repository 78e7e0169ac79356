"""What the program says of a page before it deploys anything."""

from typing import cast

import pulumi
import pytest
import yaml
from test_program import ROOT

from components import read_plan
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
