"""Mimir's own values in examples/mimir: they fit the page beside them, and what this program sends."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from fleet.compiler import compile_page
from fleet.duration import parse_duration
from fleet.page import ReaderAuth, WriterAuth, read_stack
from fleet.page.secrets import secrets_in_clear
from fleet.plan import DestinationEdge
from fleet.queues import CATCH_UP, TAKEN_LATE
from fleet.scrape import federation_job

FOLDER = Path(__file__).parents[2] / "examples" / "mimir"
PLAN = compile_page(read_stack("example", FOLDER, {}))
EDGES = [edge for cluster in PLAN.clusters.values() for edge in cluster.destinations]
PAIRS = [edge for edge in EDGES if edge.replica_label is not None]
SOURCES = [source for cluster in PLAN.clusters.values() for source in cluster.data_sources]
README = (FOLDER / "README.md").read_text()
VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text())
((TENANT, LIMITS),) = VALUES["runtimeConfig"]["overrides"].items()
PARTS: list[dict[str, Any]] = [part for part in VALUES.values() if isinstance(part, dict)]
OBJECTS = {(each["kind"], each["metadata"]["name"]): each["spec"] for each in VALUES["extraObjects"]}


def rate(edge: DestinationEdge) -> float:
    assert edge.rate is not None
    return edge.rate


def replicas(edge: DestinationEdge) -> int:
    return PLAN.clusters[edge.sender].replicas


def basic_secret(auth: WriterAuth | ReaderAuth | None) -> str | None:
    assert auth is not None
    assert auth.basic is not None
    return auth.basic.secret


def series(edge: DestinationEdge) -> float:
    """As many as there would be if each came as seldom as the most seldom of them."""
    asked = [each.interval for each in PLAN.federation if each.parent == edge.sender]
    return rate(edge) * max([PLAN.clusters[edge.sender].rule_interval, *asked]).total_seconds()


def test_leaves_in_pairs_other_leaves_and_the_hub_write_as_the_tenant_that_has_the_limits() -> None:
    assert {edge.destination.tenant for edge in EDGES} == {TENANT}
    assert {(edge.sender, replicas(edge)) for edge in EDGES} == {("hub", 1), ("eu-1", 2), ("eu-2", 1), ("us-1", 1)}


def test_mimir_keeps_one_replica_of_each_cluster_by_the_labels_that_a_pair_has() -> None:
    assert [edge.replica_label for edge in PAIRS] == [LIMITS["ha_replica_label"]]
    assert [edge.labels[LIMITS["ha_cluster_label"]] for edge in PAIRS] == [edge.sender for edge in PAIRS]
    assert LIMITS["accept_ha_samples"] is True
    assert LIMITS["ha_max_clusters"] >= len(PAIRS)
    assert VALUES["mimir"]["structuredConfig"]["distributor"]["ha_tracker"]["enable_ha_tracker"] is True


def test_what_was_held_up_in_an_outage_is_taken_as_fast_as_the_queues_send_it() -> None:
    assert LIMITS["ingestion_rate"] >= CATCH_UP * sum(rate(edge) * replicas(edge) for edge in EDGES)
    under_way = [edge.queue.max_shards * edge.queue.max_samples_per_send * replicas(edge) for edge in EDGES]
    assert LIMITS["ingestion_burst_size"] >= sum(under_way)


def test_there_is_room_for_four_times_the_series_that_are_expected() -> None:
    assert LIMITS["max_global_series_per_user"] >= 4 * sum(map(series, EDGES))


def test_a_sample_is_taken_as_late_as_a_sender_sends_it_and_still_asked_of_those_who_have_it() -> None:
    late = parse_duration(LIMITS["out_of_order_time_window"])
    assert late >= TAKEN_LATE
    # Mimir's own query_ingesters_within and blocks_storage.tsdb.retention_period.
    assert late < timedelta(hours=13)


def test_no_series_that_a_parent_of_the_fleet_would_take_is_too_large_for_mimir() -> None:
    job = federation_job(PLAN.federation[0], "eu-1.example.com")
    assert {
        "max_label_names_per_series": job["label_limit"],
        "max_label_name_length": job["label_name_length_limit"],
        "max_label_value_length": job["label_value_length_limit"],
        "max_native_histogram_buckets": job["native_histogram_bucket_limit"],
    }.items() <= LIMITS.items()


def test_mimir_takes_native_histograms_which_are_sent() -> None:
    assert all(edge.destination.native_histograms for edge in EDGES)
    assert LIMITS["native_histograms_ingestion_enabled"] is True


def test_the_readme_makes_every_secret_that_page_and_values_name_and_no_other() -> None:
    shell = README.replace("--context $cluster", " ".join(f"--context {edge.sender}" for edge in EDGES))
    assert f"for cluster in {' '.join(edge.sender for edge in EDGES)}; do" in README
    made = {
        (cluster, namespace, secret)
        for contexts, namespace, secret in re.findall(
            r"kubectl ((?:--context \S+ )+)--namespace (\S+) create secret \S+ (\S+)", shell
        )
        for cluster in contexts.split()[1::2]
    }
    of_mimir = {
        VALUES["gateway"]["nginx"]["basicAuth"]["existingSecret"],
        *(each["secret"]["secretName"] for each in VALUES["gateway"]["extraVolumes"]),
        *(each["secretRef"]["name"] for part in PARTS for each in part.get("extraEnvFrom", ())),
    }
    senders = {(edge.sender, "monitoring", basic_secret(edge.destination.auth)) for edge in EDGES}
    readers = {("hub", "monitoring", basic_secret(source.reading.auth)) for source in SOURCES}
    assert made == senders | readers | {("hub", "mimir", name) for name in of_mimir}


@pytest.mark.parametrize(
    ("namespace", "made"), [("mimir", "create namespace mimir"), ("monitoring", "pulumi up --target")]
)
def test_the_readme_makes_a_namespace_before_its_secrets_and_these_before_the_fleet(namespace: str, made: str) -> None:
    first, *others = (each.start() for each in re.finditer(f"--namespace {namespace} create secret", README))
    assert README.index(made) < first < max(others) < README.index("Then `pulumi up`")


def test_no_value_is_a_secret() -> None:
    assert list(secrets_in_clear(VALUES)) == []


def test_senders_and_grafana_call_the_port_on_which_the_gateway_asks_who_they_are() -> None:
    (source,) = SOURCES
    called = {urlsplit(url).netloc for url in (source.reading.url, *(edge.destination.url for edge in EDGES))}
    service, policy = OBJECTS["Service", "mimir-gateway-tls"], OBJECTS["NetworkPolicy", "mimir-gateway"]
    (port,) = service["ports"]
    assert called == {f"mimir.example.com:{port['port']}"}
    assert VALUES["gateway"]["nginx"]["basicAuth"]["enabled"] is True
    assert f"listen {port['targetPort']} ssl;" in VALUES["gateway"]["nginx"]["config"]["serverSnippet"]
    assert [each["ports"] for each in policy["ingress"]] == [[{"port": port["targetPort"]}]]
    assert policy["podSelector"]["matchLabels"] == service["selector"]
    callers = {each["ipBlock"]["cidr"] for each in policy["ingress"][0]["from"] if "ipBlock" in each}
    assert callers == set(service["loadBalancerSourceRanges"])
