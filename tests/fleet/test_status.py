"""Every reason for which an edge does not carry fresh samples has a name of its own."""

import asyncio

import pytest
from answers import DISCOVERY, FEDERATION, FRESH, REMOTE_WRITE, STORES, FakeApi

from fleet.prometheus import Prometheus, Unreachable
from fleet.status import EdgeStatus, FleetOutput, edge_statuses


def status(fleet: FleetOutput, **clusters: FakeApi | Unreachable) -> EdgeStatus:
    clients = {
        name: each if isinstance(each, Unreachable) else Prometheus(name, "monitoring", each)
        for name, each in ((name.replace("_", "-"), each) for name, each in clusters.items())
    }
    (only,) = asyncio.run(edge_statuses(fleet, clients))
    return only


def test_an_edge_with_fresh_samples_is_well() -> None:
    assert status(FEDERATION, eu=FakeApi(ages=FRESH)) == EdgeStatus(
        "federation", "eu-1", "eu", None, 10, 3.0, up=True, duration=0.02
    )


def test_a_discovered_child_with_fresh_samples_is_well() -> None:
    assert status(DISCOVERY, eu=FakeApi(ages=FRESH)) == EdgeStatus(
        "discovery", "team-a", "eu", None, 10, 3.0, up=True, duration=0.02
    )


def test_an_allowed_name_that_nobody_has_is_named_with_where_it_was_looked_for() -> None:
    assert status(DISCOVERY, eu=FakeApi(last_error=None, samples=None)).fault == (
        "not found: namespace shop has no Service app.kubernetes.io/name=prometheus,cluster=team-a with an address and "
        "a port http-web"
    )


def test_metrics_that_have_not_arrived_are_named_and_no_fault() -> None:
    seen = status(FEDERATION, eu=FakeApi(ages={"cluster:a:sum": 3.0}))
    assert (seen.fault, seen.missing) == (None, ("cluster:b:sum",))


@pytest.mark.parametrize(
    ("parent", "fault"),
    [
        (FakeApi(last_error=None, samples=None), "eu has no target for it"),
        (FakeApi(samples=None), "not scraped yet"),
        (FakeApi(samples=0), "no match: the child serves nothing that the match asks for"),
        (FakeApi(), "no samples have arrived"),
        (FakeApi(ages={"cluster:a:sum": 31.0}), "stale: newest sample is 31 s old, fresh means 30 s"),
        (FakeApi(last_error="server returned HTTP status 401 Unauthorized"), "401: wrong credential"),
        (FakeApi(last_error="server returned HTTP status 404 Not Found"), "404: the gateway has no such path"),
        (FakeApi(last_error="dial tcp: connection refused"), "unreachable: dial tcp: connection refused"),
        (FakeApi(last_error='Get "https://192.0.2.1/federate?match=a": EOF'), "unreachable: EOF"),
        (FakeApi(last_error="expected equal, got BCLOSE"), "expected equal, got BCLOSE"),
        (Unreachable("API server of eu: timeout"), "unreachable: API server of eu: timeout"),
    ],
)
def test_a_federation_edge_says_why_it_carries_nothing(parent: FakeApi | Unreachable, fault: str) -> None:
    assert status(FEDERATION, eu=parent).fault == fault


@pytest.mark.parametrize(
    ("receiver", "sender", "fault"),
    [
        (FakeApi(ages={"a_total": 3.0}), FakeApi(), None),
        (FakeApi(), FakeApi(), "no samples have arrived"),
        (
            FakeApi(),
            FakeApi(log='ts=1 component=remote msg="dropped" err="server returned HTTP status 401 Unauthorized"'),
            "401: wrong credential",
        ),
        (
            FakeApi(),
            FakeApi(log=r'ts=1 component=remote err="Post \"https://192.0.2.1/api/v1/write\": EOF"'),
            "unreachable: EOF",
        ),
        (FakeApi(ages={"a_total": 90.0}), FakeApi(), "stale: newest sample is 90 s old, fresh means 30 s"),
        (FakeApi(), Unreachable("API server of shop: timeout"), "unreachable: API server of shop: timeout"),
        (Unreachable("API server of hub: timeout"), FakeApi(), "unreachable: API server of hub: timeout"),
    ],
)
def test_a_remote_write_edge_says_why_it_carries_nothing(
    receiver: FakeApi | Unreachable, sender: FakeApi | Unreachable, fault: str | None
) -> None:
    assert status(REMOTE_WRITE, hub=receiver, shop=sender).fault == fault


@pytest.mark.parametrize(
    ("thanos", "fault"),
    [
        (FakeApi(ages={"up": 3.0}), None),
        (FakeApi(), "no samples have arrived"),
        (FakeApi(ages={"up": 90.0}), "stale: newest sample is 90 s old, fresh means 30 s"),
        (Unreachable("API server of hub: timeout"), "unreachable: API server of hub: timeout"),
    ],
)
def test_thanos_is_asked_whether_samples_of_a_sender_arrive(thanos: FakeApi | Unreachable, fault: str | None) -> None:
    seen = status(STORES, hub=thanos, shop=FakeApi())
    assert (seen.lower, seen.upper, seen.fault) == ("shop", "thanos at hub", fault)


def test_of_samples_that_cannot_be_told_apart_nothing_is_said() -> None:
    (edge,) = STORES.stores
    unknown = STORES.model_copy(update={"stores": [edge.model_copy(update={"metrics": []})]})
    seen = status(unknown, hub=FakeApi(), shop=FakeApi())
    assert (seen.fault, seen.up, seen.age) == (None, None, None)


def test_a_writers_lag_is_what_it_has_scraped_and_not_sent_to_that_receiver() -> None:
    told = """\
prometheus_remote_storage_highest_timestamp_in_seconds 1.7640000425e+09
prometheus_remote_storage_queue_highest_sent_timestamp_seconds{remote_name="archive",url="https://a"} 1.76400004e+09
prometheus_remote_storage_queue_highest_sent_timestamp_seconds{remote_name="hub",url="https://b"} 1.76400003e+09
"""
    assert status(REMOTE_WRITE, hub=FakeApi(ages={"a_total": 3.0}), shop=FakeApi(metrics=told)).lag == 12.5
    nothing_sent = told.replace("1.76400003e+09", "0")
    assert status(REMOTE_WRITE, hub=FakeApi(), shop=FakeApi(metrics=nothing_sent)).lag is None


def test_what_is_not_known_of_a_scrape_is_not_called_down() -> None:
    assert status(FEDERATION, eu=FakeApi(samples=None)).up is None
    assert status(FEDERATION, eu=Unreachable("API server of eu: timeout")).up is None
    assert status(FEDERATION, eu=FakeApi(samples=0, last_error="dial tcp: connection refused")).up is False


def test_a_sender_that_another_stack_deploys_is_not_asked() -> None:
    assert status(REMOTE_WRITE, hub=FakeApi()).fault == "no samples have arrived"


def test_a_prometheus_behind_network_policies_is_told_from_an_api_server_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fleet.prometheus.ANSWER_SECONDS", 0.01)
    fault = status(FEDERATION, eu=FakeApi(silent=True)).fault
    assert fault is not None
    assert fault.startswith("unreachable: Prometheus of eu: its API server had no answer from it within 0.01 s")
    assert fault.endswith("`networkPolicies.apiServer` has to hold the API server's addresses")
