"""A cluster is healthy when its servers run what was deployed, and for as long as it takes to be sure of that."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from fleet.compiler import compile_page
from fleet.health import Look, Observer, Unhealthy, declared_fault, look, reload_fault, until_healthy
from fleet.names import Tier
from fleet.page import Waves, read_page
from fleet.prometheus import Prometheus

WELL: dict[str, Any] = {
    "metadata": {"generation": 3},
    "spec": {"replicas": 2},
    "status": {
        "conditions": [
            {"type": "Available", "status": "True", "observedGeneration": 3},
            {"type": "Reconciled", "status": "True", "observedGeneration": 3},
        ],
        "replicas": 2,
        "updatedReplicas": 2,
        "availableReplicas": 2,
    },
}


def condition(kind: str, **changes: object) -> list[dict[str, object]]:
    return [each | changes if each["type"] == kind else each for each in WELL["status"]["conditions"]]


def declared(**status: object) -> str:
    return json.dumps({**WELL, "status": {**WELL["status"], **status}})


def test_an_object_that_is_reconciled_updated_and_available_is_well() -> None:
    assert declared_fault(declared()) is None


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (json.dumps({**WELL, "status": {}}), "the operator has not taken up the last change"),
        (json.dumps({**WELL, "metadata": {"generation": 4}}), "the operator has not taken up the last change"),
        (declared(conditions=condition("Available", observedGeneration=2)), "the operator has not taken up"),
        (
            declared(
                conditions=condition("Reconciled", status="False", reason="ReconciliationFailed", message="no\nx")
            ),
            "the operator cannot carry out the last change: ReconciliationFailed: no x",
        ),
        (declared(updatedReplicas=1), "1 of 2 replicas updated"),
        (
            declared(
                updatedReplicas=1, conditions=condition("Available", status="Degraded", reason="SomePodsNotReady")
            ),
            "1 of 2 replicas updated (SomePodsNotReady)",
        ),
        (
            declared(
                availableReplicas=0, conditions=condition("Available", status="False", message="pod a: not ready")
            ),
            "0 of 2 replicas available (pod a: not ready)",
        ),
        (declared(replicas=3), "1 replicas too many are still there"),
        (json.dumps({**WELL, "spec": {"replicas": 2, "shards": 2}}), "2 of 4 replicas updated"),
    ],
)
def test_what_keeps_an_object_from_being_what_was_declared_is_said(document: str, fault: str) -> None:
    assert (declared_fault(document) or "").startswith(fault)


def test_a_server_that_refused_its_configuration_is_named() -> None:
    metrics = "# TYPE prometheus_config_last_reload_successful gauge\nprometheus_config_last_reload_successful {}\n"
    assert reload_fault({"a": metrics.format(1), "b": metrics.format(1)}) is None
    assert reload_fault({"a": metrics.format(1), "b": metrics.format(0)}) == (
        "b refused its last configuration: its log says why"
    )
    assert reload_fault({"a": "something_else 1\n"}) is not None


@dataclass
class FakeApi:
    """An API server with one healthy server behind it, and a release deployed at `deployed`."""

    deployed: str | None = "2026-01-02T03:04:05Z"
    asked: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def call_api(
        self, _method: str, *, url: str, params: Mapping[str, str], **where: str | Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        self.asked.append("/".join(str(where[key]) for key in ("base", "version") if key in where) + f"/{url}")
        if url.endswith("/secrets"):
            assert "PartialObjectMetadata" in str(where["headers"])
            assert params["labelSelector"] == "owner=helm,name=kube-prometheus-stack,status=deployed"
            metadata = {"creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"time": self.deployed}]}
            yield httpx.Response(200, json={"items": [{"metadata": metadata}] if self.deployed else []})
        elif url.endswith("/pods"):
            yield httpx.Response(200, json={"items": [{"metadata": {"name": "prometheus-0"}}]})
        elif url.endswith("/metrics"):
            yield httpx.Response(200, text="prometheus_config_last_reload_successful 1\n")
        else:
            yield httpx.Response(200, json=WELL)


@pytest.mark.parametrize(
    ("tier", "path"),
    [
        (Tier.LEAF, "v1/namespaces/monitoring/prometheuses"),
        (Tier.EDGE, "v1alpha1/namespaces/monitoring/prometheusagents"),
    ],
)
def test_servers_and_agents_are_asked_for_by_their_own_kind(tier: Tier, path: str) -> None:
    api = FakeApi()
    seen = asyncio.run(look(Prometheus("eu-1", "monitoring", api), tier))
    assert seen == Look(None, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert f"/apis/monitoring.coreos.com/{path}/kube-prometheus-stack-prometheus" in api.asked


def test_a_release_of_which_nothing_is_known_was_deployed_at_no_time() -> None:
    assert asyncio.run(look(Prometheus("eu-1", "monitoring", FakeApi(deployed=None)), Tier.LEAF)).deployed is None


@pytest.mark.parametrize("kubeconfig", ["users: [{token: hunter2", "hunter2", "[hunter2]"])
def test_a_kubeconfig_that_is_none_is_not_repeated(kubeconfig: str) -> None:
    plan = compile_page(read_page({"clusters": {"hub": {"tier": "global", "kubeconfigSecret": "hub"}}}, {}))
    observer = Observer(plan.clusters["hub"], kubeconfig)
    assert asyncio.run(observer.look()).fault == "the kubeconfig of hub is not one"
    assert "hunter2" not in repr(observer)


class Timeless(asyncio.SelectorEventLoop):
    """Nobody waits: where nothing is left to do, it is as late as the next thing that has to be done."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0].when())
        super()._run_once()


WAVES = Waves.model_validate({"healthyFor": "30s", "timeout": "2m"})
DOWN = "0 of 1 replicas available"


@dataclass
class Waiting:
    seconds: float
    looks: int
    said: list[str]
    error: str | None = None


def wait(faults: Iterator[str | None], age: float | None) -> Waiting:
    """For a cluster with these faults, look by look, whose release was deployed `age` seconds ago."""
    deployed = datetime.now(UTC) - timedelta(seconds=age) if age is not None else None
    waiting = Waiting(0, 0, [])

    async def observe() -> Look:
        waiting.looks += 1
        return Look(next(faults), deployed)

    with asyncio.Runner(loop_factory=Timeless) as runner:
        try:
            runner.run(until_healthy(observe, WAVES, waiting.said.append))
        except Unhealthy as error:
            waiting.error = str(error)
        waiting.seconds = runner.get_loop().time()
    return waiting


def always(fault: str | None, *first: str | None) -> Iterator[str | None]:
    yield from first
    while True:
        yield fault


def test_a_cluster_that_nobody_changed_costs_one_look() -> None:
    assert wait(always(None), age=3600) == Waiting(0, 1, [])


def test_a_release_of_a_moment_ago_has_to_stay_healthy_for_a_while() -> None:
    waiting = wait(always(None), age=0)
    assert waiting.seconds == pytest.approx(30, abs=2)
    assert waiting.said == ["to be healthy for 30s"]
    assert wait(always(None), age=20).seconds == pytest.approx(10, abs=2)
    assert wait(always(None), age=None).seconds == pytest.approx(30, abs=2)


def test_a_fault_begins_the_while_anew_however_old_the_release() -> None:
    waiting = wait(always(None, DOWN, DOWN, None, DOWN), age=3600)
    assert waiting.seconds == pytest.approx(4 * 2 + 30, abs=2)
    assert waiting.said == [DOWN, "to be healthy for 30s", DOWN, "to be healthy for 30s"]


def test_what_is_waited_for_is_said_when_it_changes_and_not_at_every_look() -> None:
    waiting = wait(always(None, *[DOWN] * 5, *["1 of 2 replicas updated"] * 5), age=0)
    assert waiting.said == [DOWN, "1 of 2 replicas updated", "to be healthy for 30s"]


def test_it_ends_after_the_timeout_with_what_was_seen_last() -> None:
    waiting = wait(always(DOWN), age=0)
    assert waiting.error == DOWN
    assert waiting.seconds == pytest.approx(120, abs=2)
    assert waiting.looks == 61


def test_one_that_comes_and_goes_ends_as_well() -> None:
    waiting = wait((None if number % 2 else DOWN for number in range(1000)), age=0)
    assert waiting.error in {DOWN, "healthy for less than 30s"}
