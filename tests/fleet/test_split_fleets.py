"""Fleets whose page is spread over several stacks: the same fleet, in parts that know of each other."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fleets import Page, fleets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.compiler import compile_fleet, compile_page
from fleet.errors import FleetError, Problem
from fleet.outputs import fleet_output
from fleet.page import read_fleet, read_page, whole_fleet
from fleet.plan import Plan
from fleet.render import render
from fleet.topology import mermaid

Pages = dict[str, Page]

PAGES: Pages = {
    "global": {
        "childStacks": ["eu", "us"],
        "clusters": {"hub": {"tier": "global", "context": "hub", "gateway": {"host": "hub.example.com"}}},
    },
    "eu": {
        "parentStack": "global",
        "clusters": {
            "eu": {"tier": "regional", "region": "eu", "context": "eu"},
            "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
            "shop-1": {"tier": "edge", "context": "shop-1"},
        },
    },
    "us": {
        "parentStack": "global",
        "clusters": {"us-1": {"tier": "leaf", "region": "us", "context": "us-1"}},
    },
}


def write(pages: Pages, folder: Path) -> None:
    for stack, page in pages.items():
        text = json.dumps({"config": {"prometheus-fleet:fleet": page}})  # YAML as well, and written at once
        (folder / f"Pulumi.{stack}.yaml").write_text(text)


def planned(stack: str, folder: Path) -> Plan:
    return compile_fleet(read_fleet(stack, folder, {}))


def problems(stack: str, folder: Path) -> tuple[Problem, ...]:
    try:
        planned(stack, folder)
    except FleetError as error:
        return error.problems
    return ()


def changed(*path: str, value: object) -> Pages:
    """`PAGES` with another value there; without that key where it is None."""
    pages: Any = copy.deepcopy(PAGES)
    node = pages
    for key in path[:-1]:
        node = node.setdefault(key, {})
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return pages


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(fleets(), st.data())
def test_a_fleet_in_parts_has_the_edges_of_the_whole(tmp_path: Path, page: Page, data: st.DataObject) -> None:
    page["clusters"]["hub"]["gateway"] = {"type": "Host", "host": "hub.example.com"}
    for cluster in page["clusters"].values():
        # What waits for what is each stack's own affair, and may be refused once others' clusters are not there.
        cluster.pop("wave", None)
    page.pop("waves", None)
    # Regions go to one stack or the other as a whole; the rest, and now and then a whole region, stays at the top.
    home = {
        region: data.draw(st.sampled_from(["top", "left", "right"]))
        for region in sorted({str(each.get("region")) for each in page["clusters"].values()})
    }
    parts: Pages = {"top": {**page, "clusters": {}}, "left": {"clusters": {}}, "right": {"clusters": {}}}
    for name, cluster in page["clusters"].items():
        stack = "top" if name == "hub" else home[str(cluster.get("region"))]
        parts[stack]["clusters"][name] = cluster
    below = [stack for stack in ("left", "right") if parts[stack]["clusters"]]
    pages = {"top": parts["top"], **{stack: {**parts[stack], "parentStack": "top"} for stack in below}}
    if below:
        pages["top"]["childStacks"] = below
    write(pages, tmp_path)

    in_order = {name: cluster for part in parts.values() for name, cluster in part["clusters"].items()}
    stacks = {name: stack for stack, part in parts.items() for name in part["clusters"]}
    whole = compile_page(read_page({**page, "clusters": in_order}, {}), stacks=stacks)
    plans = {stack: planned(stack, tmp_path).part(stack) for stack in pages}
    for plan in plans.values():
        assert {edge.id: edge for edge in plan.edges}.items() <= {edge.id: edge for edge in whole.edges}.items()
    assert {edge.id for plan in plans.values() for edge in plan.edges} == {edge.id for edge in whole.edges}
    deployed = [name for plan in plans.values() for name in plan.clusters]
    assert sorted(deployed) == sorted(whole.clusters)
    assert {name: each for plan in plans.values() for name, each in plan.clusters.items()} == whole.clusters
    # Each edge is one stack's to answer for, and every end of an edge is known to both.
    answered = [edge["child"] for plan in plans.values() for edge in described(plan)]
    assert sorted(answered) == sorted(edge.child for edge in whole.federation)
    for plan in plans.values():
        assert all(plan.cluster(edge.lower) and plan.cluster(edge.upper) for edge in plan.edges)
        assert not plan.clusters.keys() & plan.outside.keys()
    if len(whole.clusters) < 30:
        rendered = {path: text for plan in plans.values() for path, text in render(plan).items()}
        assert rendered == render(whole)


def described(plan: Plan) -> list[Any]:
    output: Any = fleet_output(plan, {})
    return output["federation"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(PAGES, tmp_path)
    return tmp_path


def test_a_part_tells_its_clusters_from_those_of_other_stacks(folder: Path) -> None:
    parts = {stack: planned(stack, folder).part(stack) for stack in PAGES}
    assert {stack: list(plan.clusters) for stack, plan in parts.items()} == {
        "global": ["hub"],
        "eu": ["eu", "eu-1", "shop-1"],
        "us": ["us-1"],
    }
    assert all(plan.everywhere.keys() == {"hub", "eu", "eu-1", "shop-1", "us-1"} for plan in parts.values())


def test_every_stack_sees_the_same_fleet(folder: Path) -> None:
    assert planned("global", folder) == planned("eu", folder) == planned("us", folder)


def test_an_edge_between_stacks_is_the_upper_ones_to_answer_for(folder: Path) -> None:
    children = {stack: [edge["child"] for edge in described(planned(stack, folder).part(stack))] for stack in PAGES}
    assert children == {"global": ["us-1", "eu"], "eu": ["eu-1"], "us": []}


def test_the_drawing_of_a_part_says_which_stack_has_the_far_end(folder: Path) -> None:
    drawn = mermaid(planned("us", folder).part("us"))
    assert '["hub (stack global)<br/>global"]' in drawn
    assert "shop-1" not in drawn


def test_settings_of_the_parent_hold_for_every_stack(folder: Path) -> None:
    write(changed("global", "tiers", value={"leaf": {"retention": "3d"}}), folder)
    assert {plan.retention for plan in planned("eu", folder).clusters.values() if plan.tier == "leaf"} == {
        plan.retention for plan in planned("us", folder).clusters.values() if plan.name == "us-1"
    }
    assert planned("eu", folder).clusters["eu-1"].retention == planned("global", folder).clusters["us-1"].retention


def test_the_page_that_is_deployed_goes_before_its_file(folder: Path) -> None:
    """Pulumi may have been told another page than the file's, as by `--config-file`."""
    page = copy.deepcopy(PAGES["us"])
    page["clusters"]["us-2"] = {"tier": "leaf", "region": "us", "context": "us-2"}
    fleet = whole_fleet("us", read_page(page, {}), folder, {})
    assert list(compile_fleet(fleet).part("us").clusters) == ["us-1", "us-2"]


def test_a_config_key_of_two_stacks_is_two_secrets(folder: Path) -> None:
    pages = changed("eu", "clusters", "eu-1", value={"tier": "leaf", "region": "eu", "kubeconfigSecret": "admin"})
    pages["us"]["clusters"]["us-1"] = {"tier": "leaf", "region": "us", "kubeconfigSecret": "admin"}
    write(pages, folder)
    assert problems("global", folder) == ()


REFUSALS: dict[str, tuple[Pages, str, str, str, str]] = {
    "a wave that would wait for another stack": (
        changed("us", "clusters", "us-1", "wave", value=2),
        "us",
        "clusters.us-1.wave",
        "has no effect: every cluster of its stack is in wave 2",
        "clusters:\n  us-1:\n    wave: 1",
    ),
    "a parent that is none": (
        changed("eu", "parentStack", value="globe"),
        "eu",
        "Pulumi.globe.yaml",
        "does not exist; stacks here: eu, global, us",
        "",
    ),
    "a parent that does not know": (
        changed("global", "childStacks", value=["us"]),
        "eu",
        "Pulumi.global.yaml: childStacks",
        "stack eu says that it is below this one, and is not listed",
        "childStacks: [us, eu]",
    ),
    "a parent with a slip": (
        changed("global", "childStacks", value=["eus", "us"]),
        "eu",
        "Pulumi.global.yaml: childStacks",
        "stack eu says that it is below this one, and is not listed; did you mean eus?",
        "childStacks: [us, eu]",
    ),
    "a child that is none": (
        changed("global", "childStacks", value=["eu", "us", "ap"]),
        "global",
        "Pulumi.ap.yaml",
        "does not exist; stacks here: eu, global, us",
        "",
    ),
    "a child that does not know": (
        changed("us", "parentStack", value=None),
        "global",
        "Pulumi.us.yaml: parentStack",
        "stack global lists this one in childStacks, and it does not say that it is below",
        "parentStack: global",
    ),
    "a child twice": (
        changed("global", "childStacks", value=["eu", "us", "eu"]),
        "global",
        "childStacks",
        "names a stack twice",
        "childStacks: [eu, us]",
    ),
    "a stack below itself": (
        changed("global", "childStacks", value=["eu", "us", "global"]),
        "global",
        "childStacks",
        "a stack cannot be below itself",
        "childStacks: [eu, us]",
    ),
    "its own parent": (
        changed("eu", "parentStack", value="eu"),
        "eu",
        "parentStack",
        "a stack cannot be below itself",
        "parentStack: global",
    ),
    "a third level": (
        changed("us", "parentStack", value="eu"),
        "us",
        "parentStack",
        "stack eu is itself below global, and no stack is below it",
        "parentStack: global",
    ),
    "both above and below": (
        changed("eu", "childStacks", value=["us"]),
        "eu",
        "childStacks",
        "this stack is below global, and no stack is below it",
        "",
    ),
    "settings beside the clusters of a part": (
        changed("eu", "intervals", value={"scrape": "15s"}),
        "global",
        "Pulumi.eu.yaml: intervals",
        "the settings of the fleet stand on the page of its parentStack: Pulumi.global.yaml",
        "",
    ),
    "one name twice": (
        changed("us", "clusters", "eu-1", value={"tier": "leaf", "region": "us", "context": "x"}),
        "eu",
        "Pulumi.us.yaml: clusters.eu-1",
        "stack eu has a cluster of this name, and each is the `cluster` label of one alone",
        "clusters:\n  us-eu-1: {tier: leaf, region: us, context: x}",
    ),
    "a second top": (
        changed("us", "clusters", "top", value={"tier": "global", "context": "top"}),
        "us",
        "clusters.top.tier",
        "a fleet has one global tier, and hub is it already",
        "clusters:\n  top:\n    tier: regional",
    ),
    "a mistake on another page": (
        changed("us", "clusters", "us-1", "parent", value="hubb"),
        "eu",
        "Pulumi.us.yaml: clusters.us-1.parent",
        "there is no cluster 'hubb'; did you mean hub?",
        "clusters:\n  us-1:\n    parent: hub",
    ),
    "a setting of the parent": (
        changed("global", "intervals", value={"scrape": "2m"}),
        "eu",
        "Pulumi.global.yaml: intervals.federation.regional",
        "is not longer than the child's own intervals.scrape of 2m",
        "intervals:\n  federation:\n    regional: 4m",
    ),
    "one place for two stacks": (
        changed("us", "clusters", "us-1", "context", value="eu-1"),
        "global",
        "Pulumi.us.yaml: clusters.us-1.context",
        "eu-1 has the same kubeconfig, context and namespace: it is the same place",
        "clusters:\n  us-1:\n    context: us-1",
    ),
    "a receiver whose address comes too late": (
        changed("global", "clusters", "hub", value={"tier": "global", "context": "hub"}),
        "eu",
        "Pulumi.global.yaml: clusters.hub.gateway.host",
        "shop-1 of stack eu writes to hub, so its address must stand on the page",
        "clusters:\n  hub:\n    gateway:\n      host: hub.example.com",
    ),
    "a stack's name that is none": (
        changed("us", "parentStack", value="acme/fleet/global"),
        "us",
        "parentStack",
        "'acme/fleet/global' is not a stack's name: letters, digits and ._- inside, at most 100",
        "parentStack: global",
    ),
}


@pytest.mark.parametrize("mistake", REFUSALS)
def test_a_split_that_would_not_work_is_refused_word_for_word(tmp_path: Path, mistake: str) -> None:
    pages, stack, path, message, fix = REFUSALS[mistake]
    write(pages, tmp_path)
    found = [(problem.path, problem.message, problem.fix) for problem in problems(stack, tmp_path)]
    assert (path, message, fix) in found


def test_a_broken_file_of_another_stack_is_named(folder: Path) -> None:
    (folder / "Pulumi.us.yaml").write_text("config: [")
    (problem,) = problems("eu", folder)
    assert problem.path == "Pulumi.us.yaml"
    assert problem.message.startswith("is not valid YAML in line")


def test_the_pages_of_the_documentation_are_a_fleet(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "stacks.md").read_text()
    pages = dict(re.findall(r"^```yaml\n# (Pulumi\.\w+\.yaml):(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert list(pages) == ["Pulumi.global.yaml", "Pulumi.eu.yaml"]
    pages["Pulumi.us.yaml"] = re.sub(r"\beu\b", "us", pages["Pulumi.eu.yaml"])
    for file, page in pages.items():
        (tmp_path / file).write_text(f"#{page}")
    assert len(planned("eu", tmp_path).edges) == 4
