"""Dashboards that load, say what to do, ask only for what is there, and count right."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from fleets import Page, fleets
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from hypothesis import HealthCheck, given, settings
from metrics import KINDS

from fleet import manifests
from fleet.alerts import RUNBOOKS
from fleet.compiler import compile_page
from fleet.dashboards import dashboards
from fleet.names import Tier
from fleet.page import read_page, read_stack
from fleet.plan import Plan
from fleet.promql import Selector, metric_names, result_labels
from fleet.render import render
from fleet.rules import region_rules, rule_groups

ROOT = Path(__file__).parents[2]
STACKS = {
    "dev": ROOT,
    "prod": ROOT,
    **{f"example {path.parent.name}": path.parent for path in ROOT.glob("examples/*/Pulumi.example.yaml")},
}
HUB = {"hub": {"tier": "global", "context": "hub"}}


@pytest.fixture(params=STACKS)
def plan(request: pytest.FixtureRequest) -> Plan:
    """With dashboards, whatever its page says of them."""
    found = compile_page(read_stack(request.param.split()[0], STACKS[request.param], {}))
    return replace(found, dashboards=True)


def models(plan: Plan) -> dict[str, dict[str, Any]]:
    """By title."""
    found = [json.loads(text) for text in dashboards(plan).values()]
    return {model["title"]: model for model in found}


def panels(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    for title, model in models(plan).items():
        for panel in model["panels"]:
            yield title, panel


def queries(plan: Plan) -> Iterator[tuple[str, str]]:
    for title, panel in panels(plan):
        for target in panel["targets"]:
            yield f"{title}: {panel['title']}", target["expr"]


def expr(plan: Plan, dashboard: str, title: str, ref: str = "A") -> str:
    (found,) = [each for each in models(plan)[dashboard]["panels"] if each["title"] == title]
    return next(target["expr"] for target in found["targets"] if target["refId"] == ref)


def test_a_fleet_has_its_dashboards(dev: Plan) -> None:
    titles = ["Global Cluster Overview", "Region", "Cluster", "Federation health", "Remote write"]
    assert list(models(dev)) == [*titles, "Cardinality and cost"]


def test_where_nobody_writes_there_is_no_dashboard_of_it() -> None:
    page: dict[str, Any] = {"clusters": {**HUB, "eu-1": {"tier": "leaf", "context": "eu-1"}}}
    assert "Remote write" not in models(compile_page(read_page(page, {})))
    page["destinations"] = {
        "archive": {
            "kind": "generic",
            "url": "https://archive.example.com/push",
            "senders": "hub",
            "auth": {"bearer": {"secret": "archive"}},
        }
    }
    assert "Remote write" in models(compile_page(read_page(page, {})))


def test_numbers_lead_to_the_runbook_of_their_alert_where_the_page_says_where_it_is() -> None:
    clusters = {**HUB, "eu-1": {"tier": "leaf", "context": "eu-1"}}

    def links(**page: object) -> dict[str, str]:
        plan = compile_page(read_page({"clusters": clusters, **page}, {}))
        found = {panel["title"]: panel.get("links", []) for _, panel in panels(plan)}
        return {title: each["url"] for title, every in found.items() for each in every}

    assert links() == {}
    found = links(alerting={"runbooks": "https://git.example.com/runbooks/"})
    assert found["Clusters missing"] == "https://git.example.com/runbooks/ClusterSilent.md"
    assert {"Scrapes failing", "Fullest budget"} <= set(found)
    for url in found.values():
        assert (ROOT / RUNBOOKS / url.rpartition("/")[2]).exists()


def test_a_fleet_without_regions_has_no_dashboard_of_them() -> None:
    plan = compile_page(read_page({"clusters": {**HUB, "eu-1": {"tier": "leaf", "context": "eu-1"}}}, {}))
    assert "Region" not in models(plan)
    assert "region:" not in "".join(dashboards(plan).values())


def test_a_dashboard_is_what_grafanas_own_types_make_of_it(plan: Plan) -> None:
    register_default_plugins()
    for text in dashboards(plan).values():
        again = Dashboard.from_json(json.loads(text))
        assert JSONEncoder(indent=2, sort_keys=True).encode(again) + "\n" == text


def test_every_panel_says_what_it_measures_and_what_to_do(plan: Plan) -> None:
    for where, panel in panels(plan):
        what = f"{where}: {panel['title']}"
        assert panel["title"], what
        assert panel["description"].endswith("."), what
        assert panel["fieldConfig"]["defaults"]["unit"], what
        columns = [each for each in panel["fieldConfig"]["overrides"] if each["properties"][0]["id"] != "links"]
        if panel["type"] == "table":
            assert len(columns) == len(panel["targets"]) > 1, what
        assert all(column["properties"][0]["id"] == "unit" for column in columns), what


def test_all_columns_of_a_table_tell_its_rows_apart_by_the_same_labels(plan: Plan) -> None:
    for where, panel in panels(plan):
        if panel["type"] == "table":
            (organize,) = [each["options"] for each in panel["transformations"] if each["id"] == "organize"]
            labels = {name for name in organize["indexByName"] if not name.startswith("Value #")}
            for target in panel["targets"]:
                # A metric's own name would be one label more.
                kept = result_labels(promql_parser.parse(target["expr"]))
                assert kept is not None, f"{where}: {panel['title']}: {target['refId']}"
                assert kept <= labels, f"{where}: {panel['title']}: {target['refId']}"


def test_whoever_looks_chooses_the_data_source(plan: Plan) -> None:
    for model in models(plan).values():
        first = model["templating"]["list"][0]
        assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    for _, panel in panels(plan):
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


def test_panels_fill_the_grid_and_none_covers_another(plan: Plan) -> None:
    for model in models(plan).values():
        places = [panel["gridPos"] for panel in model["panels"]]
        assert sum(place["w"] * place["h"] for place in places) == 24 * max(p["y"] + p["h"] for p in places)
        for one, other in combinations(places, 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert beside or below
        ids = [panel["id"] for panel in model["panels"]]
        assert len(set(ids)) == len(ids)


def test_lines_are_never_as_many_as_the_fleet_has_clusters(plan: Plan) -> None:
    for where, panel in panels(plan):
        if panel["type"] == "timeseries":
            (target,) = panel["targets"]
            # Chosen at the end of the range: chosen at each point, they would be ten at each and many more in all.
            chosen_once = "topk(10," in target["expr"] and " @ end()" in target["expr"].split("topk(10,")[1]
            of_one = 'cluster="$cluster"' in target["expr"] or not re.search(
                r"\b(cluster|region|job)\b[^=]", target["expr"]
            )
            assert chosen_once or of_one, where


def test_links_lead_to_dashboards_that_are_there(plan: Plan) -> None:
    found = {uid for text in dashboards(plan).values() for uid in re.findall(r"/d/([a-z-]+)", text)}
    assert found
    assert found <= set(dashboards(plan))


def test_a_query_has_the_variables_of_its_dashboard_and_no_others(plan: Plan) -> None:
    for title, model in models(plan).items():
        declared = {each["name"] for each in model["templating"]["list"]} - {"datasource"}
        used = {
            name
            for panel in model["panels"]
            for target in panel["targets"]
            for name in re.findall(r"\$([a-z_]+)", target["expr"])
        }
        assert used == declared, title


def at_the_top(plan: Plan) -> set[str]:
    """Every metric that the global cluster of this plan can hold."""
    (hub,) = plan.tier(Tier.GLOBAL)
    records = {edge.records for edge in (*plan.federated_by(hub.name), *hub.discovered)}
    scraped = {"up", "scrape_duration_seconds", "scrape_samples_post_metric_relabeling", "scrape_series_added"}
    names = {record for group in rule_groups(hub) for record in group.records} | OWN | (scraped if records else set())
    if "region" in records:
        names |= {record for record, _ in region_rules(hub.rules)}
    if "cluster" in records or hub.receives_edges or hub.discovered:
        names |= {rule.record for rule in hub.rules}
    names |= OF_QUEUES if hub.destinations else set()
    return names | {name for edge in plan.remote_write for name in edge.keep}


OWN = {
    "caddy_http_request_duration_seconds_count",
    "prometheus_http_requests_total",
    *(f"prometheus_tsdb_{why}_samples_total" for why in ("out_of_bound", "out_of_order", "too_old")),
}
"""What the global cluster's Prometheus and its gateway say of themselves, which the live fleet proves to be there."""


OF_QUEUES = {name for name in KINDS if name.startswith("prometheus_remote_storage_")}
"""What it says where it writes itself, as every writer does."""


def check_queries(plan: Plan) -> None:
    known = at_the_top(plan)
    for what, query in queries(plan):
        names = set(metric_names(promql_parser.parse(query)))
        patterns = re.findall(r'\{__name__=~"([^"]+)"', query)
        for branch in (branch for pattern in patterns for branch in pattern.split("|")):
            selected = Selector.parse(f'{{__name__=~"{branch}"}}').selected(known)
            assert selected, f"{what}: {branch}"
        assert names or patterns, what
        assert names <= known, what


def test_every_query_parses_and_names_only_what_is_at_the_top(plan: Plan) -> None:
    check_queries(plan)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(fleets())
def test_so_it_is_for_whatever_fleet_a_page_describes(page: Page) -> None:
    check_queries(compile_page(read_page(page, {})))


LARGE = {
    "leaves straight to the top": {f"leaf-{each}": {"tier": "leaf", "region": "eu"} for each in range(300)},
    "edges": {f"edge-{each}": {"tier": "edge"} for each in range(300)},
    "leaves of ten regions": {
        **{f"r{each}": {"tier": "regional", "region": f"r{each}"} for each in range(10)},
        **{f"leaf-{each}": {"tier": "leaf", "region": f"r{each % 10}"} for each in range(290)},
    },
}


@pytest.mark.parametrize("clusters", LARGE.values(), ids=LARGE)
def test_a_dashboard_of_hundreds_of_clusters_fits_into_a_config_map(clusters: dict[str, dict[str, str]]) -> None:
    page = {"clusters": {**HUB, **{name: {**each, "context": name} for name, each in clusters.items()}}}
    for text in dashboards(compile_page(read_page(page, {}))).values():
        assert len(text.encode()) < 2**20 / 2


def test_dashboards_can_be_turned_off() -> None:
    page = {"dashboards": False, "clusters": {**HUB, "eu-1": {"tier": "leaf", "context": "eu-1"}}}
    assert not [path for path in render(compile_page(read_page(page, {}))) if path.name.startswith("configmap")]


def test_a_grafanas_sidecar_finds_them_in_the_namespace_of_the_top(dev: Plan) -> None:
    (uid, *_) = dashboards(dev)
    manifest = manifests.dashboard(dev.clusters["hub"], uid, dashboards(dev)[uid])
    assert manifest["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert manifest["metadata"]["namespace"] == "monitoring"
    assert json.loads(manifest["data"][f"{uid}.json"])["uid"] == uid


def evaluated(tmp_path: Path, query: str, series: Mapping[str, str], expected: Mapping[str, float]) -> None:
    """Fails with what Prometheus's own engine answers after ten minutes, where that is not what is expected."""
    samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
    test = {
        "interval": "30s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": "10m", "exp_samples": samples}],
    }
    (tmp_path / "query.test.yaml").write_text(yaml.safe_dump({"evaluation_interval": "30s", "tests": [test]}))
    command = ["promtool", "test", "rules", "query.test.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def pods(cluster: str, namespace: str = "shop") -> str:
    return f'region:cluster_namespace_pod_count:sum{{region="eu",cluster="{cluster}",namespace="{namespace}"}}'


def heartbeat(**labels: str) -> str:
    matchers = [f'{name}="{value}"' for name, value in labels.items()]
    return f"global:heartbeat:timestamp{{{','.join(matchers)}}}"


EU_1, EU_2 = {"region": "eu", "cluster": "eu-1"}, {"region": "eu", "cluster": "eu-2"}


def test_clusters_of_the_plan_that_do_not_report_are_named(dev: Plan, tmp_path: Path) -> None:
    reports = expr(dev, "Global Cluster Overview", "Clusters")
    # A region has a heartbeat of its own.
    series = {heartbeat(**EU_1): "1x20", heartbeat(**EU_2): "1x5 stale", heartbeat(region="eu"): "1x20"}
    expected = {'{cluster="eu-1",region="eu"}': 1.0, '{cluster="eu-2",region="eu"}': 0.0, '{cluster="shop-1"}': 0.0}
    evaluated(tmp_path, reports, series, expected)
    one = expr(dev, "Cluster", "Reports").replace("$cluster", "eu-2")
    evaluated(tmp_path, one, series, {"{}": 0.0})


def test_a_number_says_how_many_clusters_every_sum_lacks(dev: Plan, tmp_path: Path) -> None:
    planned = {'global:clusters_planned:count{region="eu"}': "2x20", "global:clusters_planned:count": "1x20"}
    missing = {'global:clusters_reporting:count{region="eu"}': "1x20", "global:clusters_reporting:count": "0x20"}
    whole = expr(dev, "Global Cluster Overview", "Clusters missing")
    evaluated(tmp_path, whole, planned | missing, {"{}": 2.0})
    region = expr(dev, "Region", "Clusters missing").replace("$region", "eu")
    evaluated(tmp_path, region, planned | missing, {"{}": 1.0})
    there = {name.replace("planned", "reporting"): values for name, values in planned.items()}
    evaluated(tmp_path, whole, planned | there, {"{}": 0.0})


def test_a_cluster_that_comes_up_both_ways_is_counted_once(dev: Plan, tmp_path: Path) -> None:
    query = expr(dev, "Region", "Pods by namespace, top 10").replace("$region", "eu")
    series = {
        pods("eu-1"): "3x20",
        pods("eu-2"): "4x20",
        'cluster:namespace_pod_count:sum{region="eu",cluster="eu-1",namespace="shop",level="cluster"}': "3x20",
        'cluster:namespace_pod_count:sum{cluster="shop-1",namespace="shop"}': "5x20",
    }
    evaluated(tmp_path, query, series, {'{namespace="shop"}': 7.0})


def test_the_error_ratio_of_a_fleet_without_traffic_is_none_and_no_division_by_zero(dev: Plan, tmp_path: Path) -> None:
    def services(metric: str) -> str:
        return f'global:service_http_{metric}:rate5m{{region="eu",cluster="eu-1"}}'

    query = expr(dev, "Global Cluster Overview", "Errors")
    evaluated(tmp_path, query, {services("requests"): "0x20", services("errors"): "0x20"}, {})
    evaluated(tmp_path, query, {services("requests"): "8x20", services("errors"): "2x20"}, {"{}": 0.25})


def test_capacity_of_a_fleet_is_the_ratio_of_its_sums_and_no_mean_of_ratios(dev: Plan, tmp_path: Path) -> None:
    series = {
        f'global:cpu_{what}:sum{{cluster="{name}"}}': f"{value}x20"
        for name, values in {
            "small": {"requests": 2, "allocatable": 2},
            "large": {"requests": 8, "allocatable": 38},
        }.items()
        for what, value in values.items()
    }
    evaluated(tmp_path, expr(dev, "Global Cluster Overview", "CPU requested"), series, {"{}": 0.25})


def test_quantiles_over_clusters_come_from_their_buckets_together(dev: Plan, tmp_path: Path) -> None:
    series = {
        f'global:service_http_request_duration_seconds_bucket:rate5m{{cluster="{name}",le="{le}"}}': f"{value}x20"
        for name, buckets in {"fast": {"0.1": 98, "1": 98, "+Inf": 98}, "slow": {"0.1": 0, "1": 2, "+Inf": 2}}.items()
        for le, value in buckets.items()
    }
    # The 99th of 100 is the first of the two that took up to a second.
    evaluated(tmp_path, expr(dev, "Global Cluster Overview", "Latency, p99"), series, {"{}": 0.1 + 0.9 / 2})


def test_samples_that_a_receiver_refuses_are_counted_for_every_reason(dev: Plan, tmp_path: Path) -> None:
    own = 'job="kube-prometheus-stack-prometheus",type="float"'
    series = {
        f"prometheus_tsdb_{why}_samples_total{{{own}}}": f"0+{number}x20"
        for number, why in ((30, "out_of_order"), (60, "too_old"), (90, "out_of_bound"))
    }
    evaluated(tmp_path, expr(dev, "Remote write", "Refused by the receiver"), series, {"{}": 6.0})


def test_series_that_are_new_are_held_against_the_budget_of_each_child(tmp_path: Path) -> None:
    plan = compile_page(read_page({"clusters": {**HUB, "a": {"tier": "leaf", "context": "a", "budget": 3000}}}, {}))
    series = {'scrape_series_added{job="federate-a",cluster="a"}': "300x20"}
    query = expr(plan, "Cardinality and cost", "Federated by hub", "C")
    # 21 scrapes within ten minutes.
    evaluated(tmp_path, query, series, {'{child="a"}': 21 * 300 / 3000})


def test_top_ten_are_the_ten_largest_at_the_end_of_the_range(dev: Plan, tmp_path: Path) -> None:
    series = {f'global:namespace_cpu:sum{{region="eu",cluster="c{each}"}}': f"{each}x20" for each in range(12)}
    expected = {f'{{region="eu",cluster="c{each}"}}': float(each) for each in range(2, 12)}
    evaluated(tmp_path, expr(dev, "Global Cluster Overview", "CPU by cluster, top 10"), series, expected)


def test_a_child_without_a_target_fails_like_one_that_does_not_answer(tmp_path: Path) -> None:
    leaves = {name: {"tier": "leaf", "context": name} for name in ("up", "down", "gone")}
    plan = compile_page(read_page({"clusters": {**HUB, **leaves}}, {}))
    series = {
        'up{job="federate-up",cluster="up",instance="a"}': "1x20",
        'up{job="federate-down",cluster="down",instance="b"}': "0x20",
        'up{job="prometheus",instance="c"}': "0x20",
    }
    expected = {'{child="up"}': 1.0, '{child="down"}': 0.0, '{child="gone"}': -1.0}
    evaluated(tmp_path, expr(plan, "Federation health", "Scraped by hub"), series, expected)
    evaluated(tmp_path, expr(plan, "Federation health", "Scrapes failing"), series, {"{}": 2.0})


def test_samples_are_held_against_the_budget_of_each_child(tmp_path: Path) -> None:
    leaves = {"small": {"tier": "leaf", "context": "small", "budget": 5000}, "large": {"tier": "leaf", "context": "b"}}
    leaves["large"] |= {"budget": 10000}
    plan = compile_page(read_page({"clusters": {**HUB, **leaves}}, {}))
    series = {
        f'scrape_samples_post_metric_relabeling{{job="federate-{name}",cluster="{name}"}}': "2500x20"
        for name in ("small", "large")
    }
    expected = {'{child="small"}': 0.5, '{child="large"}': 0.25}
    evaluated(tmp_path, expr(plan, "Federation health", "Scraped by hub", "E"), series, expected)
    evaluated(tmp_path, expr(plan, "Federation health", "Fullest budget"), series, {"{}": 0.5})


def test_the_age_of_what_a_child_sent_is_known_for_an_hour_after_it_ended(dev: Plan, tmp_path: Path) -> None:
    series = {
        'up{job="federate-eu",region="eu",instance="a"}': "1x20",
        'region:heartbeat:timestamp{region="eu"}': "1x8 stale",
        'region:cluster_heartbeat:timestamp{region="eu",cluster="eu-1"}': "1x20",
        'region:cluster_heartbeat:timestamp{region="eu",cluster="eu-2"}': "1x8 stale",
    }
    evaluated(tmp_path, expr(dev, "Federation health", "Scraped by hub", "F"), series, {'{child="eu"}': 360.0})
    behind = {'{region="eu",cluster="eu-1"}': 0.0, '{region="eu",cluster="eu-2"}': 360.0}
    evaluated(tmp_path, expr(dev, "Federation health", "Clusters behind regions", "B"), series, behind)


def test_certificates_are_shown_by_the_time_that_is_left(dev: Plan, tmp_path: Path) -> None:
    series = {
        'global:certificate_expiry_timestamp_seconds:min{region="eu",cluster="eu-1"}': "86400x20",
        "global:certificate_expiry_timestamp_seconds:min": "0x20",
    }
    expected = {'{region="eu",cluster="eu-1"}': 86400.0 - 600, "{}": -600.0}
    evaluated(tmp_path, expr(dev, "Federation health", "Gateways"), series, expected)


def test_a_sender_that_is_silent_writes_nothing_instead_of_vanishing(dev: Plan, tmp_path: Path) -> None:
    samples = expr(dev, "Federation health", "Remote writers")
    written = {'http_requests_total{cluster="shop-1",pod="a"}': "1+1x20", 'kube_pod_info{cluster="shop-1"}': "1x18"}
    evaluated(tmp_path, samples, {}, {'{cluster="shop-1"}': 0.0})
    # Ten and eight samples of the two in the last five minutes.
    evaluated(tmp_path, samples, written, {'{cluster="shop-1"}': 18 / 300})
    evaluated(tmp_path, expr(dev, "Federation health", "Remote writers", "B"), written, {'{cluster="shop-1"}': 0.0})
