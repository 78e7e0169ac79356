"""`python -m fleet preview` as a reviewer's CI runs it: what it answers, and what it leaves behind."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from processor import seconds_of_children
from pull_requests import EDITS, PAGE, STACK, Repository, edited, repository
from typer.testing import CliRunner

from fleet.__main__ import app
from fleet.review import preview as previewing
from fleet.review.policies import Judgement, judgement
from fleet.review.report import LIMIT
from fleet.review.sides import Side, head_side
from local.bench import clusters

ROOT = Path(__file__).parents[3]
UNCOMMITTED = "with what is not committed yet"


def run(root: Path, *arguments: str, code: Path = ROOT, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "fleet", "preview", "--root", str(root), "--out", str(root / "out"), *arguments],
        cwd=code,
        env={**os.environ, "PYTHONPATH": str(code), "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pack is a process of its own, which takes longer than the rest; the kept reports are with it."""

    async def nothing(stack: str, side: Side) -> Judgement:
        del stack, side
        return Judgement()

    monkeypatch.setattr(previewing, "judgement", nothing)


@pytest.fixture
def opened(tmp_path: Path, unjudged: None) -> Repository:
    """Without its chart, which few of these look at."""
    del unjudged
    return repository(tmp_path / "fleet", {})


def test_a_report_and_all_of_it_are_written_and_the_answer_says_where(opened: Repository) -> None:
    opened.write(edited(EDITS["rotated-key"]))
    done = run(opened.root, "--stack", STACK)
    assert (done.returncode, done.stderr) == (0, "")
    out = opened.root / "out"
    assert done.stdout == f"stack dev: 2 of 5 clusters change: {out}/dev.md, and all of it in dev.details.md\n"
    assert sorted(path.name for path in out.iterdir()) == ["dev.details.md", "dev.md"]


def test_what_is_refused_is_written_and_ends_with_two(opened: Repository) -> None:
    opened.write(edited(EDITS["password-in-clear"]))
    done = run(opened.root, "--stack", STACK)
    assert (done.returncode, done.stderr) == (2, "")
    assert "**Refused:** the page has a problem." in (opened.root / "out" / "dev.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--stack", "nothing"), "Pulumi.nothing.yaml: does not exist; stacks here: dev\n"),
        (("--base", "nowhere"), "--base: git knows no commit 'nowhere' here\n\n    git fetch origin nowhere\n\n"),
        (("--base=--all",), "--base: git knows no commit '--all' here\n\n    git fetch origin --all\n\n"),
    ],
)
def test_what_cannot_be_compared_ends_in_its_message(arguments: tuple[str, ...], said: str, opened: Repository) -> None:
    done = run(opened.root, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_where_there_is_no_report_there_is_no_earlier_one_either(opened: Repository) -> None:
    assert run(opened.root, "--stack", STACK).returncode == 0
    assert run(opened.root, "--stack", STACK, "--base", "nowhere").returncode == 1
    assert [*(opened.root / "out").iterdir()] == []


def test_a_folder_in_no_repository_ends_in_its_message(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{tmp_path}: is in no git repository, so there is nothing to compare with\n"


def test_a_folder_that_cannot_be_written_ends_in_its_message(opened: Repository) -> None:
    (opened.root / "out").write_text("a file")
    done = run(opened.root)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("--out: cannot be written: ")


def test_what_is_equal_is_said_to_be(opened: Repository) -> None:
    found = opened.preview()
    assert found.headline == "stack dev: nothing changes"
    assert "Unchanged: `hub`, `eu`, `eu-1`, `eu-2`, `shop-1`." in found.summary
    assert UNCOMMITTED not in found.summary


def test_committed_or_not_the_work_tree_is_what_is_judged(opened: Repository) -> None:
    opened.write(edited(EDITS["rotated-key"]))
    told = opened.preview().summary
    opened.git("switch", "--quiet", "--create", "change")
    opened.commit()
    without_commits = re.compile(r"^`main` at .*$", re.MULTILINE)
    assert UNCOMMITTED in told
    assert without_commits.sub("", told) == without_commits.sub("", opened.preview().summary)


def test_what_the_base_has_taken_in_since_is_no_change_of_the_pull_request(opened: Repository) -> None:
    opened.git("branch", "change")
    opened.write(edited(EDITS["removed-leaf"]))
    opened.commit()
    opened.git("switch", "--quiet", "change")
    assert opened.preview("main").headline == "stack dev: nothing changes"


def test_a_new_stack_is_new_as_a_whole(opened: Repository) -> None:
    opened.write(PAGE, "other")
    found = opened.preview(stack="other")
    assert found.headline == "stack other: 5 of 5 clusters change"
    assert "| `hub` | global |  | new |" in found.summary


def test_a_page_that_goes_is_refused(opened: Repository) -> None:
    opened.write(PAGE, "other")
    opened.write(None)
    found = opened.preview()
    assert found.is_refused
    assert "`Pulumi.dev.yaml`: does not exist; stacks here: other" in found.summary


@pytest.mark.usefixtures("unjudged")
def test_a_base_that_is_broken_is_told_and_its_mending_not_refused(tmp_path: Path) -> None:
    broken = repository(tmp_path / "fleet", {}, edited(EDITS["opened-port"]))
    broken.write(PAGE)
    found = broken.preview()
    assert not found.is_refused
    assert found.headline == "stack dev: nothing to compare with"
    assert "## Problems of the base\n\n- `clusters.eu-1.values.prometheus.service.type`" in found.summary


def test_a_chart_that_cannot_be_had_is_said_and_its_values_are_compared(opened: Repository) -> None:
    opened.write(edited(EDITS["kept-metrics"]))
    found = opened.preview()
    assert "> What the chart makes is not compared, only its values: there is no chart in ./chart" in found.summary
    assert "- `shop-1`: queue `hub` begins anew at this moment: `writeRelabelConfigs`" in found.summary
    assert not found.is_refused


@pytest.mark.usefixtures("unjudged")
def test_values_that_the_chart_refuses_are_refused(chart: Path, tmp_path: Path) -> None:
    opened = repository(tmp_path / "fleet", {"chart": chart})

    def with_tls(page: dict[str, object]) -> None:
        page["values"] = {"prometheusOperator": {"admissionWebhooks": {"enabled": False}, "tls": {"enabled": True}}}

    opened.write(edited(with_tls))
    found = opened.preview()
    assert "**Refused:** the chart refuses the values of 5 clusters." in found.summary
    assert (
        "- `hub`, `eu`, `eu-1`, `eu-2`, `shop-1`: `execution error at (kube-prometheus-stack/templates/refuse.yaml:"
        in found.summary
    )


@pytest.mark.usefixtures("unjudged")
def test_a_chart_whose_contents_change_is_another_chart(chart: Path, tmp_path: Path) -> None:
    opened = repository(tmp_path / "fleet", {"chart": chart})
    (opened.root / "chart" / "templates" / "more.yaml").write_text("{kind: Gone, apiVersion: v1, metadata: {name: a}}")
    found = opened.preview()
    assert "| `shop-1` | edge |  | chart `88.5.3+small`, other contents, objects | +1 |" in found.summary
    assert not found.is_refused


def test_policies_judge_what_would_be_deployed_as_they_judge_a_state(tmp_path: Path) -> None:
    """Of stack prod, whose settings ask for pairs: one replica alone is what the engine would refuse as well."""
    page = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())["config"]["prometheus-fleet:fleet"]
    opened = repository(tmp_path / "fleet", {}, page, "prod")
    page["clusters"]["eu-1"]["replicas"] = 1
    opened.write(page, "prod")
    found = opened.preview(stack="prod")
    assert "**Refused:** a mandatory policy is violated." in found.summary
    told = found.summary.partition("## Policies\n\n")[2].partition("\n\n##")[0]
    assert told == (
        "New:\n\n- [high-availability](docs/policies.md#high-availability) (mandatory, medium), `eu-1-release`: "
        "values.prometheus.prometheusSpec.replicas: one Prometheus is one that may be missing; set \\`replicas: 2\\`"
    )


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_stacks_of_this_repository_pass_the_policies_with_nothing_left_unjudged(stack: str) -> None:
    found = asyncio.run(judgement(stack, head_side(stack, ROOT)))
    assert (found.violations, found.unjudged, found.failure) == ((), (), None)


def test_a_description_is_all_that_another_version_needs(opened: Repository) -> None:
    done = CliRunner().invoke(app, ["describe", "--stack", STACK, "--root", str(opened.root)])
    assert done.exit_code == 0
    said = yaml.safe_load(done.stdout)
    assert {*said["clusters"]} == {*PAGE["clusters"]}
    assert {*said["edges"]} >= {"hub-federates-eu", "shop-1-writes-hub"}


# The base's own code


@pytest.fixture
def with_code(tmp_path: Path) -> Repository:
    """The page in one repository with the program, as it is where people run it."""
    folders = ("fleet", "rules", "policies")
    made = repository(tmp_path / "whole", {name: ROOT / name for name in folders})
    for name in ("uv.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, made.root / name)
    made.commit()
    return made


def test_a_change_of_the_program_alone_is_a_change_of_what_it_deploys(with_code: Repository) -> None:
    file = with_code.root / "fleet" / "values.py"
    changed = file.read_text().replace(
        "_QUERY_TIMEOUT, _FLUSH_DEADLINE = 120, 60", "_QUERY_TIMEOUT, _FLUSH_DEADLINE = 180, 60"
    )
    assert changed != file.read_text()
    file.write_text(changed)
    done = run(with_code.root, "--stack", STACK, code=with_code.root)
    assert done.returncode == 0, done.stderr
    told = (with_code.root / "out" / "dev.md").read_text()
    assert "5 of 5 clusters change" in done.stdout
    assert "-    terminationGracePeriodSeconds: 120\n+    terminationGracePeriodSeconds: 180\n" in told
    assert "Beside the page 1 files differ: `fleet/values.py`." in told
    assert "`terminationGracePeriodSeconds`; nothing is scraped until it is back" in told


def test_a_base_older_than_the_command_is_said_to_be(with_code: Repository) -> None:
    main = with_code.root / "fleet" / "__main__.py"
    today = main.read_text()
    main.write_text(today.replace("@app.command()\ndef describe(", "def describe("))
    with_code.commit()
    main.write_text(today)
    done = run(with_code.root, "--stack", STACK, code=with_code.root)
    told = (with_code.root / "out" / "dev.md").read_text()
    assert (done.returncode, done.stderr) == (0, "")
    assert "`--base`: the program of main cannot say what it deploys: it is older than \\`fleet preview\\`" in told


# What is left behind


SLOW = """#!/bin/sh
touch {pids}/$$
exec sleep 600
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_leaves_nothing_behind(by: signal.Signals, chart: Path, tmp_path: Path) -> None:
    opened = repository(tmp_path / "fleet", {"chart": chart})
    opened.write(edited(EDITS["more-memory"]))
    before = opened.git("status", "--porcelain")
    tools, temporary, pids = tmp_path / "tools", tmp_path / "tmp", tmp_path / "pids"
    for folder in (tools, temporary, pids):
        folder.mkdir()
    (tools / "helm").write_text(SLOW.format(pids=pids))
    (tools / "helm").chmod(0o755)
    running = subprocess.Popen(
        [sys.executable, "-m", "fleet", "preview", "--root", str(opened.root), "--out", str(opened.root / "out")],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not any(pids.iterdir()):
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert any(temporary.iterdir())
        running.send_signal(by)
        out, err = running.communicate(timeout=60)
    finally:
        running.kill()
    assert (running.returncode, out, err) == (1, "", "preview: stopped; nothing was written\n")
    assert [*temporary.iterdir()] == []
    assert [*(opened.root / "out").iterdir()] == []
    assert opened.git("status", "--porcelain") == before
    assert opened.git("worktree", "list").count("\n") == 1
    assert [each.name for each in pids.iterdir() if _is_running(int(each.name))] == []


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    # One that has ended and that nobody has asked yet.
    return state != "Z"


# Large fleets


def large(**more: object) -> dict[str, object]:
    return {**PAGE, "clusters": clusters(60), **more}


@pytest.mark.usefixtures("unjudged")
@pytest.mark.parametrize("change", ["every value", "every cluster is new", "every key", "every budget"])
def test_sixty_clusters_fit_a_comment_with_the_summary_first(change: str, tmp_path: Path) -> None:
    opened = repository(tmp_path / "fleet", {}, large())
    stack = "other" if change == "every cluster is new" else STACK
    pages = {
        "every value": large(intervals={"scrape": "45s"}, tiers={"leaf": {"retention": "6h"}}, keep=["sales_total"]),
        "every cluster is new": large(),
        "every key": large(keys={"generation": 2, "auth": "both"}, authority={"trust": [1, 2], "issue": 1}),
        "every budget": large(tiers={"leaf": {"budget": 5000}}, federate=[LONG_MATCH], keep=["sales_total"]),
    }
    opened.write(pages[change], stack)
    found = opened.preview(stack=stack)
    assert len(found.summary.encode()) <= LIMIT
    assert found.headline.endswith("60 of 60 clusters change")
    order = [found.summary.find(f"\n## {title}\n") for title in ("Look at this first", "Clusters", "Edges")]
    assert order == sorted(order)
    # Nothing is lost: what a summary leaves out says where it is.
    assert "Shortened here, whole in `" in found.summary
    for name in clusters(60):
        assert f"`{name}`" in found.details


LONG_MATCH = {
    "match": '{__name__="kube_pod_info",namespace=~"' + "|".join(f"team-{number}" for number in range(200)) + '"}',
    "reason": "as long as one may be",
    "series": 1,
}


def test_one_line_of_sixty_clusters_is_told_within_the_time_that_a_reviewer_waits(
    chart: Path, with_code: Repository
) -> None:
    """In processor time, which what else runs on the machine adds nothing to: wall time is less on two processors."""
    page = large()
    shutil.copytree(chart, with_code.root / "chart")
    with_code.write(page)
    with_code.commit()
    with_code.write(edited(lambda of: of["clusters"]["leaf-3"].update(retention="6h"), page))
    before = seconds_of_children()
    done = run(with_code.root, "--stack", STACK, code=with_code.root)
    used = seconds_of_children() - before
    assert done.stdout.startswith("stack dev: 1 of 60 clusters changes: "), done.stderr
    assert "#### Prometheus\n" in (with_code.root / "out" / "dev.md").read_text()
    assert used <= 20
