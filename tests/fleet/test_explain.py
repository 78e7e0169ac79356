import pytest

from fleet.compiler import compile_page
from fleet.errors import FleetError
from fleet.explain import explain
from fleet.page import read_page
from fleet.plan import Plan
from fleet.rules import cluster_rules


def test_a_rule_is_followed_from_the_leaves_to_the_top(dev: Plan) -> None:
    told = """\
cluster:namespace_pod_count:sum
  why        capacity against the pod limit of nodes, and the first sign of a runaway controller (in pods)
  recorded   by eu-1, eu-2, hub as sum by (cluster, region, namespace) (kube_pod_info)
  travels    eu-1, eu-2 → eu every 6s through {__name__=~"cluster:.*"}
  read by    region:namespace_pod_count:sum, region:cluster_namespace_pod_count:sum, global:namespace_pod_count:sum
region:namespace_pod_count:sum
  recorded   by eu as sum by (region, namespace) (cluster:namespace_pod_count:sum)
  travels    eu → hub every 6s through {__name__=~"region:.*"}
region:cluster_namespace_pod_count:sum
  recorded   by eu as sum by (region, cluster, namespace) (cluster:namespace_pod_count:sum)
  travels    eu → hub every 6s through {__name__=~"region:.*"}
global:namespace_pod_count:sum
  recorded   by hub as sum by (region, cluster) (region:cluster_namespace_pod_count:sum) or \
sum by (region, cluster) (cluster:namespace_pod_count:sum)
  travels    nowhere
at hub: cluster:namespace_pod_count:sum, region:namespace_pod_count:sum, region:cluster_namespace_pod_count:sum, \
global:namespace_pod_count:sum"""
    assert explain(dev, cluster_rules(), "cluster:namespace_pod_count:sum") == told


def test_a_raw_metric_is_explained_by_the_rules_that_read_it(dev: Plan) -> None:
    told = explain(dev, cluster_rules(), "kube_pod_info").splitlines()
    assert told[1].startswith("  why        cluster:namespace_pod_count:sum is made of it: ")
    assert "  travels    shop-1 → hub by remote write" in told
    assert told[-1].startswith("at hub: kube_pod_info, cluster:namespace_pod_count:sum")


def test_what_a_region_records_has_the_reason_of_its_leaves_rule(dev: Plan) -> None:
    told = explain(dev, cluster_rules(), "region:namespace_cpu:sum")
    assert "why        who uses the CPU of the fleet, by cluster and by team" in told


def test_every_gateway_of_the_fleet_is_followed_to_one_name_at_the_top(dev: Plan) -> None:
    told = explain(dev, cluster_rules(), "caddy_http_requests_total").splitlines()
    assert "  scraped    by eu-1, eu-2, eu, hub" in told
    read_by = "region:own_gateway_old_key_requests:rate5m, global:gateway_old_key_requests:rate5m"
    assert f"  read by    cluster:gateway_old_key_requests:rate5m, {read_by}" in told
    assert "global:gateway_old_key_requests:rate5m" in told[-1].removeprefix("at hub: ").split(", ")


def test_what_a_discovered_child_has_is_followed_to_the_top() -> None:
    hub = {"tier": "global", "context": "hub", "discover": {"team-a": {"namespace": "shop"}}}
    told = explain(
        compile_page(read_page({"clusters": {"hub": hub}}, {})), cluster_rules(), "cluster:namespace_cpu:sum"
    )
    assert '  travels    team-a (discovered) → hub every 2m through {__name__=~"cluster:.*"}' in told.splitlines()
    assert told.splitlines()[-1] == "at hub: cluster:namespace_cpu:sum, global:namespace_cpu:sum"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cluster:namespace_cpu:avg", "did you mean cluster:namespace_cpu:sum?"),
        ("nothing", "nothing: no rule and no match of this fleet knows it"),
    ],
)
def test_a_name_that_nobody_knows_is_refused(dev: Plan, name: str, message: str) -> None:
    with pytest.raises(FleetError) as refused:
        explain(dev, cluster_rules(), name)
    assert message in str(refused.value)


def test_a_heartbeat_is_followed_from_leaves_and_edges_to_who_counts_it(dev: Plan) -> None:
    told = explain(dev, cluster_rules(), "prometheus_agent_active_series").splitlines()
    assert "  scraped    by shop-1" in told
    assert "  travels    shop-1 → hub by remote write" in told
    counted = "region:clusters_reporting:count, global:clusters_reporting:count"
    assert all(name in told[-1] for name in ("global:heartbeat:timestamp", *counted.split(", ")))
    assert "  recorded   by eu-1, eu-2, hub as vector(time())" in told
