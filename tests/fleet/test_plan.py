from datetime import timedelta

import pytest

from fleet.alerts import sent_by_edges
from fleet.compiler import compile_page
from fleet.errors import FleetError
from fleet.page import read_page
from fleet.plan import Plan
from fleet.rules import cluster_rules, source_metrics, without_gateways


def plan(page: dict[str, object] | None = None, **clusters: dict[str, object]) -> Plan:
    """Of clusters that each have a context of their own."""
    named = {name.replace("_", "-"): cluster for name, cluster in clusters.items()}
    located = {name: {"context": name, **cluster} for name, cluster in named.items()}
    return compile_page(read_page({**(page or {}), "clusters": located}, {}))


HUB = {"tier": "global"}
EU = {"tier": "regional", "region": "eu"}
LEAF = {"tier": "leaf", "region": "eu"}


def test_leaves_go_up_through_the_aggregator_of_their_region() -> None:
    edges = plan(hub=HUB, eu=EU, eu_1=LEAF).federation
    assert [(edge.parent, edge.child) for edge in edges] == [("eu", "eu-1"), ("hub", "eu")]


def test_leaves_without_an_aggregator_go_straight_to_the_global_tier() -> None:
    edges = plan(hub=HUB, eu_1=LEAF, lone={"tier": "leaf"}).federation
    assert [(edge.parent, edge.child) for edge in edges] == [("hub", "eu-1"), ("hub", "lone")]


def test_a_leaf_may_name_its_parent() -> None:
    edges = plan(hub=HUB, eu=EU, eu_1=LEAF, eu_2={**LEAF, "parent": "hub"}).federation
    assert [(edge.parent, edge.child) for edge in edges] == [("eu", "eu-1"), ("hub", "eu-2"), ("hub", "eu")]


def test_two_parents_are_two_edges_where_that_is_on_purpose() -> None:
    both = {**LEAF, "parent": ["eu", "hub"], "severalParents": True}
    edges = plan(hub=HUB, eu=EU, eu_1=both).federations_of("eu-1")
    assert [edge.parent for edge in edges] == ["eu", "hub"]


def test_a_leaf_that_writes_needs_no_gateway_and_sends_what_its_rules_made() -> None:
    fleet = plan(hub=HUB, eu_1={**LEAF, "up": "remote_write"})
    (edge,) = fleet.remote_write
    assert fleet.federation == ()
    assert fleet.clusters["eu-1"].gateway is None
    assert edge.keep == tuple(sorted(rule.record for rule in without_gateways(cluster_rules())))
    assert (fleet.clusters["hub"].receives_writes, fleet.clusters["hub"].receives_edges) == (True, False)


def test_a_leaf_may_go_up_both_ways() -> None:
    fleet = plan(hub=HUB, eu=EU, eu_1={**LEAF, "up": "both"})
    ways = ["eu-federates-eu-1", "hub-federates-eu", "eu-1-writes-hub", "eu-alerts-hub", "eu-1-alerts-hub"]
    assert [edge.id for edge in fleet.edges] == ways
    assert fleet.clusters["eu-1"].gateway is not None
    (write,) = fleet.remote_write
    assert write.keep == tuple(sorted(rule.record for rule in cluster_rules()))


def test_a_parent_asserts_what_it_knows_of_its_child() -> None:
    leaf, region = plan(hub=HUB, eu=EU, eu_1=LEAF).federation
    assert leaf.labels == {"cluster": "eu-1", "region": "eu"}
    assert (region.labels, region.clusters) == ({"region": "eu"}, ("eu-1",))


def test_federation_is_slow_by_default_and_its_timeout_is_below_its_interval() -> None:
    leaf, region = plan(hub=HUB, eu=EU, eu_1=LEAF).federation
    assert (leaf.interval, region.interval) == (timedelta(seconds=60), timedelta(seconds=120))
    assert leaf.timeout < leaf.interval


def test_only_leaves_and_edges_claim_a_cluster() -> None:
    leaf = {**LEAF, "datacenter": "fra", "environment": "test", "labels": {"team": "shop"}}
    clusters = plan(hub=HUB, eu=EU, eu_1=leaf, shop={"tier": "edge"}).clusters
    assert {name: cluster.external_labels for name, cluster in clusters.items()} == {
        "hub": {"level": "global"},
        "eu": {"level": "regional", "region": "eu"},
        "eu-1": {
            "cluster": "eu-1",
            "datacenter": "fra",
            "environment": "test",
            "level": "cluster",
            "region": "eu",
            "team": "shop",
        },
        "shop": {"cluster": "shop", "level": "edge"},
    }


def test_only_clusters_that_are_called_have_a_gateway() -> None:
    without_edge = plan(hub=HUB, eu_1=LEAF).clusters
    with_edge = plan(hub=HUB, eu_1=LEAF, shop={"tier": "edge"}).clusters
    assert [name for name, cluster in without_edge.items() if cluster.gateway] == ["eu-1"]
    assert [name for name, cluster in with_edge.items() if cluster.gateway] == ["hub", "eu-1"]


def test_a_clusters_gateway_goes_before_the_fleets_field_by_field() -> None:
    page = {"gateway": {"type": "HTTPRoute", "parentRef": {"name": "public", "namespace": "gateways"}}}
    gateway = plan(page, hub=HUB, eu_1={**LEAF, "gateway": {"host": "eu-1.example.com"}}).clusters["eu-1"].gateway
    assert gateway is not None
    assert (gateway.type, gateway.host, gateway.port) == ("HTTPRoute", "eu-1.example.com", 443)


def test_a_clusters_settings_go_before_its_tiers_and_those_before_the_defaults() -> None:
    page = {"tiers": {"leaf": {"replicas": 2, "storage": {"size": "10Gi"}}}}
    clusters = plan(page, hub=HUB, eu_1=LEAF, eu_2={**LEAF, "replicas": 3, "retention": "2d"}).clusters
    sizes = {name: (each.replicas, each.retention) for name, each in clusters.items()}
    assert sizes == {
        "hub": (1, timedelta(days=30)),
        "eu-1": (2, timedelta(days=1)),
        "eu-2": (3, timedelta(days=2)),
    }
    assert clusters["eu-2"].storage == clusters["eu-1"].storage


def test_an_edge_keeps_what_rules_and_alerts_read_and_what_the_page_adds() -> None:
    (edge,) = plan({"keep": ["sales_total"]}, hub=HUB, shop={"tier": "edge"}).remote_write
    assert edge.keep == tuple(sorted({*source_metrics(cluster_rules()), *sent_by_edges(), "sales_total"}))


def test_an_edge_sends_nothing_of_a_gateway_that_it_does_not_have() -> None:
    (edge,) = plan(hub=HUB, shop={"tier": "edge"}).remote_write
    assert not [name for name in edge.keep if name.startswith(("caddy_", "certmanager_", "prometheus_fleet_"))]


def test_an_extra_match_travels_from_its_tier_beside_the_derived_ones() -> None:
    extra = {"match": '{__name__="kube_pod_info"}', "reason": "pods by node", "series": 100}
    leaf, region = plan({"federate": [extra]}, hub=HUB, eu=EU, eu_1=LEAF).federation
    assert leaf.matches == ('{__name__=~"cluster:.*"}', '{__name__="kube_pod_info"}')
    assert region.matches == ('{__name__=~"region:.*"}',)


def test_a_budget_counts_for_each_cluster_that_the_child_speaks_for() -> None:
    leaf, _, region = plan({"tiers": {"leaf": {"budget": 4500}}}, hub=HUB, eu=EU, eu_1=LEAF, eu_2=LEAF).federation
    assert (leaf.budget, leaf.sample_limit, region.budget) == (4500, 9000, 16000)
    assert leaf.body_size_limit >= leaf.sample_limit * 256


def test_the_estimate_follows_from_the_rules_labels_and_the_pages_numbers() -> None:
    expect = {"namespaces": 4, "services": 3, "nodes": 2}
    leaf, region = plan({"expect": expect}, hub=HUB, eu=EU, eu_1=LEAF).federation
    # Five rules by namespace, two by namespace and service and one by seven buckets as well, two by node; of the whole
    # cluster seven, of its gateway three, of its Prometheus thirteen. The region has each twice, without node, those of
    # its own gateway and Prometheus, and how many of its clusters report of how many.
    by_all = 5 * 4 + (2 + 7) * 4 * 3 + 7 + 3 + 13
    assert leaf.estimate == by_all + 2 * 2
    assert region.estimate == 2 * (by_all + 2 * 1) + 3 + 13 + 2


def test_a_cluster_may_be_larger_than_the_others() -> None:
    small, large = plan(hub=HUB, eu_1=LEAF, eu_2={**LEAF, "expect": {"namespaces": 40}}).federation
    assert small.estimate < large.estimate


TEAM = {"namespace": "shop"}


def test_nobody_is_discovered_who_is_not_named() -> None:
    assert plan(hub=HUB, eu=EU, eu_1=LEAF).discovered == ()


def test_a_discovered_child_is_federated_as_a_leaf_of_its_parents_region() -> None:
    eu = {**EU, "discover": {"team-a": TEAM}}
    fleet = plan(hub={**HUB, "discover": {"team-b": {**TEAM, "port": "gateway"}}}, eu=eu, eu_1=LEAF)
    top, region = fleet.discovered
    (leaf, _) = fleet.federation
    assert (region.labels, top.labels) == ({"cluster": "team-a", "region": "eu"}, {"cluster": "team-b"})
    assert (region.interval, top.interval) == (timedelta(seconds=60), timedelta(seconds=120))
    assert (region.matches, region.sample_limit, region.estimate) == (leaf.matches, leaf.sample_limit, leaf.estimate)
    assert (region.port, top.port) == ("http-web", "gateway")


def test_a_discovered_child_is_asked_for_what_leaves_are_asked_for() -> None:
    extra = {"match": '{__name__="kube_pod_info"}', "reason": "pods by node", "series": 100}
    page: dict[str, object] = {"federate": [extra], "tiers": {"leaf": {"budget": 4500}}}
    (child,) = plan(page, hub={**HUB, "discover": {"team-a": TEAM}}, eu_1=LEAF).discovered
    assert child.matches == ('{__name__=~"cluster:.*"}', '{__name__="kube_pod_info"}')
    assert (child.budget, child.estimate) == (4500, 3013)


def test_a_region_speaks_for_what_it_discovers_within_a_larger_budget() -> None:
    expect = {"expect": {"namespaces": 1, "services": 1, "nodes": 1}}
    (*_, alone) = plan(hub=HUB, eu=EU, eu_1=LEAF).federation
    (*_, more) = plan(hub=HUB, eu={**EU, "discover": {"team-a": {**TEAM, **expect}}}, eu_1=LEAF).federation
    assert (alone.clusters, more.clusters) == (("eu-1",), ("eu-1", "team-a"))
    assert (more.budget, more.estimate) == (2 * alone.budget, alone.estimate + 2 * (5 + 9 + 2 + 7 + 3 + 13))


def test_a_region_may_consist_of_what_it_discovers() -> None:
    fleet = plan(hub=HUB, eu={**EU, "discover": {"team-a": TEAM}})
    assert [edge.clusters for edge in fleet.scraped] == [("team-a",), ("team-a",)]


def test_waves_and_protection_are_the_pages_and_the_defaults_are_one_wave_that_is_protected() -> None:
    usual = plan(hub=HUB, eu_1=LEAF).clusters["eu-1"]
    other = plan({"protect": False}, hub=HUB, eu_1={**LEAF, "wave": 3}).clusters["eu-1"]
    assert [(each.wave, each.protect) for each in (usual, other)] == [(1, True), (3, False)]


def test_a_fleet_that_loses_nothing_has_no_warning() -> None:
    page = {"tiers": {"global": {"storage": {"size": "10Gi"}}}}
    assert plan(page, hub={**HUB, "gateway": {}}, eu=EU, eu_1=LEAF).warnings == ()


@pytest.mark.parametrize(
    ("page", "clusters", "warning"),
    [
        ({}, {}, "hub has no storage"),
        ({}, {"eu_2": {**LEAF, "region": "eu1"}}, "eu-2 lies in region 'eu1', which has no aggregator; 'eu' has one"),
        ({}, {"eu_2": {"tier": "leaf", "up": "both"}}, "eu-2 reaches hub both ways"),
        ({"expect": {"namespaces": 35}}, {}, "eu-1 → eu is expected to use 85 % of its budget of 4000 series"),
        ({}, {}, "what fires in leaves and regions is heard by nobody: hub has no gateway"),
        (
            {"alerting": {"webhook": {"secret": "hook"}}},
            {},
            "alerts call somebody, and nobody hears of it when hub is gone",
        ),
        (
            {"federate": [{"match": "kube_pod_info", "reason": "r", "series": 1}]},
            {},
            "federate.0 brings raw series, which lose their labels job and instance",
        ),
    ],
)
def test_what_is_worth_a_look_is_said(
    page: dict[str, object], clusters: dict[str, dict[str, object]], warning: str
) -> None:
    found = plan(page, **{"hub": HUB, "eu": EU, "eu_1": LEAF, **clusters}).warnings
    assert any(each.startswith(warning) for each in found), found


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        ({"eu_1": LEAF}, "clusters: no cluster has tier global, so nothing answers for the fleet"),
        ({"hub": HUB, "top": HUB}, "clusters.top.tier: a fleet has one global tier, and hub is it already"),
        ({"hub": HUB, "eu": EU}, "clusters.eu.region: an orphan: no leaf of region 'eu' is federated by eu"),
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
