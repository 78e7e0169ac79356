import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.compiler import compile_page
from fleet.duration import parse_duration
from fleet.names import Tier
from fleet.page import read_page
from fleet.plan import Plan
from fleet.render import rendered_values
from fleet.values import merge, taken_late

KNOWN = Path(__file__).parents[2] / "fleet" / "data" / "kube-prometheus-stack-88.5.3.paths.txt"


def paths(values: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from paths(value, f"{path}.")
        else:
            yield path


@pytest.mark.parametrize("name", ["eu-1", "eu", "hub", "shop-1"])
def test_every_value_is_one_that_the_real_chart_has(dev: Plan, name: str) -> None:
    known = set(KNOWN.read_text().split())
    open_ended = tuple(path.removesuffix("*") for path in known if path.endswith(".*"))
    # The chart's default is false where its template and the operator want a section.
    known.add("prometheus.prometheusSpec.arbitraryFSAccessThroughSMs.deny")
    # Null, which takes a section of the chart's away.
    known.add("prometheus.prometheusSpec.tsdb")
    unknown = [
        path
        for path in paths(rendered_values(dev, dev.clusters[name]))
        if path not in known and not f"{path}.".startswith(open_ended)
    ]
    assert unknown == []


def test_the_page_has_the_last_word() -> None:
    assert merge({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}}


def test_an_edge_forces_its_name_and_sends_only_what_is_kept(dev: Plan) -> None:
    spec = rendered_values(dev, dev.clusters["shop-1"])["prometheus"]["prometheusSpec"]
    (write,) = spec["remoteWrite"]
    keep, *forced = write["writeRelabelConfigs"]
    assert keep["action"] == "keep"
    assert "http_requests_total" in keep["regex"].split("|")
    assert forced == [
        {"targetLabel": "cluster", "replacement": "shop-1"},
        {"action": "labeldrop", "regex": "region"},
    ]


def test_no_operator_label_travels_up(dev: Plan) -> None:
    for cluster in dev.clusters.values():
        spec = rendered_values(dev, cluster)["prometheus"]["prometheusSpec"]
        assert spec["prometheusExternalLabelNameClear"] is True
        assert spec["replicaExternalLabelNameClear"] is True
        assert spec["externalLabels"] == cluster.external_labels


def test_parents_alone_write_series_that_have_ended_out_of_their_memory(dev: Plan) -> None:
    for cluster in dev.clusters.values():
        spec = rendered_values(dev, cluster)["prometheus"]["prometheusSpec"]
        if cluster.tier in {Tier.REGIONAL, Tier.GLOBAL}:
            # The chart passes nothing but outOfOrderTimeWindow of `tsdb` on, and would write its own beside this.
            assert spec["tsdb"] is None
            assert spec["additionalConfig"]["tsdb"]["staleSeriesCompactionThreshold"] == "0.5"
        else:
            assert not {"tsdb", "additionalConfig"} & set(spec)


def test_only_who_is_written_to_takes_samples_late_and_later_than_anybody_sends_them(dev: Plan) -> None:
    windows = {
        name: tsdb["outOfOrderTimeWindow"]
        for name, cluster in dev.clusters.items()
        if "outOfOrderTimeWindow" in (tsdb := database(rendered_values(dev, cluster)))
    }
    assert windows == {"hub": "4h40m"}
    (written,) = rendered_values(dev, dev.clusters["shop-1"])["prometheus"]["prometheusSpec"]["remoteWrite"]
    limit = parse_duration(written["queueConfig"]["sampleAgeLimit"])
    assert limit < parse_duration(windows["hub"]) == taken_late(dev.clusters["hub"])
    assert limit >= AGENTS_LOG


AGENTS_LOG = timedelta(hours=4)
"""`--storage.agent.retention.max-time` by Prometheus's own default."""


def database(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return values["prometheus"]["prometheusSpec"].get("additionalConfig", {}).get("tsdb", {})


@pytest.mark.parametrize(
    ("given", "taken"),
    [({}, "1h"), ({"tsdb": {"outOfOrderTimeWindow": "0s"}}, "1h"), ({"tsdb": {"outOfOrderTimeWindow": "12h"}}, "12h")],
)
def test_how_late_samples_are_taken_is_what_the_page_says_and_an_hour_without(
    given: dict[str, object], taken: str
) -> None:
    clusters = {"hub": {"tier": "global", "context": "hub"}, "eu-1": {"tier": "leaf", "context": "eu-1"}}
    page = {"clusters": clusters, "values": {"prometheus": {"prometheusSpec": given}}}
    assert taken_late(compile_page(read_page(page, {})).clusters["hub"]) == parse_duration(taken)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"tsdb": {"outOfOrderTimeWindow": "30m"}}, {"tsdb": {"outOfOrderTimeWindow": "30m"}}),
        ({"additionalConfig": {"tsdb": {"outOfOrderTimeWindow": "30m"}}}, {"tsdb": {"outOfOrderTimeWindow": "30m"}}),
        ({"additionalConfig": {"dnsPolicy": "Default"}}, {"dnsPolicy": "Default"}),
    ],
)
def test_what_a_page_sets_of_the_database_joins_what_the_fleet_sets(
    given: dict[str, object], found: dict[str, dict[str, str] | str]
) -> None:
    clusters = {"hub": {"tier": "global", "context": "hub"}, "eu-1": {"tier": "leaf", "context": "eu-1"}}
    page = {"clusters": clusters, "values": {"prometheus": {"prometheusSpec": given}}}
    plan = compile_page(read_page(page, {}))
    leaf, parent = (
        rendered_values(plan, plan.clusters[name])["prometheus"]["prometheusSpec"] for name in ("eu-1", "hub")
    )
    assert leaf["additionalConfig"] == found
    assert parent["additionalConfig"] == merge({"tsdb": {"staleSeriesCompactionThreshold": "0.5"}}, found)
    assert parent["tsdb"] is None


def test_a_pod_is_given_the_time_that_its_prometheus_may_take_to_stop() -> None:
    def seconds(cluster: dict[str, object], page: dict[str, object] | None = None) -> object:
        return spec_of(cluster, page)["terminationGracePeriodSeconds"]

    auth = {"bearer": {"secret": "store"}}
    store = {"kind": "generic", "url": "https://store.example/push", "senders": "eu-1", "auth": auth}
    assert seconds({}) == 120
    assert seconds({"tier": "edge"}) == 180
    assert seconds({"up": "remote_write"}, {"destinations": {"store": store}}) == 240


def spec_of(cluster: dict[str, object], page: dict[str, object] | None = None) -> dict[str, object]:
    """Of a leaf `eu-1` below a hub, as `prometheusSpec`."""
    clusters = {"hub": {"tier": "global", "context": "hub"}, "eu-1": {"tier": "leaf", "context": "eu-1", **cluster}}
    plan = compile_page(read_page({**(page or {}), "clusters": clusters}, {}))
    return rendered_values(plan, plan.clusters["eu-1"])["prometheus"]["prometheusSpec"]


def test_a_volume_is_filled_up_to_a_limit_that_follows_from_its_size() -> None:
    spec = spec_of({"storage": {"size": "100Gi", "class": "fast"}, "retention": "2d"})
    assert spec["storageSpec"] == {
        "volumeClaimTemplate": {
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "100Gi"}},
                "storageClassName": "fast",
            }
        }
    }
    assert (spec["retention"], spec["retentionSize"]) == ("48h", "87040MiB")


def test_what_the_page_leaves_out_is_left_to_the_chart() -> None:
    spec = spec_of({})
    assert not {"storageSpec", "retentionSize", "resources", "scrapeTimeout", "remoteWrite"} & set(spec)


def test_replicas_resources_and_timeouts_are_those_of_the_page() -> None:
    resources = {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    spec = spec_of({"replicas": 2, "resources": resources}, {"intervals": {"timeout": "7s"}})
    assert spec["replicas"] == 2
    assert spec["resources"] == {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    assert spec["scrapeTimeout"] == "7s"


def test_the_crds_are_updated_before_the_rest_at_every_tier_by_images_of_exact_tags(dev: Plan) -> None:
    assert {cluster.tier for cluster in dev.clusters.values()} == set(Tier)
    for cluster in dev.clusters.values():
        job = rendered_values(dev, cluster)["crds"]["upgradeJob"]
        assert job["enabled"] is True
        assert re.fullmatch(r"\d+\.\d+\.\d+", job["image"]["busybox"]["tag"])


def test_a_mirror_serves_every_image_the_gateways_too() -> None:
    page = {"chart": {"version": "88.5.3", "registry": "mirror.example.com/hub"}}
    clusters = {"hub": {"tier": "global", "context": "hub"}, "eu-1": {"tier": "leaf", "context": "eu-1"}}
    plan = compile_page(read_page({**page, "clusters": clusters}, {}))
    values = rendered_values(plan, plan.clusters["eu-1"])
    assert values["global"] == {"imageRegistry": "mirror.example.com/hub"}
    _, gateway = values["prometheus"]["prometheusSpec"]["containers"]
    assert gateway["image"].startswith("mirror.example.com/hub/library/caddy:")


def test_a_leaf_that_writes_has_no_gateway_and_forces_its_name() -> None:
    spec = spec_of({"up": "remote_write", "region": "eu"})
    assert [container["name"] for container in spec["containers"]] == ["prometheus"]
    (write,) = spec["remoteWrite"]
    keep, *forced = write["writeRelabelConfigs"]
    assert all(name.startswith("cluster:") for name in keep["regex"].split("|"))
    assert forced == [
        {"targetLabel": "cluster", "replacement": "eu-1"},
        {"targetLabel": "region", "replacement": "eu"},
    ]


def test_a_leafs_service_can_be_discovered_and_those_of_the_tiers_above_cannot(dev: Plan) -> None:
    services = {name: rendered_values(dev, each)["prometheus"].get("service") for name, each in dev.clusters.items()}
    assert services.pop("eu-1") == {"labels": {"app.kubernetes.io/name": "prometheus", "cluster": "eu-1"}}
    assert services.pop("eu-2") is not None
    assert set(services.values()) == {None}


def test_volumes_outlive_what_claimed_them_and_nothing_is_said_where_there_are_none() -> None:
    kept = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec_of({"storage": {"size": "10Gi"}})["persistentVolumeClaimRetentionPolicy"] == kept
    assert "persistentVolumeClaimRetentionPolicy" not in spec_of({})
