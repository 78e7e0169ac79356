"""`python -m fleet` as a user runs it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from processor import seconds_of_children
from typer.testing import CliRunner

from fleet.__main__ import app
from fleet.page.schema import SCHEMA, schema_text

ROOT = Path(__file__).parents[2]
LARGE = 300
HUB = {"tier": "global", "context": "hub"}


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fleet", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


def large_page() -> dict[str, object]:
    """300 clusters: ten regions with an aggregator each, one hub, and edges for the rest."""
    clusters: dict[str, object] = {"hub": HUB}
    for region in range(10):
        name = f"r{region}"
        clusters[name] = {"tier": "regional", "region": name, "context": name}
        for leaf in range(25):
            clusters[f"{name}-{leaf}"] = {"tier": "leaf", "region": name, "context": f"{name}-{leaf}"}
    for edge in range(LARGE - len(clusters)):
        clusters[f"edge-{edge}"] = {"tier": "edge", "context": f"edge-{edge}"}
    return _page(clusters)


def _page(clusters: Mapping[str, object]) -> dict[str, object]:
    return {"config": {"prometheus-fleet:fleet": {"clusters": clusters}}}


def test_check_shows_every_edge_with_its_budget_and_every_warning() -> None:
    done = run("check", "--stack", "dev")
    assert done.returncode == 0
    for words in ("eu-1", "cluster:*", "2913 of 4000", "remote write"):
        assert words in done.stdout
    assert done.stderr.startswith("warning: hub has no storage")


def test_check_shows_waves_where_there_are_several(tmp_path: Path) -> None:
    page = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(page))
    assert "wave" not in run("check", "--root", str(tmp_path)).stdout
    page["config"]["prometheus-fleet:fleet"]["clusters"]["hub"]["wave"] = 4
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(page))
    (line,) = [line for line in run("check", "--root", str(tmp_path)).stdout.splitlines() if "region:*" in line]
    assert "1 → 4" in line


def test_check_draws_the_fleet() -> None:
    drawn = run("check", "--root", "examples/single-region", "--stack", "example", "--format", "mermaid").stdout
    assert (
        drawn
        == """\
flowchart BT
  c0["hub<br/>global"]
  subgraph r1["region eu"]
    c1["eu<br/>regional"]
    c2["eu-1<br/>leaf"]
    c3["eu-2<br/>leaf"]
    c4["eu-3<br/>leaf"]
  end
  c2 -->|"1m, 2913 series"| c1
  c3 -->|"1m, 2913 series"| c1
  c1 -->|"2m, 11518 series"| c0
  c4 -.->|"30 metrics"| c0
  c1 -.->|"alerts"| c0
  c2 -.->|"alerts"| c0
  c3 -.->|"alerts"| c0
  c4 -.->|"alerts"| c0
"""
    )


def test_check_shows_what_may_be_discovered_in_the_table_and_the_drawing(tmp_path: Path) -> None:
    hub = {"tier": "global", "context": "hub", "discover": {"team-a": {"namespace": "shop"}}}
    page = {"clusters": {"hub": hub}, "tiers": {"global": {"storage": {"size": "1Gi"}}}}
    (tmp_path / "Pulumi.found.yaml").write_text(yaml.safe_dump({"config": {"prometheus-fleet:fleet": page}}))
    row = next(line for line in run("check", "--stack", "found", cwd=tmp_path).stdout.splitlines() if "team-a" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        *("team-a", "hub", "discovery"),
        *("cluster:*", "2m", "2913 of 4000"),
    ]
    assert (
        run("check", "--stack", "found", "--format", "mermaid", cwd=tmp_path).stdout
        == """\
flowchart BT
  c0["hub<br/>global"]
  c1[/"team-a<br/>discovered in shop"/]
  c1 -->|"2m, 2913 series"| c0
"""
    )


def test_check_shows_the_whole_fleet_of_a_parent_stack_and_of_a_child_its_part() -> None:
    shown = {
        stack: run("check", "--root", "examples/stack-per-region", "--stack", stack).stdout
        for stack in ("global", "us")
    }
    assert "8 clusters of 3 stacks, 13 edges" in shown["global"]
    assert "3 clusters, 6 edges" in shown["us"]
    assert "hub (stack global)" in shown["us"]
    assert "shop-1" not in shown["us"]


def test_explain_follows_a_metric_from_a_child_stack_to_the_top() -> None:
    done = run("explain", "--root", "examples/stack-per-region", "--stack", "us", "cluster:namespace_cpu:sum")
    assert "us → hub every 2m" in done.stdout


def test_check_says_why_something_else_is_federated() -> None:
    done = run("check", "--root", "examples/straight-to-global", "--stack", "example")
    assert '+ {__name__="kube_pod_info",namespace="payments"} of every leaf: the payments team follows' in done.stdout


def test_check_says_what_is_muted_and_what_is_no_longer(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.test.yaml").write_text("""
config:
  prometheus-fleet:fleet:
    clusters:
      hub: {tier: global, context: hub}
      eu: {tier: regional, region: eu, context: eu, maintenance: {until: 2999-12-01T06:00:00+02:00, reason: it moves}}
      eu-1: {tier: leaf, region: eu, context: eu-1, maintenance: {until: 2020-01-01T00:00:00Z, reason: it is mended}}
      eu-2: {tier: leaf, region: eu, context: eu-2, maintenance: {until: "2999-01-01T00:00:00Z", reason: it is new}}
""")
    done = run("check", "--root", str(tmp_path), "--stack", "test")
    assert "alerts of region eu are muted until 2999-12-01T04:00:00Z: it moves\n" in done.stdout
    assert "alerts of eu-2 are muted until 2999-01-01T00:00:00Z: it is new\n" in done.stdout
    ended = "warning: maintenance of eu-1 ended 2020-01-01T00:00:00Z: remove clusters.eu-1.maintenance\n"
    assert (done.returncode, ended in done.stderr, "eu-1 are muted" in done.stdout) == (0, True, False)


def test_a_mistake_ends_in_its_message_and_no_traceback(tmp_path: Path) -> None:
    done = run("check", "--stack", "nothing", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Pulumi.nothing.yaml: does not exist; stacks here: none\n"


def test_render_writes_what_it_says(tmp_path: Path) -> None:
    done = run("render", "--root", "examples/edges-only", "--stack", "example", "--out", str(tmp_path / "out"))
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert done.stdout == f"{len(files)} files in {tmp_path / 'out'}\n"
    assert tmp_path / "out" / "hub" / "values.yaml" in files


def test_render_removes_what_the_stack_no_longer_has_and_nothing_else(tmp_path: Path) -> None:
    def rendered(stack: str, *clusters: str) -> list[str]:
        page = {"clusters": {name: {"tier": "global", "context": name} for name in clusters}}
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": {"prometheus-fleet:fleet": page}}))
        assert run("render", "--stack", stack, "--out", ".", cwd=tmp_path).returncode == 0
        return sorted(str(path.parent.relative_to(tmp_path)) for path in tmp_path.glob("*/values.yaml"))

    (tmp_path / "by-hand").mkdir()
    (tmp_path / "by-hand" / "values.yaml").write_text("mine: true\n")
    assert rendered("one", "before") == ["before", "by-hand"]
    assert rendered("other", "elsewhere") == ["before", "by-hand", "elsewhere"]
    assert rendered("one", "after") == ["after", "by-hand", "elsewhere"]
    assert not (tmp_path / "before").exists()


def test_the_schema_in_the_repository_is_the_models() -> None:
    assert SCHEMA.read_text() == schema_text(), "python -m fleet schema"


def test_the_schema_completes_the_page_where_pulumi_has_it() -> None:
    schema = yaml.safe_load(schema_text())
    page = schema["properties"]["config"]["properties"]["prometheus-fleet:fleet"]
    assert {"clusters", "intervals", "tiers", "destinations"} <= set(page["properties"])
    assert "kubeconfigSecret" in schema["$defs"]["Cluster"]["properties"]


def test_check_loads_nothing_that_talks_to_clusters_or_to_grafana() -> None:
    heavy = "('grafana_foundation_sdk', 'httpx', 'kr8s', 'pulumi')"
    script = f"import sys, fleet.__main__; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_hundreds_of_clusters_are_checked_at_once(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.large.yaml").write_text(yaml.safe_dump(large_page()))
    (tmp_path / "Pulumi.small.yaml").write_text(yaml.safe_dump(_page({"hub": HUB})))

    def takes(stack: str, clusters: int) -> float:
        before = seconds_of_children()
        done = run("check", "--stack", stack, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"{clusters} cluster" in done.stdout
        return seconds_of_children() - before

    # The best of three, by what a start takes on this machine: what else runs on it only adds.
    assert min(takes("large", LARGE) for _ in range(3)) <= 3 * min(takes("small", 1) for _ in range(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explain", "cluster:namespace_cpu:smu"), "did you mean cluster:namespace_cpu:sum?"),
        (("try-match", "eu-9", "kube_pod_info"), "CLUSTER: there is no cluster 'eu-9'; did you mean eu-2?"),
        (("try-match", "shop-1", "kube_pod_info"), "CLUSTER: shop-1 is an edge: its agent answers no queries"),
        (("try-match", "eu-1", "sum(x)"), "MATCH: is no plain selector: /federate evaluates nothing"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_without_asking(
    arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("FLEET_CHART", raising=False)
    assert message in str(CliRunner().invoke(app, arguments).exception)


def test_adopting_a_cluster_that_is_not_there_names_the_nearest() -> None:
    done = run("adopt", "eu-11", "--stack", "dev")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "CLUSTER: there is no cluster 'eu-11'; did you mean eu-1?\n"
