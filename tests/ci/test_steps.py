"""The steps of the workflows, as a job of GitHub Actions runs them, with GitHub on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from loopback import PERSON, TOKEN, Repository, github
from typer.testing import CliRunner, Result

import ci.__main__ as steps
from ci.github import MOST_CHARACTERS
from ci.job import annotation
from ci.stacks import deployed_stacks
from fleet.drift import ClusterDrift, FieldDrift, ObjectDrift
from fleet.drift.drift import What
from fleet.errors import FleetError
from fleet.plan import Plan
from fleet.up import Update

ROOT = Path(__file__).parents[2]


@dataclass
class Actions:
    """A job of a pull request."""

    repository: Repository
    folder: Path

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(steps.app, arguments)

    def succeeds(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    def wrote(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    @property
    def comments(self) -> list[str]:
        return [each["body"] for each in self.repository.comments.get(7, [])]

    @property
    def issues(self) -> list[tuple[str, str]]:
        return [(each["title"], each["state"]) for each in self.repository.issues]


@pytest.fixture
def actions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Actions]:
    event = {"action": "synchronize", "number": 7, "pull_request": {"number": 7, "head": {"ref": "more"}}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    monkeypatch.chdir(ROOT)
    with github() as repository:
        for name, value in {
            "GITHUB_API_URL": repository.url,
            "GITHUB_REPOSITORY": repository.name,
            "GITHUB_RUN_ID": "42",
            "GITHUB_TOKEN": TOKEN,
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "GITHUB_ENV": str(tmp_path / "env"),
            "RUNNER_TEMP": str(tmp_path),
        }.items():
            monkeypatch.setenv(name, value)
        yield Actions(repository, tmp_path)


def test_the_stacks_are_those_with_a_page_but_for_the_local_one(actions: Actions) -> None:
    actions.succeeds("stacks", "--without", "dev")
    assert actions.wrote("output") == 'stacks=["prod"]\n'


def test_a_stack_below_is_deployed_before_the_one_above() -> None:
    assert deployed_stacks(ROOT / "examples" / "stack-per-region", []) == ["eu", "us", "global"]
    assert deployed_stacks(ROOT / "examples" / "stack-per-region", [], only="us") == ["us"]
    with pytest.raises(FleetError, match="stack uk: there is no such stack"):
        deployed_stacks(ROOT / "examples" / "stack-per-region", [], only="uk")


def test_a_kubeconfig_lies_where_only_the_job_reads_it(actions: Actions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_KUBECONFIG", "")
    assert actions.succeeds("kubeconfig") == ""
    assert actions.wrote("env") == ""
    monkeypatch.setenv("FLEET_KUBECONFIG", "apiVersion: v1\nusers: []\n")
    assert actions.succeeds("kubeconfig") == ""
    path = actions.folder / "kubeconfig"
    assert actions.wrote("env") == f"KUBECONFIG={path}\n"
    assert path.read_text() == "apiVersion: v1\nusers: []\n"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def previewed(actions: Actions) -> str:
    path = actions.folder / "prod.md"
    path.write_text("# prod\n\nOne cluster changes.\n")
    return str(path)


def test_a_report_is_one_comment_however_often_it_is_made(actions: Actions, previewed: str) -> None:
    # On the third page, after what people said; one of them has quoted the mark.
    quoted = {"id": 5, "user": PERSON, "body": "<!-- prometheus-fleet: preview of prod -->\nlook at this"}
    actions.repository.comments[7] = [{"id": number, "user": PERSON, "body": "hm"} for number in range(1, 5)] + [quoted]
    step = ("comment", "--stack", "prod", "--report", previewed, "--outcome")
    actions.succeeds(*step, "success")
    actions.succeeds(*step, "failure")
    assert actions.repository.writes == ["POST issues/7/comments", "PATCH issues/comments/105"]
    assert actions.comments[4] == quoted["body"]
    (ours,) = actions.comments[5:]
    assert ours == (
        "<!-- prometheus-fleet: preview of prod -->\n# prod\n\nOne cluster changes.\n\n"
        "**`pulumi preview` with the policy pack: failed** ([log](https://github.com/acme/fleet/actions/runs/42)).\n"
    )


def test_each_stack_has_a_comment_of_its_own_and_an_unchanged_one_is_left_alone(
    actions: Actions, previewed: str
) -> None:
    for stack in ("eu", "us", "eu"):
        actions.succeeds("comment", "--stack", stack, "--report", previewed)
    assert actions.repository.writes == ["POST issues/7/comments"] * 2


def test_a_report_that_is_too_long_for_a_comment_ends_with_where_the_rest_is(actions: Actions, previewed: str) -> None:
    Path(previewed).write_text("one line of many, ä\n" * 5_000)
    actions.succeeds("comment", "--stack", "prod", "--report", previewed)
    (body,) = actions.comments
    assert MOST_CHARACTERS - 100 < len(body) <= MOST_CHARACTERS
    assert body.endswith(
        "many, ä\n\nThe rest is on [the page of the run](https://github.com/acme/fleet/actions/runs/42).\n"
    )


def test_what_github_refuses_is_told_in_its_words_and_without_the_token(actions: Actions, previewed: str) -> None:
    actions.repository.refused = "/comments"
    command = [sys.executable, "-m", "ci", "comment", "--stack", "prod", "--report", previewed]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "GitHub answers 403" in done.stderr
    assert "Resource not accessible by integration" in done.stderr
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stderr + done.stdout


CLEAN = [ClusterDrift("hub", compared=2)]
CHANGED = ObjectDrift("Secret", "monitoring", "x", What.CHANGED, "kubectl", (FieldDrift("data.a", "was changed"),))
DRIFTED = [ClusterDrift("hub", (CHANGED,), compared=2)]
SILENT = [*CLEAN, ClusterDrift("eu-1", error="API server of eu-1: timed out")]


def drift(actions: Actions, monkeypatch: pytest.MonkeyPatch, found: list[ClusterDrift]) -> Result:
    async def live_drift(_plan: Plan, stack: str) -> list[ClusterDrift]:
        assert stack == "prod"
        return found

    monkeypatch.setattr(steps, "live_drift", live_drift)
    return actions.run("drift", "--stack", "prod")


def test_drift_has_one_issue_that_is_closed_when_it_is_gone(actions: Actions, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"number": 1, "state": "open", "user": PERSON, "labels": ["drift"], "body": "drift of prod", "title": "a"}
    actions.repository.issues.append(other)
    for found in (CLEAN, DRIFTED, DRIFTED, SILENT):
        drift(actions, monkeypatch, found)
    assert actions.issues == [("a", "open"), ("Drift of stack prod", "open")]
    assert "eu-1: timed out" in actions.repository.issues[1]["body"]
    drift(actions, monkeypatch, CLEAN)
    assert actions.issues == [("a", "open"), ("Drift of stack prod", "closed")]
    (last,) = actions.repository.comments.popitem()[1]
    assert last["body"] == "[This run](https://github.com/acme/fleet/actions/runs/42) has found no drift."
    drift(actions, monkeypatch, DRIFTED)
    assert actions.issues[2:] == [("Drift of stack prod", "open")]


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        (CLEAN, 0, "prod: no drift\n"),
        (DRIFTED, 0, "prod: drift, issue #100\n"),
        (SILENT, 1, "prod: not all could be compared, issue #100\n"),
    ],
)
def test_drift_that_has_an_issue_fails_no_run_and_what_is_not_known_does(
    actions: Actions, monkeypatch: pytest.MonkeyPatch, found: list[ClusterDrift], code: int, said: str
) -> None:
    done = drift(actions, monkeypatch, found)
    assert (done.exit_code, done.output) == (code, said)
    assert actions.wrote("summary").startswith("## Drift of prod\n\n2 objects of 1 clusters compared, ")


@pytest.mark.parametrize(
    ("code", "headline", "level"),
    [(0, "deployed", None), (3, "deployed in part", "warning"), (1, "failed", "error")],
)
def test_a_deployment_says_on_the_runs_page_how_far_it_came(
    actions: Actions, monkeypatch: pytest.MonkeyPatch, code: int, headline: str, level: str | None
) -> None:
    def run(update: Update) -> int:
        assert (update.stack, update.is_asked, update.policy_packs) == ("prod", False, (Path("policies"),))
        update.say("eu-1: not reached (100%)")
        return code

    monkeypatch.setattr(Update, "run", run)
    done = actions.run("deploy", "--stack", "prod")
    assert done.exit_code == code
    assert actions.wrote("summary") == f"### prod: {headline}\n\n    eu-1: not reached (100%)\n\n"
    escaped = f"::{level} title=prod%3A {headline}::eu-1: not reached (100%25)\n" if level else ""
    assert done.output == f"eu-1: not reached (100%)\n{escaped}"


def test_a_line_cannot_be_another_command_of_the_log() -> None:
    assert "\n" not in annotation("error", "a", "b\n::set-output name=x::y")


def test_a_step_that_is_run_elsewhere_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_OUTPUT", raising=False)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GITHUB_")}
    done = subprocess.run(
        [sys.executable, "-m", "ci", "stacks"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "GITHUB_OUTPUT: is not in the environment, where GitHub Actions puts it\n"


def test_the_pages_of_this_repository_are_what_the_workflows_deploy() -> None:
    pages = {path.name for path in ROOT.glob("Pulumi.*.yaml") if "config" in yaml.safe_load(path.read_text())}
    assert {f"Pulumi.{name}.yaml" for name in deployed_stacks(ROOT, [])} == pages
