"""The fleets that users copy from: each compiles, and what is rendered for it is what lies beside it."""

from pathlib import Path

import pytest

from fleet.compiler import compile_fleet, compile_page
from fleet.names import Tier
from fleet.page import read_fleet, read_stack
from fleet.plan import Plan
from fleet.render import render

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/Pulumi.example.yaml"))
SPLIT = ROOT / "examples" / "stack-per-region"


def example(folder: Path) -> Plan:
    return compile_page(read_stack("example", folder, {}))


def kept_in(folder: Path) -> dict[Path, str]:
    """Without the first line, which says who wrote it."""
    return {path.relative_to(folder): path.read_text().partition("\n")[2] for path in folder.glob("*/*.yaml")}


def test_there_are_four_examples_of_one_stack() -> None:
    assert [folder.name for folder in EXAMPLES] == ["edges-only", "mimir", "single-region", "straight-to-global"]


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_an_example_renders_to_the_files_beside_it_byte_for_byte(folder: Path) -> None:
    kept, rendered = kept_in(folder / "rendered"), render(example(folder))
    again = (
        f"python -m fleet render --root examples/{folder.name} --stack example --out examples/{folder.name}/rendered"
    )
    assert sorted(rendered) == sorted(kept), again
    assert {path: text for path, text in rendered.items() if text != kept[path]} == {}, again


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_a_rendering_is_the_same_every_time(folder: Path) -> None:
    assert render(example(folder)) == render(example(folder))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_no_example_needs_a_warning(folder: Path) -> None:
    assert [each for each in example(folder).warnings if "brings raw series" not in each] == []


def test_each_stack_of_the_split_example_renders_its_own_clusters_and_no_others() -> None:
    folder = SPLIT / "rendered"
    kept = kept_in(folder)
    rendered: dict[Path, str] = {}
    for stack in ("global", "eu", "us"):
        files = render(compile_fleet(read_fleet(stack, SPLIT, {})).part(stack))
        assert not files.keys() & rendered.keys()
        rendered |= files
    again = "python -m fleet render --root examples/stack-per-region --out examples/stack-per-region/rendered --stack "
    assert rendered == kept, [again + stack for stack in ("global", "eu", "us")]


@pytest.fixture
def prod() -> Plan:
    return compile_page(read_stack("prod", ROOT, {}))


def test_prod_is_a_fleet_that_a_company_might_run(prod: Plan) -> None:
    assert {tier.value: len(list(prod.tier(tier))) for tier in Tier} == {
        "leaf": 6,
        "regional": 2,
        "global": 1,
        "edge": 3,
    }
    (hub,) = prod.tier(Tier.GLOBAL)
    assert [edge.name for edge in hub.destinations] == ["long-term-storage"]
    assert all(
        cluster.chart.source.startswith("oci://") and cluster.chart.version for cluster in prod.clusters.values()
    )
    assert {cluster.gateway.type for cluster in prod.clusters.values() if cluster.gateway} == {"LoadBalancer"}
    assert all(region.replicas == 2 for region in prod.tier(Tier.REGIONAL))


def test_prod_keeps_longer_the_higher_it_goes(prod: Plan) -> None:
    retention = {cluster.tier: cluster.retention for cluster in prod.clusters.values() if cluster.retention}
    assert retention[Tier.LEAF] < retention[Tier.REGIONAL] < retention[Tier.GLOBAL]
    assert all(cluster.storage is not None for cluster in prod.clusters.values())
