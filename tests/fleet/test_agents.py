"""What an edge's agent is given for the series that the page expects it to scrape."""

import re
from typing import Any

import pytest
import yaml
from destinations import ARCHIVE, CLUSTERS, ROOT, Page, all_queues, plan, problems

from fleet.compiler.sizes import settings_path
from fleet.page import QueueSettings, read_page
from fleet.queues import OLDEST_SENT, queue
from fleet.values import merge


def page(tier: Page | None = None, **own: object) -> Page:
    """Two edges: one of them as its tier is, the other with fields of its `own`."""
    clusters = {**CLUSTERS, "shop-2": {"tier": "edge", "context": "shop-2", **own}}
    return {"clusters": clusters, "tiers": {"edge": tier or {}}}


def upward(given: Page, edge: str) -> dict[str, Any]:
    """The queue to the global cluster, as the operator's object has it."""
    return {each["name"]: each for each in all_queues(plan(given), edge)}["hub"]["queueConfig"]


def test_a_queue_is_made_for_the_series_that_the_page_expects_and_an_edges_own_go_before() -> None:
    given = page({"series": 600_000}, series=6_000_000)
    rates = {edge.sender: edge.rate for edge in plan(given).remote_write}
    assert rates == {"shop-1": 20_000, "shop-2": 200_000}
    for edge, rate in (("shop-1", 20_000), ("shop-2", 200_000)):
        made, found = queue(rate, QueueSettings()), upward(given, edge)
        assert (found["minShards"], found["maxShards"]) == (made.min_shards, made.max_shards)
        assert found["capacity"] == made.capacity
    assert upward(given, "shop-1")["maxBackoff"] != upward(given, "shop-2")["maxBackoff"]


def test_where_the_page_says_nothing_shards_are_as_for_100_000_series() -> None:
    assert upward(page(), "shop-1") == upward(page({"series": 100_000}), "shop-1")
    assert upward(page(), "shop-1") == upward(page(storage={"size": "1Mi"}), "shop-2")


def test_what_the_page_says_of_an_edges_queue_goes_before_and_the_rest_follows() -> None:
    found = upward(page({"series": 600_000, "queue": {"maxShards": 90}}), "shop-1")
    assert (found["minShards"], found["maxShards"]) == (90, 90)
    assert found["sampleAgeLimit"] == "4h", "what the hub would refuse is given up, whatever else is said"
    assert upward(page({"queue": {"maxShards": 90}}, queue={"capacity": 9_000}), "shop-2")["maxShards"] == 5


@pytest.mark.parametrize(("series", "rate"), [(None, 20_000), (30, 1), (900_000, 20_000)])
def test_an_edges_other_queues_are_made_for_its_series_unless_they_are_said_to_take_fewer(
    series: int | None, rate: float
) -> None:
    archive = {**ARCHIVE, "senders": "edge", **({"series": series} if series is not None else {})}
    compiled = plan(page({"series": 600_000}) | {"destinations": {"archive": archive}})
    assert {edge.rate for edge in compiled.clusters["shop-1"].destinations} == {rate}


REFUSALS: dict[str, tuple[Page, str, str]] = {
    "a tier's queue that is too small for its busiest edge": (
        page({"series": 30, "queue": {"maxShards": 2}}, series=900_000),
        "tiers.edge.queue.maxShards",
        (
            "carries 8000 samples per second at most, 2 requests of 2000 each half second, and shop-2 is expected to "
            "have 30000"
        ),
    ),
    "an edge's own queue that is too small": (
        page({"series": 900_000}, queue={"maxShards": 2}),
        "clusters.shop-2.queue.maxShards",
        (
            "carries 8000 samples per second at most, 2 requests of 2000 each half second, and shop-2 is expected to "
            "have 30000"
        ),
    ),
    "a tier's volume that is too small for its busiest edge": (
        page({"series": 30, "storage": {"size": "1Gi"}}, series=300_000),
        "tiers.edge.storage.size",
        "1Gi is too small for the log of shop-2, which takes up to 3502Mi for 8h of 10000 samples per second",
    ),
    "an edge's own volume that is too small": (
        page({"series": 300_000, "storage": {"size": "4Gi"}}, storage={"size": "500M"}),
        "clusters.shop-2.storage.size",
        "500M is too small for the log of shop-2, which takes up to 3502Mi for 8h of 10000 samples per second",
    ),
}


@pytest.mark.parametrize(("given", "path", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_is_too_small_is_refused_where_it_stands_and_what_is_offered_is_accepted(
    given: Page, path: str, message: str
) -> None:
    ((found, said, fix),) = problems(given)
    assert (found, said) == (path, message)
    assert problems(merge(given, yaml.safe_load(fix))) == []


def test_a_volume_has_room_for_whatever_an_agent_may_still_send() -> None:
    def is_enough(mebibytes: int, scrape: str) -> bool:
        given = page({"series": 10_000, "storage": {"size": f"{mebibytes}Mi"}})
        return not problems(given | {"intervals": {"scrape": scrape}})

    measured = 8.5  # bytes per sample, docs/scale.md
    oldest = 10_000 / 30 * OLDEST_SENT.total_seconds() * measured / 2**20
    assert not is_enough(round(2 * oldest), "30s")
    assert is_enough(round(4 * oldest), "30s")
    assert not is_enough(round(4 * oldest), "15s")


def test_what_the_docs_show_and_say_of_it_is_so() -> None:
    text = (ROOT / "docs" / "page.md").read_text()
    (shown,) = re.findall(r"```yaml\n(tiers:\n  edge: .*?)```", text, re.DOTALL)
    found = upward(merge({"clusters": CLUSTERS}, yaml.safe_load(shown)), "shop-1")
    assert (found["minShards"], found["maxShards"]) == (5, 5)
    said = re.search(r"10,000\s+series\s+every\s+30\s+seconds\s+are\s+then\s+(\w+),\s+and\s+`1Gi`", text)
    assert said is not None
    assert not problems(page({"series": 10_000, "storage": {"size": said[1]}}))
    assert not problems(page({"series": 87_000, "storage": {"size": "1Gi"}}))
    assert problems(page({"series": 190_000, "storage": {"size": "1Gi"}}))


@pytest.mark.parametrize("field", ["storage", "queue"])
def test_a_field_is_looked_for_with_the_tier_until_a_cluster_has_its_own(field: str) -> None:
    own = {"storage": {"size": "1Gi"}, "queue": {"maxShards": 7}}[field]
    read = read_page(page({"series": 30}, **{field: own}), {})
    assert settings_path(read, "shop-1", field) == ("tiers", "edge", field)
    assert settings_path(read, "shop-2", field) == ("clusters", "shop-2", field)


@pytest.mark.parametrize(("field", "given"), [("series", 30), ("queue", {"maxShards": 7})])
@pytest.mark.parametrize("cluster", ["hub", "eu", "eu-1"])
def test_only_an_edge_has_them(cluster: str, field: str, given: object) -> None:
    clusters = {**CLUSTERS, cluster: {**CLUSTERS[cluster], field: given}}
    ((path, message, _),) = problems({"clusters": clusters})
    assert path == f"clusters.{cluster}.{field}"
    assert message.startswith(f"has no meaning for tier {CLUSTERS[cluster]['tier']}, only for edge")
