import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fleet.compiler import compile_page
from fleet.page import ExtraMatch, read_page
from fleet.plan import FederationEdge, Plan
from fleet.promql import Selector
from fleet.render import rendered_values
from fleet.scrape import Job, federation_job
from tests.policies.judging import RELEASE, Made, judged


def test_a_federation_job_trusts_the_child_for_values_and_not_for_its_name(dev: Plan) -> None:
    leaf = federation_job(dev.federations_of("eu-1")[0], "a:1")
    assert leaf["job_name"] == "federate-eu-1"
    assert leaf["honor_labels"] is True
    assert leaf["track_timestamps_staleness"] is True
    assert leaf["params"] == {"match[]": ['{__name__=~"cluster:.*"}']}
    assert leaf["metric_relabel_configs"] == [
        {"action": "keep", "source_labels": ["__name__"], "regex": "cluster:.*"},
        {"action": "replace", "target_label": "cluster", "replacement": "eu-1"},
        {"action": "replace", "target_label": "region", "replacement": "eu"},
        {"action": "labeldrop", "regex": "job|instance|prometheus|prometheus_replica"},
    ]


def test_the_parent_of_a_region_confines_clusters_without_merging_them(dev: Plan) -> None:
    region = federation_job(dev.federations_of("eu")[0], "a:1")
    assert region["metric_relabel_configs"] == [
        {"action": "keep", "source_labels": ["__name__"], "regex": "region:.*"},
        {"action": "keep", "source_labels": ["cluster"], "regex": "|eu-1|eu-2"},
        {"action": "replace", "target_label": "region", "replacement": "eu"},
        {"action": "labeldrop", "regex": "job|instance|prometheus|prometheus_replica"},
    ]


def test_a_leaf_without_a_region_counts_in_nobodys() -> None:
    clusters = {"hub": {"tier": "global", "context": "hub"}, "lone": {"tier": "leaf", "context": "lone"}}
    plan = compile_page(read_page({"clusters": clusters}, {}))
    (edge,) = plan.federation
    assert {"action": "labeldrop", "regex": "region"} in relabelling(federation_job(edge, "a:1"))


@pytest.mark.parametrize(
    "match",
    [
        '{__name__=~"kube_pod_info|kube_pod_owner"}',
        '{__name__=~"(kube_pod_info|kube_pod_owner)",namespace=~"shop|ware"}',
        'kube_pod_info{namespace!="kube-system"}',
        '{__name__=~"cluster:node_(memory|cpu):.*"}',
        '{__name__=~"kube_pod_.*",__name__!~".*_owner"}',
    ],
)
def test_what_a_planned_childs_selectors_match_survives_and_its_own_up_does_not(match: str) -> None:
    names = [
        *("kube_pod_info", "kube_pod_owner", "cluster:node_memory:ratio", "cluster:node_cpu:sum", "up"),
        *(
            "scrape_samples_scraped",
            "scrape_duration_seconds",
            "ALERTS",
            "kube_node_info",
            "xcluster:a:sum",
            "region:a",
        ),
    ]
    edge = edge_with(match)
    asked = {name for each in edge.matches for name in Selector.parse(each).selected(names)}
    keep = relabelling(federation_job(edge, "a:1"))[0]
    kept = {name for name in names if re.fullmatch(str(keep["regex"]), name)}
    assert asked <= kept
    assert (
        kept & {"up", "scrape_samples_scraped", "scrape_duration_seconds", "ALERTS", "kube_node_info", "region:a"}
        == set()
    )


def edge_with(match: str) -> FederationEdge:
    """As the compiler makes it, whatever the match."""
    page = {"hub": {"tier": "global", "context": "hub"}, "lone": {"tier": "leaf", "context": "lone"}}
    (edge,) = compile_page(read_page({"clusters": page}, {})).federation
    return replace(edge, extra=(ExtraMatch(match=match, reason="r", series=1),))


def relabelling(job: Job) -> list[dict[str, object]]:
    configs = job["metric_relabel_configs"]
    assert isinstance(configs, list)
    return configs


def test_the_password_is_read_from_the_childs_own_key(dev: Plan) -> None:
    assert federation_job(dev.federations_of("eu-1")[0], "a:1")["basic_auth"] == {
        "username": "eu",
        "password_file": "/etc/prometheus/secrets/federation-credentials/eu-1",
    }


def discovering(page: Mapping[str, object] | None = None) -> tuple[Mapping[str, object], list[Job]]:
    """Chart values and jobs of a region that discovers `team-a` and federates `eu-1`."""
    clusters = {
        "hub": {"tier": "global", "context": "hub"},
        "eu": {"tier": "regional", "region": "eu", "context": "eu", "discover": {"team-a": {"namespace": "shop"}}},
        "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
    }
    plan = compile_page(read_page({**(page or {}), "clusters": clusters}, {}))
    values = rendered_values(plan, plan.clusters["eu"])
    jobs = values["prometheus"]["prometheusSpec"]["additionalScrapeConfigs"]
    return values, [job for job in jobs if job["job_name"].startswith("federate-")]


def test_a_discovered_child_is_federated_by_the_rules_of_every_other() -> None:
    _, (leaf, found) = discovering()
    own = {"job_name", "basic_auth", "scheme", "tls_config", "metric_relabel_configs", "static_configs"}
    assert {key: found[key] for key in set(leaf) - own} == {key: leaf[key] for key in set(leaf) - own}
    assert found["job_name"] == "federate-auto-discover/team-a"
    assert found["metric_relabel_configs"] == [
        {"action": "keep", "source_labels": ["__name__"], "regex": "cluster:.*"},
        {"action": "labeldrop", "regex": "cluster|datacenter|environment|level|region"},
        {"action": "replace", "target_label": "cluster", "replacement": "team-a"},
        {"action": "replace", "target_label": "region", "replacement": "eu"},
        {"action": "labeldrop", "regex": "job|instance|prometheus|prometheus_replica"},
    ]


def test_only_what_is_asked_of_a_discovered_child_is_kept_of_it() -> None:
    extra = {"match": '{__name__=~"kube_pod_info|kube_pod_owner"}', "reason": "r", "series": 1}
    _, (_, found) = discovering({"keep": ["kube_pod_owner"], "federate": [extra]})
    assert found["metric_relabel_configs"][0]["regex"] == "cluster:.*|kube_pod_info|kube_pod_owner"


def test_a_child_is_looked_for_in_its_namespace_by_its_labels_alone() -> None:
    _, (_, found) = discovering()
    assert found["kubernetes_sd_configs"] == [
        {
            "role": "service",
            "namespaces": {"names": ["shop"]},
            "selectors": [{"role": "service", "label": "app.kubernetes.io/name=prometheus,cluster=team-a"}],
        }
    ]


def test_all_that_are_discovered_share_one_password() -> None:
    assert discovering()[1][1]["basic_auth"] == {
        "username": "eu",
        "password_file": "/etc/prometheus/secrets/federation-credentials/auto-discover.password",
    }


def test_prometheus_takes_the_jobs_of_a_parent_that_discovers(tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yaml"
    config.write_text(yaml.safe_dump(json.loads(json.dumps({"scrape_configs": discovering()[1]}))))
    done = subprocess.run(["promtool", "check", "config", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_policy_of_honored_labels_holds_for_what_is_discovered() -> None:
    values, jobs = discovering()
    parent = Made(RELEASE, "eu", {"chart": "kube-prometheus-stack", "values": values})
    assert judged("honor-labels", parent).messages == []
    jobs[1]["honor_labels"] = False
    (message,) = judged("honor-labels", parent).messages
    assert message.startswith("values.prometheus.prometheusSpec.additionalScrapeConfigs.1: ")


@pytest.mark.parametrize(
    ("ip", "address"),
    [("10.96.0.7", "10.96.0.7:9090"), ("fd00:96::7", "[fd00:96::7]:9090"), ("None", None), ("", None)],
)
def test_a_target_is_its_services_address_in_the_cluster(ip: str, address: str | None) -> None:
    keep, *rules = discovering()[1][1]["relabel_configs"]
    addresses = [
        re.sub(rule["regex"], re.sub(r"\$(\d)", r"\\\1", rule["replacement"]), f"{ip};9090")
        for rule in rules
        if rule["target_label"] == "__address__" and re.fullmatch(rule["regex"], f"{ip};9090")
    ]
    assert bool(re.fullmatch(keep["regex"], f"http-web;{ip}")) == (address is not None)
    assert address is None or addresses == [address]


def test_a_process_tells_its_keys_from_the_very_files_and_configuration_that_hold_them(dev: Plan) -> None:
    assert jobs_of(dev, "eu")["keys"]["file_sd_configs"] == [
        {
            "files": [
                f"/etc/prometheus/secrets/{secret}/keys.json"
                for secret in ("federation-credentials", "alert-credentials")
            ],
            "refresh_interval": "10s",
        }
    ]
    assert "static_configs" not in jobs_of(dev, "eu")["keys"]
    told = jobs_of(dev, "shop-1")["keys"]
    assert told["file_sd_configs"][0]["files"] == ["/etc/prometheus/secrets/remote-write-credentials/keys.json"]
    # The operator copies a sender's password into the configuration.
    assert told["static_configs"] == [
        {"targets": ["shop-1-writes-hub"], "labels": {"edge": "shop-1-writes-hub", "generation": "1"}}
    ]


def test_what_tells_of_keys_is_never_scraped(dev: Plan) -> None:
    for name in ("eu", "hub", "shop-1"):
        assert jobs_of(dev, name)["keys"]["relabel_configs"] == [{"action": "drop", "regex": ".*"}]


def test_a_gateway_is_scraped_by_the_prometheus_beside_it_and_by_no_other(dev: Plan) -> None:
    asked = {name: "gateway-facts" in jobs_of(dev, name) for name in dev.clusters}
    assert asked == {name: cluster.gateway is not None for name, cluster in dev.clusters.items()}
    facts = jobs_of(dev, "eu-1")["gateway-facts"]
    assert (facts["metrics_path"], facts["static_configs"]) == ("/facts", [{"targets": ["127.0.0.1:9444"]}])


def jobs_of(plan: Plan, cluster: str) -> Mapping[str, Job]:
    spec = rendered_values(plan, plan.clusters[cluster])["prometheus"]["prometheusSpec"]
    return {job["job_name"]: job for job in spec.get("additionalScrapeConfigs", [])}
