"""What an update with clusters out of reach is told, and what is made of its end. Pulumi is a script here."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fleet import up
from fleet.absence import Absence, absence
from fleet.plan import ClusterPlan, Plan
from fleet.prometheus import Unreachable
from fleet.up import DONE, FAILED, PARTIAL, Update

PULUMI = """#!/bin/bash
env > "$0.$1.env"
echo "$@" >> "$0.calls"
[ "$1 $2" = "stack export" ] && cat "$0.state" && exit
while [ "$1" ] && [ "$1" != --event-log ]; do shift; done
cp "$0.events" "$2"
exit "$(cat "$0.status")"
"""


def failed(name: str, cluster: str, message: str = "no") -> list[Mapping[str, Any]]:
    """Events of an operation that failed, as the engine writes them."""
    urn = f"urn:pulumi:dev::prometheus-fleet::kubernetes:core/v1:Secret::{name}"
    provider = f"urn:pulumi:dev::prometheus-fleet::pulumi:providers:kubernetes::{cluster}::0123" if cluster else ""
    return [
        said(message, urn),
        {"sequence": 2, "resOpFailedEvent": {"metadata": {"op": "update", "urn": urn, "provider": provider}}},
        said("update failed"),
    ]


def said(message: str, urn: str = "urn:pulumi:dev::prometheus-fleet::pulumi:pulumi:Stack::x") -> Mapping[str, Any]:
    return {"sequence": 1, "diagnosticEvent": {"urn": urn, "severity": "error", "message": f"{message}\n"}}


UNREACHABLE = "configured Kubernetes cluster is unreachable: unable to load schema"


@dataclass
class Run:
    plan: Plan
    pulumi: Path
    patch: pytest.MonkeyPatch
    out_of_reach: set[str] = field(default_factory=set[str])
    lines: list[str] = field(default_factory=list[str])

    def __call__(
        self, events: Sequence[Mapping[str, Any]] = (), status: int = 0, lost: set[str] | None = None, **options: Any
    ) -> int:
        """`lost` are clusters that go while the update runs."""
        reachable = iter([self.out_of_reach, self.out_of_reach | (lost or set())])

        async def connected(cluster: ClusterPlan, _: object) -> object:
            return Unreachable("timed out") if cluster.name in asked else object()

        asked: set[str] = set()
        ask = Update._unreachable  # noqa: SLF001 (between its two calls, clusters go)

        def before_each(update: Update, names: Sequence[str]) -> Mapping[str, str]:
            asked.clear()
            asked.update(next(reachable))
            return ask(update, names)

        self.patch.setattr(up, "connected", connected)
        self.patch.setattr(Update, "_unreachable", before_each)
        self.pulumi.with_suffix(".events").write_text("".join(f"{json.dumps(each)}\n" for each in events))
        self.pulumi.with_suffix(".status").write_text(str(status))
        return Update(self.plan, "dev", is_asked=False, say=self.lines.append, **options).run()

    @property
    def environment(self) -> Mapping[str, str]:
        text = self.pulumi.with_suffix(".up.env").read_text()
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.fixture
def run(dev: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(PULUMI)
    pulumi.chmod(0o755)
    namespaces = [
        {"urn": f"urn:pulumi:dev::p::kubernetes:core/v1:Namespace::{name}-namespace"} for name in ("eu-1", "hub")
    ]
    pulumi.with_suffix(".state").write_text(json.dumps({"version": 3, "deployment": {"resources": namespaces}}))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_K8S_DELETE_UNREACHABLE", "true")
    return Run(dev, pulumi, monkeypatch)


def test_where_all_can_be_reached_it_is_pulumi_up(run: Run) -> None:
    assert run(policy_packs=(Path("policies"),)) == DONE
    assert run.lines == []
    (call,) = run.pulumi.with_suffix(".calls").read_text().splitlines()
    assert call.startswith("up --continue-on-error --suppress-outputs --stack dev --policy-pack=policies --yes")
    assert run.environment["PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"] == "false"


def test_what_cannot_be_reached_is_never_forgotten_whatever_the_shell_says(run: Run) -> None:
    run.out_of_reach = {"eu-1"}
    run()
    assert run.environment["PULUMI_K8S_DELETE_UNREACHABLE"] == "false"
    assert run.environment["PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"] == "true"


def test_the_program_is_told_who_stays_and_who_is_left_out(run: Run) -> None:
    run.out_of_reach = {"eu-1", "eu-2"}
    assert run() == PARTIAL
    assert absence(run.environment) == Absence(frozenset({"eu-1"}), frozenset({"eu-2"}))
    assert run.lines == [
        "eu-1 cannot be reached, it stays as it is: timed out",
        "eu-2 cannot be reached, it is left out until it can be reached: timed out",
        "eu-1: not reached (timed out); nothing of it left the state",
        "eu-2: not reached (timed out); nothing of it is deployed yet",
        "3 of 5 clusters updated; run this again once the others can be reached",
    ]


@pytest.mark.parametrize(
    ("events", "code"),
    [
        (failed("a", "eu-1"), PARTIAL),
        (failed("a", "hub"), FAILED),
        (failed("a", ""), FAILED),
        ([*failed("a", "eu-1"), *failed("b", "hub")], FAILED),
        ([*failed("a", "eu-1"), said("Program failed with an unhandled exception")], FAILED),
        ([*failed("a", "eu-1"), {"sequence": 1, "policyEvent": {"enforcementLevel": "mandatory"}}], FAILED),
        ([*failed("a", "eu-1"), {"sequence": 1, "policyEvent": {"enforcementLevel": "advisory"}}], PARTIAL),
        ([], FAILED),
    ],
)
def test_only_what_failed_for_want_of_a_cluster_is_partial(
    run: Run, events: Sequence[Mapping[str, Any]], code: int
) -> None:
    run.out_of_reach = {"eu-1"}
    assert run(events, status=255) == code


def test_a_cluster_that_goes_while_the_update_runs_is_partial_as_well(run: Run) -> None:
    assert run(failed("a", "eu-2"), status=255, lost={"eu-2"}) == PARTIAL
    assert run.lines[0] == "eu-2: not reached (timed out); nothing of it left the state"


@pytest.mark.parametrize(("message", "code"), [(UNREACHABLE, PARTIAL), ("forbidden", FAILED)])
def test_a_cluster_that_is_no_longer_on_the_page_is_judged_by_what_pulumi_says(
    run: Run, message: str, code: int
) -> None:
    assert run(failed("a", "old-1", message), status=255) == code


def test_an_update_that_was_declined_is_no_success(run: Run) -> None:
    assert run(status=1) == FAILED


def test_nobody_is_absent_unless_it_is_said() -> None:
    assert absence({}) == absence(Absence().environment) == Absence()


def test_a_fleet_without_a_cluster_is_without_its_edges(dev: Plan) -> None:
    rest = dev.without({"eu-2"})
    assert set(rest.clusters) == set(dev.clusters) - {"eu-2"}
    assert {edge.id for edge in dev.edges} - {edge.id for edge in rest.edges} == {
        edge.id for edge in dev.edges if "eu-2" in (edge.lower, edge.upper)
    }
