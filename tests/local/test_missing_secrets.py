"""A Secret that the page names, on a real cluster: what `check --live` says of it, followed word for word."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from one_cluster import ROOT, STACK, Program, program

from fleet.names import PAGE_KEY
from local import golang
from local.chart_assembly import operator_crds

HOOK = "https://alerts.example.com/only-one-knows"

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Program]:
    """The page names a Secret of a cluster in which nothing is yet."""
    with program(tmp_path, operator_crds(golang.find(), ROOT / "local" / "tools" / "operator")) as made:
        page = made.folder / f"Pulumi.{STACK}.yaml"
        written = yaml.safe_load(page.read_text())
        written["config"][PAGE_KEY]["alerting"] = {"webhook": {"secret": "hook"}}
        page.write_text(yaml.safe_dump(written))
        (made.folder / "url").write_text(HOOK)
        yield made


def refused(made: Program) -> str:
    """Why `check --live` ends with an error; empty where it does not."""
    command = ["python", "-m", "fleet", "check", "--stack", STACK, "--live"]
    done = subprocess.run(command, cwd=made.folder, env=made.environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert HOOK not in done.stdout + done.stderr
    return done.stderr if done.returncode else ""


def follow(made: Program, message: str) -> None:
    """At a terminal pulumi would ask; here it is told."""
    lines = [line.strip() for line in message.splitlines() if line.startswith("    ")]
    script = "\n".join(lines).replace("pulumi up ", "pulumi up --yes --skip-preview ").replace("=FILE", "=url")
    made.run("bash", "-euo", "pipefail", "-c", script)


def test_what_is_said_of_a_missing_secret_brings_it_about_and_the_fleet_is_deployed(made: Program) -> None:
    first = refused(made)
    assert "clusters.hub: there is no namespace monitoring yet" in first
    assert "alerting.webhook.secret: Secret monitoring/hook of cluster hub is not there" in first
    follow(made, first)
    assert refused(made) == ""

    place = ["--namespace", "monitoring"]
    made.run("kubectl", "delete", "secret", "hook", *place)
    basic = "--type=kubernetes.io/basic-auth"
    made.run("kubectl", "create", "secret", "generic", "hook", *place, basic, "--from-file=username=url")
    other = refused(made)
    assert "has no key url: its keys are username" in other
    follow(made, other)
    assert refused(made) == ""
    hook = made.live("secret", "hook", *place)
    assert (hook["type"], {*hook["data"]}) == ("kubernetes.io/basic-auth", {"username", "url"})

    made.up()
    assert made.pulumi("preview", "--expect-no-changes")
