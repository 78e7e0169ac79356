from datetime import timedelta

import pytest

from fleet.errors import FleetError
from fleet.page import read_page
from fleet.plan import Plan, compile_page


def plan(**clusters: dict[str, object]) -> Plan:
    named = {name.replace("_", "-"): cluster for name, cluster in clusters.items()}
    return compile_page(read_page({"clusters": named}, {}), ("raw_metric",))


HUB = {"tier": "global"}
EU = {"tier": "regional", "region": "eu"}
LEAF = {"tier": "leaf", "region": "eu"}


def test_leaves_go_up_through_the_aggregator_of_their_region() -> None:
    edges = plan(hub=HUB, eu=EU, eu_1=LEAF).federation
    assert [(edge.parent, edge.child) for edge in edges] == [("eu", "eu-1"), ("hub", "eu")]


def test_leaves_without_an_aggregator_go_straight_to_the_global_tier() -> None:
    edges = plan(hub=HUB, eu_1=LEAF, lone={"tier": "leaf"}).federation
    assert [(edge.parent, edge.child) for edge in edges] == [("hub", "eu-1"), ("hub", "lone")]


def test_a_parent_asserts_what_it_knows_of_its_child() -> None:
    leaf, region = plan(hub=HUB, eu=EU, eu_1=LEAF).federation
    assert leaf.labels == {"cluster": "eu-1", "region": "eu"}
    assert (region.labels, region.clusters) == ({"region": "eu"}, ("eu-1",))


def test_federation_is_slow_by_default_and_its_timeout_is_below_its_interval() -> None:
    leaf, region = plan(hub=HUB, eu=EU, eu_1=LEAF).federation
    assert (leaf.interval, region.interval) == (timedelta(seconds=60), timedelta(seconds=120))
    assert leaf.timeout < leaf.interval


def test_only_leaves_and_edges_claim_a_cluster() -> None:
    clusters = plan(hub=HUB, eu=EU, eu_1={**LEAF, "datacenter": "fra"}, shop={"tier": "edge"}).clusters
    assert {name: cluster.external_labels for name, cluster in clusters.items()} == {
        "hub": {"level": "global"},
        "eu": {"level": "regional", "region": "eu"},
        "eu-1": {"cluster": "eu-1", "datacenter": "fra", "level": "cluster", "region": "eu"},
        "shop": {"cluster": "shop", "level": "edge"},
    }


def test_only_clusters_that_are_called_have_a_gateway() -> None:
    without_edge = plan(hub=HUB, eu_1=LEAF).clusters
    with_edge = plan(hub=HUB, eu_1=LEAF, shop={"tier": "edge"}).clusters
    assert [name for name, cluster in without_edge.items() if cluster.gateway] == ["eu-1"]
    assert [name for name, cluster in with_edge.items() if cluster.gateway] == ["hub", "eu-1"]


def test_an_edge_keeps_what_the_rules_read_and_what_the_page_adds() -> None:
    page = read_page({"keep": ["sales_total"], "clusters": {"hub": HUB, "shop": {"tier": "edge"}}}, {})
    (edge,) = compile_page(page, ("raw_metric",)).remote_write
    assert edge.keep == ("raw_metric", "sales_total")


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        ({"eu_1": LEAF}, "clusters: no cluster has tier global, so nothing answers for the fleet"),
        ({"hub": HUB, "top": HUB}, "clusters.top.tier: a fleet has one global tier, and hub is it already"),
        ({"hub": HUB, "eu": EU}, "clusters.eu.region: no leaf lies in region 'eu'"),
        (
            {"hub": HUB, "eu": EU, "eu_b": EU, "eu_1": LEAF},
            "clusters.eu-b.region: region 'eu' is aggregated by eu already",
        ),
    ],
)
def test_clusters_that_form_no_fleet_are_refused(clusters: dict[str, dict[str, object]], message: str) -> None:
    with pytest.raises(FleetError) as refused:
        plan(**clusters)
    assert str(refused.value).splitlines()[0] == message
