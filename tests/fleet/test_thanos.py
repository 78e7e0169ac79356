"""The fleet's own Thanos: what is refused, who writes what to it, and what is made of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from destinations import CLUSTERS, Page, all_queues, plan, problems

from fleet.bucket import bucket_in_config
from fleet.errors import FleetError
from fleet.gateway import Caller, Tls, caddy_config
from fleet.names import THANOS_PARTS, Tier, thanos_workload
from fleet.network_policies import network_policies, thanos_policies
from fleet.plan import Plan
from fleet.render import render, rendered_values
from fleet.thanos import endpoints, hashrings, services, workloads
from fleet.topology import mermaid

BUCKET: Page = {"objectStorage": {"config": "thanos-objects"}}
THANOS: Page = {**BUCKET, "senders": ["leaf", "edge", "global"]}


def page(**changes: object) -> Page:
    thanos = {key: value for key, value in {**THANOS, **changes}.items() if value is not None}
    return {"clusters": CLUSTERS, "thanos": thanos}


REFUSALS: dict[str, tuple[Page, str, str]] = {
    "no bucket": (page(objectStorage=None), "thanos.objectStorage", "is missing"),
    "a bucket of nowhere": (
        page(objectStorage={}),
        "thanos.objectStorage.config",
        "is missing, or secret or volume instead of it",
    ),
    "two buckets": (
        page(objectStorage={"config": "a", "secret": "b"}),
        "thanos.objectStorage.secret",
        "config and secret exclude each other: blocks lie in one place",
    ),
    "a key of no Secret": (
        page(objectStorage={"config": "a", "key": "objects.yaml"}),
        "thanos.objectStorage.key",
        "has no meaning without secret: it is a key of that",
    ),
    "no senders": (page(senders=None), "thanos.senders", "is missing"),
    "a sender that is none": (page(senders=["eu-2"]), "thanos.senders.0", "there is no cluster 'eu-2'"),
    "a sender twice": (page(senders=["leaf", "leaf"]), "thanos.senders.1", "leaf is named twice"),
    "a sender that its tier stands for": (
        page(senders=["leaf", "eu-1"]),
        "thanos.senders.1",
        "has no effect: leaf stands for all of its clusters already",
    ),
    "fewer receivers than replicas": (
        page(replication=3),
        "thanos.receivers",
        "each sample is to be at 3 receivers, and these are fewer",
    ),
    "raw samples that are gone before coarse ones are made": (
        page(retention={"raw": "1d"}),
        "thanos.retention.raw",
        "what is coarser is made of it when it is 72h old, and it must be there",
    ),
    "samples of five minutes that are gone before those of an hour are made": (
        page(retention={"fiveMinutes": "10d"}),
        "thanos.retention.fiveMinutes",
        "what is coarser is made of it when it is 504h old, and it must be there",
    ),
    "a list that keeps nothing": (
        page(senders=["leaf"], keep=["cluster:heartbeat:timestamp", "clutser:.+"]),
        "thanos.keep.1",
        "keeps nothing: no rule and no allowed metric of eu-1 and us-1 is like 'clutser:.+'",
    ),
    "a queue that is too small": (
        page(senders=["leaf"], series=400_000, queue={"maxShards": 1}),
        "thanos.queue.maxShards",
        "carries 4000 samples per second at most",
    ),
    "a destination of its name": (
        page()
        | {
            "destinations": {
                "thanos": {
                    "kind": "thanos",
                    "url": "https://thanos.example.com/api/v1/receive",
                    "senders": "hub",
                    "auth": {"bearer": {"secret": "thanos"}},
                }
            }
        },
        "destinations.thanos",
        "is what senders call the Thanos of the fleet, and both would name the same queue",
    ),
    "a cluster of its name": (
        page() | {"clusters": {**CLUSTERS, "thanos": {"tier": "leaf", "region": "eu", "context": "thanos"}}},
        "clusters.thanos",
        "is what senders call the Thanos of the fleet, and both would name the same queue",
    ),
}


@pytest.mark.parametrize(("given", "path", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_mistake_is_refused_where_it_was_made(given: Page, path: str, message: str) -> None:
    found = problems(given)
    assert [where for where, _, _ in found] == [path]
    assert found[0][1].startswith(message)


@pytest.mark.parametrize(
    ("given", "message", "right"),
    [
        (2, "2 is not one of 1, 3, 5", 3),
        (7, "7 is not one of 1, 3, 5", 5),
        ("3", "'3' is text; without quotes it is a number", 3),
        ("three", "'three' is not one of 1, 3, 5", 1),
        ([3], "a list is not one of 1, 3, 5", 1),
    ],
)
def test_a_replication_that_is_none_is_offered_as_the_number_that_is_next(
    given: object, message: str, right: int
) -> None:
    ((path, said, fix),) = problems(page(receivers=7, replication=given))
    assert (path, said, fix) == ("thanos.replication", message, f"thanos:\n  replication: {right}")
    assert problems(page(receivers=7, replication=right)) == []


def test_what_two_clusters_would_write_is_refused() -> None:
    (found, *_) = problems(page(senders=["edge", "global"], keep=["apiserver_request_total"]))
    assert found[0] == "thanos.senders"
    assert "apiserver_request_total of shop-1 would reach this store twice" in found[1]
    assert found[1].endswith("so leave it to edge alone")


def queue(compiled: Plan, sender: str) -> dict[str, Any]:
    (found,) = (each for each in all_queues(compiled, sender) if each["name"] == "thanos")
    return found


def test_each_sender_writes_what_no_other_does_with_a_key_of_its_own() -> None:
    compiled = plan(page(senders=["leaf", "edge", "regional", "global"]))
    assert {edge.sender: edge.keep for edge in compiled.stores} == {
        "eu-1": (),
        "us-1": (),
        "shop-1": (),
        "eu": ("region:.+",),
        "us": ("region:.+",),
        "hub": ("global:.+",),
    }
    keys = {queue(compiled, edge.sender)["basicAuth"]["password"]["key"] for edge in compiled.stores}
    assert keys == {"hub.thanos.password"}
    assert len({edge.id for edge in compiled.edges}) == len(compiled.edges)


def test_an_edge_has_a_queue_and_a_key_for_each_of_both_stores() -> None:
    first, second = all_queues(plan(page()), "shop-1")
    assert (first["name"], second["name"]) == ("hub", "thanos")
    assert first["url"].endswith("/api/v1/write")
    assert second["url"] == "https://hub.gateway.invalid:9443/api/v1/receive"
    assert first["basicAuth"]["password"]["key"] != second["basicAuth"]["password"]["key"]


def test_a_leaf_speaks_for_itself_and_the_hub_for_all() -> None:
    compiled = plan(page())
    asserted = {"replacement": "eu-1", "targetLabel": "cluster"}
    assert asserted in queue(compiled, "eu-1")["writeRelabelConfigs"]
    assert [each["action"] for each in queue(compiled, "hub")["writeRelabelConfigs"]] == ["keep"]


def test_replicas_are_told_apart_by_a_label_that_queries_leave_out() -> None:
    clusters = {**CLUSTERS, "eu-1": {**CLUSTERS["eu-1"], "replicas": 2}}
    compiled = plan({**page(senders=["leaf"]), "clusters": clusters})
    spec = json.loads(json.dumps(rendered_values(compiled, compiled.clusters["eu-1"])))["prometheus"]["prometheusSpec"]
    assert spec["replicaExternalLabelName"] == "prometheus_replica"
    assert "--query.replica-label=prometheus_replica" in arguments(compiled, "query")
    other = json.loads(json.dumps(rendered_values(compiled, compiled.clusters["us-1"])))["prometheus"]["prometheusSpec"]
    assert "replicaExternalLabelName" not in other


def of_thanos(compiled: Plan) -> dict[str, Any]:
    hub = compiled.clusters["hub"]
    assert hub.thanos is not None
    made = workloads(hub, hub.thanos, "1a2b3c").values()
    return {str(each["metadata"]["name"]): json.loads(json.dumps(each)) for each in made}


def arguments(compiled: Plan, part: str) -> list[str]:
    (container,) = of_thanos(compiled)[f"thanos-{part}"]["spec"]["template"]["spec"]["containers"]
    return container["args"]


def test_one_more_receiver_moves_a_part_of_the_series_and_starts_no_pod_anew() -> None:
    few, more = plan(page(receivers=2)), plan(page(receivers=3))
    before, after = of_thanos(few), of_thanos(more)
    assert (before["thanos-receiver"]["spec"].pop("replicas"), after["thanos-receiver"]["spec"].pop("replicas")) == (
        2,
        3,
    )
    assert before == after
    hosts = [f"10.0.0.{number}:10901" for number in range(3)]
    (ring,) = json.loads(hashrings(hosts))
    assert ring["algorithm"] == "ketama"
    assert [each["address"] for each in ring["endpoints"]] == hosts
    assert all(host in endpoints(hosts) for host in hosts)


def test_each_receiver_has_an_address_that_outlives_its_pod() -> None:
    hub = plan(page(receivers=3)).clusters["hub"]
    assert hub.thanos is not None
    made = services(hub, hub.thanos)
    for number in range(3):
        selector = json.loads(json.dumps(made[f"thanos-receiver-{number}"]))["spec"]["selector"]
        assert selector["statefulset.kubernetes.io/pod-name"] == f"thanos-receiver-{number}"


@pytest.mark.parametrize(
    ("given", "argument"),
    [
        ({"config": "thanos-objects"}, "--objstore.config-file=/etc/thanos/objects/objstore.yml"),
        ({"secret": "bucket", "key": "s3.yaml"}, "--objstore.config-file=/etc/thanos/objects/objstore.yml"),
        (
            {"volume": {"size": "1Gi"}},
            '--objstore.config={"type": "FILESYSTEM", "config": {"directory": "/bucket"}}',
        ),
    ],
    ids=["config", "secret", "volume"],
)
def test_whoever_reads_or_writes_blocks_is_told_of_the_bucket_and_nobody_else(given: Page, argument: str) -> None:
    compiled = plan(page(objectStorage=given))
    told = {part for part in THANOS_PARTS if argument in arguments(compiled, part)}
    assert told == {"receiver", "store", "compactor"}


def test_a_changed_bucket_starts_those_anew_that_read_it_and_no_others() -> None:
    hub = plan(page()).clusters["hub"]
    assert hub.thanos is not None
    first, second = (
        {str(each["metadata"]["name"]): json.dumps(each) for each in workloads(hub, hub.thanos, mark).values()}
        for mark in ("one", "two")
    )
    assert {name for name in first if first[name] != second[name]} == {
        "thanos-receiver",
        "thanos-store",
        "thanos-compactor",
    }


def test_somebody_elses_secret_is_not_made() -> None:
    def has_secret(storage: Page) -> bool:
        return Path("hub/secret-thanos-objects.yaml") in render(plan(page(objectStorage=storage)))

    assert has_secret({"config": "thanos-objects"})
    assert not has_secret({"secret": "thanos-objects"})


def test_whoever_reaches_a_page_of_the_store_or_the_compactor_cannot_have_blocks_deleted() -> None:
    for part in ("store", "compactor"):
        assert {"--disable-admin-operations", "--web.disable"} <= set(arguments(plan(page()), part))


def test_a_sender_whose_clock_is_wrong_does_not_shut_the_others_out() -> None:
    assert "--tsdb.too-far-in-future.time-window=10m" in arguments(plan(page()), "receiver")


def test_receivers_without_a_volume_are_warned_of() -> None:
    def warned(given: Page) -> bool:
        return any("thanos.storage" in each for each in plan(given).warnings)

    assert warned(page())
    assert not warned(page(storage={"size": "50Gi"}))
    assert not warned(page(objectStorage={"volume": {"size": "5Gi"}}))


def test_a_hub_that_writes_to_its_own_thanos_may_call_its_gateway_whoever_else_may() -> None:
    def callers(senders: list[str]) -> list[object]:
        given = {**page(senders=senders), "networkPolicies": {"callers": ["198.51.100.0/24"]}}
        (policy,) = (
            each["spec"]
            for each in network_policies(plan(given).clusters["hub"])
            if each["metadata"]["name"] == "prometheus"
        )
        rules = json.loads(json.dumps(policy))["ingress"]
        return [each["from"] for each in rules if each["ports"] == [{"protocol": "TCP", "port": 9443}]]

    own = [{"podSelector": {"matchLabels": {"operator.prometheus.io/name": "kube-prometheus-stack-prometheus"}}}]
    assert own in callers(["global"])
    assert own not in callers(["leaf"])


def test_a_part_has_the_room_that_the_page_gives_it() -> None:
    given = page(compactor={"storage": {"size": "200Gi"}}, store={"resources": {"requests": {"memory": "4Gi"}}})
    made = of_thanos(plan(given))
    (claim,) = made["thanos-compactor"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "200Gi"
    (container,) = made["thanos-store"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"requests": {"memory": "4Gi"}}


def test_every_pod_may_do_as_little_as_the_restricted_standard_asks() -> None:
    for name, each in of_thanos(plan(page())).items():
        pod = each["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_each_part_has_a_policy_of_its_own_unless_the_page_switches_them_off() -> None:
    hub = plan(page()).clusters["hub"]
    assert {each["metadata"]["name"] for each in thanos_policies(hub)} == {
        thanos_workload(part) for part in THANOS_PARTS
    }
    assert thanos_policies(plan({**page(), "networkPolicies": False}).clusters["hub"]) == ()


def reverse_proxies(node: object) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        own = [node] if node.get("handler") == "reverse_proxy" else []
        return [*own, *(each for value in node.values() for each in reverse_proxies(value))]
    return [each for value in node for each in reverse_proxies(value)] if isinstance(node, list) else []


def test_the_gateway_brings_samples_to_thanos_and_only_what_it_needs_of_a_request() -> None:
    compiled = plan(page())
    callers = [Caller(edge, {1: "$hash"}) for edge in compiled.calls_to("hub")]
    config = caddy_config(callers, Tls([], []), "10.0.0.9:9093", thanos="10.0.0.8:19291")
    proxies = [each for each in reverse_proxies(config) if each["upstreams"][0]["dial"] == "tcp/10.0.0.8:19291"]
    assert len(proxies) == len(compiled.stores)
    for proxy in proxies:
        assert proxy["headers"]["request"]["delete"] == ["*"]
        # By others Thanos would file samples under another tenant, or take them for forwarded ones.
        assert set(proxy["headers"]["request"]["set"]) == {
            "Content-Encoding",
            "Content-Type",
            "User-Agent",
            "X-Prometheus-Remote-Write-Version",
        }


def test_the_hub_scrapes_it_and_its_grafana_asks_it() -> None:
    compiled = plan({**page(), "grafana": True})
    values: Any = rendered_values(compiled, compiled.clusters["hub"])
    jobs = {job["job_name"] for job in values["prometheus"]["prometheusSpec"]["additionalScrapeConfigs"]}
    assert "thanos" in jobs
    (source,) = values["grafana"]["additionalDataSources"]
    assert source["url"] == "http://thanos-query.monitoring.svc:10902"
    assert source["jsonData"]["prometheusType"] == "Thanos"


def test_a_fleet_whose_leaves_only_store_has_a_gateway_at_the_top() -> None:
    clusters = {name: each for name, each in CLUSTERS.items() if each["tier"] in {Tier.GLOBAL, Tier.LEAF}}
    compiled = plan({**page(senders=["leaf"]), "clusters": clusters})
    assert compiled.clusters["hub"].gateway is not None


def test_the_drawing_has_it_once() -> None:
    drawn = mermaid(plan(page()))
    assert drawn.count("thanos<br/>at hub") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no YAML mapping of type, config and perhaps prefix"),
        ("a: [", "is no YAML mapping of type, config and perhaps prefix"),
        ("s3://bucket", "is no YAML mapping of type, config and perhaps prefix"),
        ("type: S3\nprefx: fleet", "is no YAML mapping of type, config and perhaps prefix"),
        ("type: FTP", "has a type that is none of ALIYUNOSS, AZURE,"),
        ("type: S3\nconfig: {bucket: metrics, secret_key: hush}", "has no config.endpoint, which type S3 needs"),
        ("type: AZURE\nconfig: {container: metrics, secret_key: hush}", "has no config.storage_account"),
    ],
)
def test_a_bucket_that_thanos_would_not_start_with_is_refused_before_a_pod_is(text: str, message: str) -> None:
    with pytest.raises(FleetError) as refused:
        bucket_in_config("thanos-objects", text)
    assert f"config key prometheus-fleet:thanos-objects {message}" in str(refused.value)
    assert "hush" not in str(refused.value)


def test_a_bucket_that_is_whole_goes_on_as_it_stands() -> None:
    text = "type: s3\nconfig: {bucket: metrics, endpoint: s3.example.com, secret_key: hush}\n"
    assert bucket_in_config("thanos-objects", text) == text
