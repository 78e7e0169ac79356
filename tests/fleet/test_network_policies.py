"""What the NetworkPolicies mean, judged by cyclonus over the rendered objects, and what a page may say of them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonus import allowed
from reach import CASES, OF_ITS_OWN, PAGE, TABLE, policies, table, verdicts

from fleet.compiler import compile_page
from fleet.errors import FleetError
from fleet.names import PROMETHEUS
from fleet.network_policies import network_policies
from fleet.page import read_page
from fleet.plan import ClusterPlan, Plan

LOCAL = Path(__file__).parents[1] / "local"
PODS = yaml.safe_load((LOCAL / "chart_pods.yaml").read_text())
TIERS = yaml.safe_load((LOCAL / "chart_objects.yaml").read_text())
CLUSTERS = list(PAGE["clusters"])


def leaf(**page: object) -> ClusterPlan:
    clusters = {"hub": {"tier": "global", "context": "hub"}, "eu-1": {"tier": "leaf", "context": "eu-1"}}
    return compile_page(read_page({"clusters": clusters, **page}, {})).clusters["eu-1"]


def specs(cluster: ClusterPlan) -> dict[str, Any]:
    return {policy["metadata"]["name"]: policy["spec"] for policy in network_policies(cluster)}


@pytest.mark.parametrize("with_addresses", [False, True], ids=["by default", "with addresses"])
def test_everybody_reaches_what_the_plan_needs_and_nothing_else(*, with_addresses: bool) -> None:
    expected = {case: case.with_addresses if with_addresses else case.by_default for case in CASES}
    found = verdicts(CASES, with_addresses=with_addresses)
    assert [case for case in CASES if found[case] != expected[case]] == []


def test_the_documented_table_is_cyclonus_verdict() -> None:
    assert TABLE.text() == table(), "PYTHONPATH=. python tests/fleet/reach.py"


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_no_policy_could_be_left_out(cluster: str) -> None:
    """A selector with a slip in it selects nothing, and would not be missed."""
    packets = [case.packet for case in CASES]
    rendered = policies(cluster, with_addresses=False)
    complete = allowed(rendered, packets)
    for policy in rendered:
        rest = [each for each in rendered if each is not policy]
        assert allowed(rest, packets) != complete, policy["metadata"]["name"]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    if set(selector) - {"matchLabels", "matchExpressions"}:
        raise ValueError(selector)
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in expressions)
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def test_each_policy_selects_the_pods_that_it_is_named_after() -> None:
    page = {**PAGE, "values": {"kubeStateMetrics": {"enabled": True}}}
    hub = compile_page(read_page(page, {})).clusters["hub"]
    selected = {
        name: {pod.split("-stack-")[1] for pod, each in PODS.items() if selects(spec["podSelector"], each["labels"])}
        for name, spec in specs(hub).items()
        if name != "default-deny"
    }
    assert selected == {
        "prometheus": {"prometheus"},
        "prometheus-operator": {"operator"},
        "chart-jobs": {"admission-create", "admission-patch", "crds-upgrade"},
        "kube-state-metrics": {"kube-state-metrics"},
        "alertmanager": {"alertmanager"},
        "grafana": {"grafana"},
    }


def test_every_workload_of_the_chart_is_selected_or_on_the_nodes_own_network() -> None:
    hub = compile_page(read_page({**PAGE, "values": {"kubeStateMetrics": {"enabled": True}}}, {})).clusters["hub"]
    chosen = [spec["podSelector"] for name, spec in specs(hub).items() if name != "default-deny"]
    left = {pod for pod, each in PODS.items() if not any(selects(selector, each["labels"]) for selector in chosen)}
    assert left == {pod for pod, each in PODS.items() if each["hostNetwork"]}


def test_an_agents_pods_carry_the_label_by_which_its_policy_goes() -> None:
    service = TIERS["edge"][f"Service/monitoring/{PROMETHEUS}"]["spec"]
    assert service["selector"]["app.kubernetes.io/name"] == "prometheus-agent"
    (edge,) = [cluster for cluster in CLUSTERS if PAGE["clusters"][cluster]["tier"] == "edge"]
    (spec,) = [
        each["spec"] for each in policies(edge, with_addresses=False) if each["metadata"]["name"] == "prometheus"
    ]
    assert selects(spec["podSelector"], service["selector"])


def test_no_rule_is_open_without_a_port_but_to_pods() -> None:
    for cluster in CLUSTERS:
        for policy in policies(cluster, with_addresses=False):
            if policy is OF_ITS_OWN:
                continue
            for direction, peers in (("ingress", "from"), ("egress", "to")):
                for rule in policy["spec"].get(direction, []):
                    assert rule.get("ports") or rule == {peers: [{"namespaceSelector": {}}]}
                    assert rule.get(peers) != []


def test_the_page_switches_them_off_for_the_fleet_or_for_one_cluster() -> None:
    off = compile_page(read_page({**PAGE, "networkPolicies": False}, {}))
    assert all(not network_policies(cluster) for cluster in off.clusters.values())
    clusters = {**PAGE["clusters"], "eu": {**PAGE["clusters"]["eu"], "networkPolicies": False}}
    one = compile_page(read_page({**PAGE, "clusters": clusters}, {}))
    assert [name for name, cluster in one.clusters.items() if not network_policies(cluster)] == ["eu"]
    clusters["eu"]["networkPolicies"] = True
    only = compile_page(read_page({**PAGE, "clusters": clusters, "networkPolicies": False}, {}))
    assert [name for name, cluster in only.clusters.items() if network_policies(cluster)] == ["eu"]


def test_an_empty_key_switches_nothing_off() -> None:
    with pytest.raises(FleetError) as refused:
        read_page({**PAGE, "networkPolicies": None}, {})
    (problem,) = refused.value.problems
    assert (problem.path, problem.fix) == ("networkPolicies", "networkPolicies: true")
    assert problem.message == "there is nothing here: it is true, false, or addresses"


def test_a_clusters_own_addresses_go_before_the_fleets() -> None:
    own = {"apiServer": ["192.0.2.1"]}
    clusters = {
        "hub": {"tier": "global", "context": "hub"},
        "eu-1": {"tier": "leaf", "context": "eu-1", "networkPolicies": own},
    }
    fleet = {"apiServer": ["203.0.113.0/24"], "nodes": ["10.0.0.0/16"]}
    found = leaf(clusters=clusters, networkPolicies=fleet).network_policies
    assert found is not None
    assert (found.api_server, found.nodes) == (("192.0.2.1/32",), ("10.0.0.0/16",))


@pytest.mark.parametrize(("part", "port"), [("kubeEtcd", 2381), ("kubeProxy", 10249)])
def test_what_a_page_switches_on_on_the_nodes_can_be_scraped(part: str, port: int) -> None:
    def to_nodes(cluster: ClusterPlan) -> list[int]:
        rules = [rule for rule in specs(cluster)["prometheus"]["egress"] if "to" in rule and "ipBlock" in rule["to"][0]]
        return [each["port"] for rule in rules for each in rule["ports"]]

    nodes = {"nodes": ["10.0.0.0/16"]}
    assert to_nodes(leaf(networkPolicies=nodes)) == [10250, 9100]
    assert port in to_nodes(leaf(networkPolicies=nodes, values={part: {"enabled": True}}))


def test_a_wave_that_an_enforced_policy_would_keep_silent_is_warned_of() -> None:
    def warned(**policies: object) -> bool:
        clusters = {"hub": {"tier": "global", "context": "hub", "wave": 2}, "eu-1": {"tier": "leaf", "context": "eu-1"}}
        plan = compile_page(read_page({"clusters": clusters, "networkPolicies": policies or True}, {}))
        return any("until networkPolicies.apiServer" in each for each in plan.warnings)

    assert warned()
    assert not warned(apiServer=["192.0.2.0/28"])


def test_a_part_that_no_policy_covers_is_warned_of() -> None:
    def warnings(**page: object) -> list[str]:
        plan: Plan = compile_page(read_page({**PAGE, "values": {"thanosRuler": {"enabled": True}}, **page}, {}))
        return [each for each in plan.warnings if "which the NetworkPolicies cut off" in each]

    assert len(warnings()) == len(CLUSTERS)
    assert warnings(networkPolicies=False) == []
