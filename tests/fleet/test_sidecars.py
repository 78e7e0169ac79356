"""Sidecars at leaves, which lay blocks into the bucket of the fleet's Thanos: who may have one, and what it is told."""

import json
from pathlib import Path
from typing import Any

import pytest
from destinations import CLUSTERS, Page, plan, problems, validated

from fleet.network_policies import network_policies
from fleet.plan import Plan
from fleet.render import render, rendered_values
from fleet.topology import mermaid

BUCKET: Page = {"config": "thanos-objects"}


def page(leaf: Page | None = None, **changes: object) -> Page:
    """A fleet whose leaves have sidecars; `leaf` is what the page says of its first one beside that."""
    clusters = {**CLUSTERS, "eu-1": {**CLUSTERS["eu-1"], **(leaf or {})}}
    thanos = {"objectStorage": BUCKET, "senders": ["edge", "global"], "sidecars": "leaf"}
    return {"clusters": clusters, "thanos": {**thanos, **changes}}


REFUSALS: dict[str, tuple[Page, str, str, str]] = {
    "a tier that writes, too": (
        page(senders=["leaf", "edge"]),
        "thanos.senders",
        "eu-1 and us-1 would bring each sample twice: its sidecar uploads what it writes as well",
        "[edge]",
    ),
    "one of a tier that writes": (
        page(senders=["leaf", "edge"], sidecars=["eu-1"]),
        "thanos.senders",
        "eu-1 would bring each sample twice",
        "[us-1, edge]",
    ),
    "whoever writes, and nobody else does": (page(senders="leaf"), "thanos.senders", "eu-1 and us-1", "[hub]"),
    "edges": (page(sidecars=["leaf", "edge"], senders="hub"), "thanos.sidecars.1", "a sidecar is for leaves", "leaf"),
    "an edge": (
        page(sidecars=["shop-1"], senders="hub"),
        "thanos.sidecars.0",
        "a sidecar is for leaves: an agent has no blocks, and writes; shop-1 belongs among senders",
        "leaf",
    ),
    "a region": (
        page(sidecars=["leaf", "eu"]),
        "thanos.sidecars.1",
        "a sidecar is for leaves: a block has all that Prometheus holds, and would bring leaves' series again",
        "leaf",
    ),
    "the global cluster": (page(sidecars=["hub"], senders="edge"), "thanos.sidecars.0", "a sidecar is for", "leaf"),
    "nobody": (page(sidecars=["eu-2"]), "thanos.sidecars.0", "there is no cluster 'eu-2'", "eu-1"),
    "one twice": (page(sidecars=["eu-1", "eu-1"]), "thanos.sidecars.1", "eu-1 is named twice", ""),
    "a volume": (
        page(objectStorage={"volume": {"size": "5Gi"}}),
        "thanos.objectStorage",
        "a volume is one cluster's, and sidecars are to write there from others",
        "{config: thanos-objects}",
    ),
    "a leaf that forgets": (page({"retention": "4h"}), "clusters.eu-1.retention", "a sidecar needs 6h, or", "1d"),
    "leaves that forget": (
        {**page(), "tiers": {"leaf": {"retention": "4h"}}},
        "tiers.leaf.retention",
        "a sidecar needs 6h, or blocks are gone before somebody could mend an upload",
        "1d",
    ),
    "what another has of them, and writes": (
        page(senders="eu", keep=["cluster:heartbeat:timestamp", "region:.+"]),
        "thanos.keep",
        "cluster:heartbeat:timestamp of eu-1 would reach this store twice",
        "region:.+",
    ),
    "what another has of them, and writes beside its own": (
        page(senders=["hub", "eu"], keep="cluster:.+"),
        "thanos.senders",
        (
            "cluster:alerts_delivered:rate5m and 32 more of eu-1 would reach this store twice: eu-1 uploads it to "
            "thanos, and eu, which has it from there, writes it too; sums would double, so take eu out of these"
        ),
        "[hub]",
    ),
}


@pytest.mark.parametrize(("given", "path", "message", "fix"), REFUSALS.values(), ids=REFUSALS)
def test_a_mistake_is_refused_where_it_was_made(given: Page, path: str, message: str, fix: str) -> None:
    ((where, said, right),) = problems(given)
    assert where == path
    assert said.startswith(message)
    assert fix in right


def test_what_is_doubled_is_told_apart_from_who_is_left_nothing() -> None:
    found = problems(page(senders=["edge", "hub", "eu"], keep="cluster:.+"))
    assert [(path, fix.split(": ")[-1]) for path, _, fix in found] == [
        ("thanos.senders.0", "[hub, eu]"),
        ("thanos.senders", "[edge, hub]"),
    ]


def spec(compiled: Plan, name: str) -> dict[str, Any]:
    values = json.loads(json.dumps(rendered_values(compiled, compiled.clusters[name])))
    return values["prometheus"]["prometheusSpec"]


def as_object(thanos: Page) -> Page:
    """As the chart passes it on: tests/local/chart_objects.yaml."""
    return {**thanos, "objectStorageConfig": thanos["objectStorageConfig"]["existingSecret"]}


def test_leaves_alone_have_one_and_the_operators_object_takes_it() -> None:
    compiled = plan(page())
    assert {name for name in compiled.clusters if "thanos" in spec(compiled, name)} == {"eu-1", "us-1"}
    given = as_object(spec(compiled, "eu-1")["thanos"])
    answer = validated("Prometheus", {"thanos": given})
    assert not answer["errors"]
    assert not answer["dropped"]


@pytest.mark.parametrize(
    ("storage", "secret"),
    [
        (BUCKET, {"name": "thanos-objects", "key": "objstore.yml"}),
        ({"secret": "bucket", "key": "s3.yaml"}, {"name": "bucket", "key": "s3.yaml"}),
    ],
    ids=["config", "secret"],
)
def test_the_secret_is_at_each_leaf_and_made_there_where_the_config_has_it(storage: Page, secret: Page) -> None:
    compiled = plan(page(objectStorage=storage))
    own = spec(compiled, "eu-1")
    assert own["thanos"]["objectStorageConfig"] == {"existingSecret": secret}
    is_made = Path("eu-1/secret-thanos-objects.yaml") in render(compiled)
    assert is_made is ("podMetadata" in own) is (storage == BUCKET)


@pytest.mark.parametrize("sidecars", [["eu-1"], ["us-1"]], ids=["with one", "without"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("additionalArgs", [{"name": "http-address", "value": "0.0.0.0:1"}]),
        ("objectStorageConfig.existingSecret.name", "other"),
        ("objectStorageConfigFile", "/etc/other.yml"),
        ("listenLocal", False),
        ("grpcListenLocal", False),
        ("httpListenLocal", False),
        ("image", "thanos:latest"),
        ("version", "v0.1.0"),
        ("baseImage", "thanos"),
        ("tag", "latest"),
        ("sha", "0"),
    ],
)
@pytest.mark.parametrize("section", ["thanos", "additionalConfig.thanos"])
def test_no_value_undoes_what_a_sidecar_promises(sidecars: list[str], key: str, value: object, section: str) -> None:
    where = f"prometheus.prometheusSpec.{section}.{key}"
    values = value
    for part in reversed(where.split(".")):
        values = {part: values}
    ((path, said, _),) = problems(page({"values": values}, sidecars=sidecars))
    if "eu-1" in sidecars:
        assert path == f"clusters.eu-1.values.{where}"
        assert said.startswith("is not the page's to set: ")
    else:
        assert path == f"clusters.eu-1.values.prometheus.prometheusSpec.{section}"
        assert said.startswith("is for a Thanos sidecar, and eu-1 has none: ")


def test_what_a_sidecar_may_use_is_a_value_of_the_page() -> None:
    resources = {"requests": {"memory": "256Mi"}}
    values = {"prometheus": {"prometheusSpec": {"thanos": {"resources": resources}}}}
    given = spec(plan(page({"values": values})), "eu-1")["thanos"]
    assert given["resources"]["requests"]["memory"] == "256Mi"
    assert given["grpcListenLocal"] is True


def test_nobody_else_can_ask_it_and_its_own_prometheus_does() -> None:
    own = spec(plan(page()), "eu-1")
    assert own["thanos"]["grpcListenLocal"] is own["thanos"]["httpListenLocal"] is True
    (job,) = (each for each in own["additionalScrapeConfigs"] if each["job_name"] == "thanos-sidecar")
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:10902"]


def test_a_mirror_has_its_image_and_the_operator_is_told_of_which_version_it_is() -> None:
    chart = {"chart": {"source": "oci://mirror.example.com/kps", "version": "88.5.3", "registry": "mirror.example.com"}}
    given = spec(plan({**page(), **chart}), "eu-1")["thanos"]
    assert given["image"] == f"mirror.example.com/thanos/thanos:{given['version']}"


def test_blocks_of_replicas_are_told_apart_by_the_label_that_queries_leave_out() -> None:
    compiled = plan(page({"replicas": 2}))
    assert spec(compiled, "eu-1")["replicaExternalLabelName"] == "prometheus_replica"
    assert spec(compiled, "us-1")["replicaExternalLabelNameClear"] is True


def test_whoever_uploads_writes_to_no_store_and_needs_no_key_for_one() -> None:
    compiled = plan(page())
    assert {edge.sender for edge in compiled.stores} == {"shop-1", "hub"}


def test_a_leaf_may_reach_the_bucket_and_nobody_reaches_the_sidecar() -> None:
    def policy(compiled: Plan, name: str) -> Any:
        found = network_policies(compiled.clusters[name])
        return next(json.loads(json.dumps(each))["spec"] for each in found if each["metadata"]["name"] == "prometheus")

    compiled = plan(page(sidecars=["eu-1"]))
    anybody = {"ports": [{"protocol": "TCP"}]}
    assert anybody in policy(compiled, "eu-1")["egress"]
    assert anybody not in policy(compiled, "us-1")["egress"]
    assert policy(compiled, "eu-1")["ingress"] == policy(compiled, "us-1")["ingress"]


def test_the_drawing_says_that_blocks_go_to_thanos() -> None:
    drawn = mermaid(plan(page()))
    assert drawn.count("thanos<br/>at hub") == 1
    assert drawn.count('-.->|"blocks"| t') == 2


def test_leaves_without_a_volume_are_warned_of_by_name() -> None:
    def warned(given: Page) -> list[str]:
        return [each for each in plan(given).warnings if "sidecar" in each]

    (warning,) = warned(page({"storage": {"size": "20Gi"}}))
    assert warning.startswith("us-1 with a sidecar and no storage")
    assert not warned({**page(), "tiers": {"leaf": {"storage": {"size": "20Gi"}}}})
