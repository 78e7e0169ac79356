"""The workflows themselves: what they may do, what they run, and by which versions."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

import ci.__main__ as steps
from local import toolchain

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github").rglob("*.yml"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RENOVATE = json.loads((ROOT / "renovate.json").read_text())


def load(path: Path) -> Mapping[Any, Any]:
    return yaml.safe_load(path.read_text())


def jobs(path: Path) -> Mapping[str, Any]:
    return load(path)["jobs"]


def all_steps(path: Path) -> Iterator[Mapping[str, Any]]:
    document = load(path)
    for job in document.get("jobs", {}).values():
        yield from job["steps"]
    yield from document.get("runs", {}).get("steps", [])


def test_actionlint_has_nothing_to_say() -> None:
    done = subprocess.run(["actionlint", "-no-color"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_actionlint_sees_the_workflows(tmp_path: Path) -> None:
    """It says nothing of a folder without any."""
    broken = WORKFLOWS[0].read_text().replace("runs-on:", "run-on:")
    assert broken != WORKFLOWS[0].read_text()
    (tmp_path / "broken.yml").write_text(broken)
    done = subprocess.run(["actionlint", "broken.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit_and_says_its_version(path: Path) -> None:
    used = [line.strip() for line in path.read_text().splitlines() if re.match(r"\s*(- )?uses:", line)]
    for line in used:
        assert re.search(r"uses: (\./|[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)", line), line


def test_one_action_has_one_version() -> None:
    found: dict[str, set[str]] = {}
    for path in FILES:
        for name, version in re.findall(r"uses: ([\w-]+/[\w-]+)@(.+)", path.read_text()):
            found.setdefault(name, set()).add(version)
    assert [name for name, versions in found.items() if len(versions) > 1] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_a_job_says_what_more_it_needs(path: Path) -> None:
    assert load(path)["permissions"] == {"contents": "read"}
    needed = {
        ("preview", "preview"): {"id-token", "pull-requests"},
        ("deploy", "deploy"): {"id-token"},
        ("drift", "drift"): {"id-token", "issues"},
    }
    for name, job in jobs(path).items():
        writes = {what for what, how in job.get("permissions", {}).items() if how == "write"}
        assert writes == needed.get((path.stem, name), set())


def test_a_forks_code_never_runs_beside_a_secret() -> None:
    for path in WORKFLOWS:
        # YAML reads `on` as true.
        triggers = load(path)[True]
        assert "pull_request_target" not in triggers
        assert "workflow_run" not in triggers
        if "pull_request" not in triggers:
            continue
        for name, job in jobs(path).items():
            ours = "github.event.pull_request.head.repo.full_name == github.repository" in job.get("if", "")
            told = {*re.findall(r"secrets\.\w+", json.dumps(job)), *job.get("environment", "").split()}
            assert ours or not told, f"{path.name}: {name}"


def test_a_deployment_waits_for_its_environment_and_is_never_cancelled() -> None:
    deploy = jobs(ROOT / ".github" / "workflows" / "deploy.yml")["deploy"]
    assert deploy["environment"] == "${{ matrix.stack }}"
    assert deploy["concurrency"]["cancel-in-progress"] is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_others_may_name_reaches_a_shell_as_a_variable_only(path: Path) -> None:
    for step in all_steps(path):
        shell = step.get("run", "")
        assert "${{" not in shell or shell == "${{ matrix.command }}", shell


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_checkout_leaves_the_token_on_disk(path: Path) -> None:
    for step in all_steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_what_the_steps_run_is_there() -> None:
    """With the options that they give it."""
    commands: Any = get_command(steps.app)
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shells = [step["run"] for path in FILES for step in all_steps(path) if "run" in step]
    shells += [each["command"] for each in jobs(WORKFLOWS[0])["test"]["strategy"]["matrix"]["include"]]
    called = [re.findall(r"python -m ci (\w+)(.*)", shell) for shell in shells]
    assert {name for found in called for name, _ in found} == set(commands.commands)
    for name, rest in (each for found in called for each in found):
        known = {option for each in commands.commands[name].params for option in each.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= known
    made = {target for shell in shells for target in re.findall(r"\bmake (\w[\w-]*)", shell)}
    assert made <= {*phony.split()}


def versions_told() -> Iterator[tuple[Path, str]]:
    for path in (ROOT / "fleet" / "versions.py", *FILES):
        for match in re.finditer(r"# renovate:.*\n.*\n", path.read_text()):
            yield path, match[0]


def test_renovate_finds_every_version_that_says_where_it_comes_from() -> None:
    (pattern,) = RENOVATE["customManagers"][0]["matchStrings"]
    found = {
        match["depName"]: match["currentValue"]
        for _, text in versions_told()
        if (match := re.search(pattern.replace("(?<", "(?P<"), text)) is not None
    }
    from fleet import versions  # noqa: PLC0415 (beside what is expected of it)

    assert found == {
        "ghcr.io/prometheus-community/charts/kube-prometheus-stack": versions.CHART,
        "docker.io/library/caddy": versions.CADDY_IMAGE.partition(":")[2],
        "docker.io/library/busybox": versions.BUSYBOX,
        "quay.io/thanos/thanos": versions.THANOS_IMAGE.partition(":")[2],
        "pulumi/pulumi": re.search(r"pulumi==(\S+)\"", (ROOT / "pyproject.toml").read_text())[1],  # type: ignore[index] (it is there)
        "helm/helm": toolchain.version("helm"),
    }
    assert len([*versions_told()]) == len(found)


def test_renovate_looks_where_the_versions_are() -> None:
    plain, expression = RENOVATE["customManagers"][0]["managerFilePatterns"]
    for path, _ in versions_told():
        name = str(path.relative_to(ROOT))
        assert name == plain or re.search(expression.strip("/"), name)


def test_renovate_knows_the_module_of_every_tool() -> None:
    (tools,) = [rule for rule in RENOVATE["packageRules"] if rule.get("groupName") == "tools"]
    builds = (*toolchain.FLEET, *toolchain.PULUMI, *toolchain.JUDGES)
    modules = {build.module for build in builds if build.version}
    assert sorted(modules) == tools["matchPackageNames"]
