"""Panels and metrics, asked of the live fleet: none is empty, and each metric is of the type it is taken for."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from kubectl import api, eventually, kubectl, objects

from fleet.dashboards import dashboards
from fleet.plan import Plan
from tests.expressions import branches, every, plan
from tests.metrics import KINDS, served

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.alone,
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("fleet"),
]

A_REGION_IS_COMPLETE = 60
"""Seconds after `make demo`, which waits for each edge alone."""

OF_A_LEAF = {"region": "eu", "cluster": "eu-1"}
OF_AN_EDGE = {"cluster": "shop-1"}

_OF_LEAVES = "kubelets, nodes and API servers are scraped in leaves alone"
EMPTY_FOR_AN_EDGE = {
    **dict.fromkeys(("CPU", "Memory", "Pods", "Pods not ready", "Volumes nearly full"), _OF_LEAVES),
    **dict.fromkeys(("CPU requested", "Memory requested", "Node CPU", "Node memory", "API server errors"), _OF_LEAVES),
    **dict.fromkeys((f"{each} by namespace, top 10" for each in ("CPU", "Memory", "Pods")), _OF_LEAVES),
    "Namespaces": _OF_LEAVES,
}


@pytest.fixture(scope="module")
def loaded() -> dict[str, dict[str, Any]]:
    """What a Grafana's sidecar would load, by title."""
    found = objects("hub", "configmaps", "--all-namespaces", "--selector=grafana_dashboard=1")
    models = [json.loads(text) for each in found for text in each["data"].values()]
    return {model["title"]: model for model in models}


def series(panel: dict[str, Any], target: dict[str, Any], variables: Mapping[str, str]) -> list[Any]:
    query = target["expr"]
    for name, value in variables.items():
        query = query.replace(f"${name}", value)
    if panel["type"] != "timeseries":
        return api("hub", "query", query=query)["result"]
    now = time.time()
    return api("hub", "query_range", query=query, start=str(now - 30), end=str(now), step="5")["result"]


def empty(model: dict[str, Any], variables: Mapping[str, str]) -> set[str]:
    """Titles of panels with a query that returns nothing."""
    return {
        panel["title"]
        for panel in model["panels"]
        for target in panel["targets"]
        if not series(panel, target, variables)
    }


def test_what_lies_in_the_cluster_is_what_the_page_makes(dev: Plan) -> None:
    for uid, text in dashboards(dev).items():
        found = json.loads(kubectl("hub", "--namespace=monitoring", "get", "configmap", uid, "--output=json"))
        assert found["data"] == {f"{uid}.json": text}


def test_no_panel_is_empty(loaded: dict[str, dict[str, Any]]) -> None:
    def full(title: str) -> None:
        assert empty(loaded[title], OF_A_LEAF) == set()

    titles = {"Global Cluster Overview", "Region", "Cluster", "Federation health"}
    assert set(loaded) == titles | {"Remote write", "Cardinality and cost"}
    for title in loaded:
        eventually(lambda title=title: full(title), within=A_REGION_IS_COMPLETE, every=2)


def test_an_edge_shows_what_it_sends(loaded: dict[str, dict[str, Any]]) -> None:
    def shown() -> None:
        assert empty(loaded["Cluster"], OF_AN_EDGE) == set(EMPTY_FOR_AN_EDGE)

    eventually(shown, within=A_REGION_IS_COMPLETE, every=2)


def values(loaded: dict[str, dict[str, Any]], title: str, panel: str, ref: str = "A") -> dict[str, float]:
    """Of a panel on whose rows stand clusters or children, by their name; "" where there is one number alone."""
    (found,) = [each for each in loaded[title]["panels"] if each["title"] == panel]
    target = next(each for each in found["targets"] if each["refId"] == ref)
    return {
        each["metric"].get("cluster", each["metric"].get("child", "")): float(each["value"][1])
        for each in series(found, target, OF_A_LEAF)
    }


def test_a_healthy_fleet_misses_nobody_and_all_of_it_is_fresh(loaded: dict[str, dict[str, Any]]) -> None:
    health = "Federation health"

    def healthy() -> None:
        reports = values(loaded, "Global Cluster Overview", "Clusters")
        assert reports == {"eu-1": 1.0, "eu-2": 1.0, "shop-1": 1.0}
        for panel in ("Clusters missing", "Scrapes failing", "Writers silent"):
            assert values(loaded, health, panel) == {"": 0.0}, panel
        for panel in ("Slowest scrape", "Fullest budget"):
            (share,) = values(loaded, health, panel).values()
            assert 0 < share < 1, panel
        for panel, ref in {"Scraped by hub": "F", "Clusters behind regions": "B", "Remote writers": "B"}.items():
            (found,) = [each for each in loaded[health]["panels"] if each["title"] == panel]
            heading = found["fieldConfig"]["overrides"][ord(ref) - ord("A")]
            assert heading["matcher"]["options"] == "Newest sample"
            limits = next(each["value"] for each in heading["properties"] if each["id"] == "thresholds")
            ages = values(loaded, health, panel, ref)
            assert ages, panel
            assert all(0 <= age < limits["steps"][-1]["value"] for age in ages.values()), (panel, ages)

    eventually(healthy, within=A_REGION_IS_COMPLETE, every=2)


def test_metrics_that_expressions_name_are_served_and_of_the_type_that_is_recorded() -> None:
    asked = {branch for found in every(plan()) for branch in branches(found.text)} & set(KINDS)

    def all_served() -> None:
        found = served()
        assert {name: found.get(name) for name in asked} == {name: KINDS[name] for name in asked}

    eventually(all_served, within=A_REGION_IS_COMPLETE, every=5)
