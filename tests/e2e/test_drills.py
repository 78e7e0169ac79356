"""Faults made in the live fleet: which alert fires where, how soon, that it resolves, and what is lost meanwhile.

One run of all drills, at the same time where they do not meet, fills docs/drills.md with what was measured.
`FLEET_DRILLS_CUT_OFF_FOR=600` keeps the edge cut off for that many seconds instead of until its alert fires.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from alarms import Alarms, Labels, listening
from faults import cut_off, other_rules, prometheus_stopped, signalled, stopped, wrong_password
from kubectl import api, eventually, kubectl, query
from live import ROOT

from fleet.alerts import alert_groups
from fleet.compiler import compile_page
from fleet.manifests import prometheus_rule
from fleet.names import FEDERATION_CREDENTIALS, REMOTE_WRITE_CREDENTIALS, Tier
from fleet.page import read_stack
from fleet.plan import Plan
from tests.places import Place

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600), pytest.mark.usefixtures("fleet")]

TABLE = Place(ROOT / "docs" / "drills.md", "measured on the dev fleet")
CUT_OFF_FOR = float(os.environ.get("FLEET_DRILLS_CUT_OFF_FOR", "0"))
ALL_DRILLS_TAKE = 8 * 60
MENDED_WITHIN = 120
"""Seconds from a repair to the end of its alert: a pod's start and two scrapes, on a machine with other things to do."""


@dataclass(frozen=True)
class Drill:
    fault: str
    alert: str
    about: Labels
    within: float
    """Seconds from the fault to the alert at Alertmanager, at most."""
    make: Callable[[], AbstractContextManager[None]]
    for_at_least: float = 0

    @property
    def labels(self) -> Labels:
        return {"alertname": self.alert, **self.about}


@dataclass(frozen=True)
class Measured:
    """Seconds."""

    fires: float
    is_heard: float
    resolves: float


def plan() -> Plan:
    return compile_page(read_stack("dev", ROOT, {}))


def federation_alerts(of: Plan) -> Mapping[str, object]:
    (hub,) = of.tier(Tier.GLOBAL)
    (group,) = [each for each in alert_groups(of, hub) if each.name == "alerts-federation"]
    return prometheus_rule(hub, group)


def budget_exceeded() -> AbstractContextManager[None]:
    """The child serves what it serves, were it next to nothing; it is the budget that shrinks under it."""
    small = replace(plan(), federation=tuple(replace(edge, budget=1) for edge in plan().federation))
    return other_rules("hub", federation_alerts(small), federation_alerts(plan()))


EDGE_CUT_OFF = Drill(
    "edge shop-1 cut off from the hub",
    "ClusterSilent",
    {"cluster": "shop-1"},
    # A series that nobody ends lives on for Prometheus's five minutes.
    within=5 * 60 + 90,
    make=lambda: cut_off("shop-1", "hub"),
    for_at_least=CUT_OFF_FOR,
)
TOGETHER = (
    Drill("Prometheus of leaf eu-2 stopped", "ClusterSilent", {"cluster": "eu-2", "region": "eu"}, 120,
          lambda: prometheus_stopped("eu-2")),
    Drill("network cut between leaf eu-1 and region eu", "ClusterSilent", {"cluster": "eu-1", "region": "eu"}, 120,
          lambda: cut_off("eu", "eu-1")),
    Drill("gateway of the hub hangs", "GatewayDown", {}, 90,
          lambda: stopped("hub", "gateway")),
    Drill("budget of region eu exceeded", "FederationSampleLimit", {"region": "eu"}, 120,
          budget_exceeded),
)  # fmt: skip
ONE_BY_ONE = (
    Drill("hub has a wrong password for region eu", "FederationTargetDown", {"region": "eu"}, 150,
          lambda: wrong_password("hub", FEDERATION_CREDENTIALS, "eu")),
    Drill("gateway of region eu hangs", "FederationTargetDown", {"region": "eu"}, 90,
          lambda: stopped("eu", "gateway")),
)  # fmt: skip
DRILLS = (*TOGETHER, *ONE_BY_ONE, EDGE_CUT_OFF)


def run(drill: Drill, alarms: Alarms) -> Measured:
    assert not alarms.fires("Alertmanager", drill.labels), "it fires before there is a fault"
    began = time.monotonic()
    with drill.make():
        alarms.until("Prometheus", drill.labels, fires=True, within=drill.within)
        fires = time.monotonic() - began
        alarms.until("Alertmanager", drill.labels, fires=True, within=drill.within - fires)
        is_heard = time.monotonic() - began
        # An outage of a given length is not over before.
        time.sleep(max(drill.for_at_least - is_heard, 0))
    resolves = alarms.until("Alertmanager", drill.labels, fires=False, within=MENDED_WITHIN)
    return Measured(fires, is_heard, resolves)


def samples_of_the_edge(since: float) -> Sequence[Sequence[float]]:
    """When those that the hub has of shop-1 were taken, by series; Unix seconds."""
    kept = "|".join(name for edge in plan().written_by("shop-1") for name in edge.keep)
    selector = f'{{cluster="shop-1",__name__=~"{kept}"}}[{time.time() - since:.0f}s]'
    return [[float(when) for when, _ in series["values"]] for series in api("hub", "query", query=selector)["result"]]


def lost(since: float) -> tuple[int, int]:
    """Samples of shop-1 that are missing at the hub between the first and the last that it has, and those it has."""
    interval = plan().clusters["shop-1"].scrape_interval.total_seconds()
    times = samples_of_the_edge(since)
    there = sum(len(each) for each in times)
    assert there
    return sum(round((each[-1] - each[0]) / interval) + 1 for each in times) - there, there


def fresh_since(when: float) -> None:
    """Every series of the edge goes on after it."""
    times = samples_of_the_edge(when - 600)
    assert times
    assert min(each[-1] for each in times) > when


def told_by_the_sender(metric: str) -> float:
    pod = "/api/v1/namespaces/monitoring/pods/prom-agent-kube-prometheus-stack-prometheus-0:9090/proxy/metrics"
    text = kubectl("shop-1", "get", "--raw", pod)
    return sum(float(value) for value in re.findall(rf"^{metric}{{.*}} (\S+)$", text, re.MULTILINE))


@dataclass(frozen=True)
class Loss:
    lost: int
    arrived: int
    seconds: float
    """Of the fault, until what came after it was at the hub."""


def cut_off_and_filled(alarms: Alarms) -> tuple[Measured, Loss]:
    since = time.time()
    return run(EDGE_CUT_OFF, alarms), filled(since)


def refused_writer() -> tuple[Loss, int]:
    """And how many samples the sender says that it has failed to send."""
    since, failed = time.time(), "prometheus_remote_storage_samples_failed_total"
    before = told_by_the_sender(failed)

    def is_failing() -> None:
        assert told_by_the_sender(failed) - before >= REFUSED

    with wrong_password("shop-1", REMOTE_WRITE_CREDENTIALS, "hub.password"):
        eventually(is_failing, within=120)
    repaired = time.time()
    eventually(lambda: fresh_since(repaired + 10), within=150)
    missing, arrived = lost(since - 30)
    return Loss(missing, arrived, time.time() - since), round(told_by_the_sender(failed) - before)


def global_restarted() -> tuple[float, Loss]:
    """And after how many seconds the hub's alerts fire again."""
    since, before, began = time.time(), started("hub"), time.monotonic()
    signalled("hub", "prometheus", "SIGTERM")

    def fires_again() -> None:
        assert started("hub") != before
        assert query("hub", 'ALERTS{alertname="Watchdog",alertstate="firing"}')

    eventually(fires_again, within=MENDED_WITHIN)
    seconds = time.monotonic() - began
    return seconds, filled(since)


def started(cluster: str) -> str:
    return api(cluster, "status/runtimeinfo")["startTime"]


def filled(since: float) -> Loss:
    """Once there is no gap since then, nor at its end; writes that are tried again come in any order."""

    def is_filled() -> Loss:
        fresh_since(time.time() - 20)
        missing, arrived = lost(since - 30)
        assert missing == 0, f"{missing} of {missing + arrived} samples are missing"
        return Loss(missing, arrived, time.time() - since)

    return eventually(is_filled, within=MENDED_WITHIN)[0]


@dataclass(frozen=True)
class Outcome:
    drills: Mapping[str, "Future[Measured]"]
    cut_off: "Future[tuple[Measured, Loss]]"
    refused: "Future[tuple[Loss, int]]"
    restarted: "Future[tuple[float, Loss]]"
    seconds: float
    left: set[str]
    """Alerts that still fire after all repairs."""


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    began = time.monotonic()
    with listening() as alarms, ThreadPoolExecutor() as pool:
        alarms.until("Alertmanager", {"alertname": "Watchdog"}, fires=True, within=120)
        alarms.until("Alertmanager", {"alertname": "ClusterSilent"}, fires=False, within=120)
        edge = pool.submit(cut_off_and_filled, alarms)
        drills = {drill.fault: pool.submit(run, drill, alarms) for drill in TOGETHER}
        wait(drills.values())
        for drill in ONE_BY_ONE:
            drills[drill.fault] = pool.submit(run, drill, alarms)
            wait([drills[drill.fault]])
        wait([edge])
        refused = pool.submit(refused_writer)
        wait([refused])
        restarted = pool.submit(global_restarted)
        wait([restarted])
        with suppress(AssertionError):
            eventually(lambda: _quiet(alarms), within=MENDED_WITHIN)
        outcome = Outcome(drills, edge, refused, restarted, time.monotonic() - began, alarms.names("Alertmanager"))
    print(f"\n{table(outcome)}")  # noqa: T201 (what was measured is half of what the run is for)
    return outcome


def _quiet(alarms: Alarms) -> None:
    assert alarms.names("Alertmanager") == {"Watchdog"}


def table(outcome: Outcome) -> str:
    rows = [
        "| fault | alert | fires after | at Alertmanager after | resolved after the repair |",
        "|---|---|---|---|---|",
    ]
    for drill in DRILLS:
        future = outcome.drills.get(drill.fault)
        measured = future.result() if future is not None else outcome.cut_off.result()[0]
        about = ",".join(f"{name}={value}" for name, value in drill.about.items())
        times = (f"{each:.0f} s" for each in (measured.fires, measured.is_heard, measured.resolves))
        rows.append(f"| {drill.fault} | `{drill.alert}{{{about}}}` | {' | '.join(times)} |")
    return "\n".join(rows)


@pytest.mark.parametrize("drill", [*TOGETHER, *ONE_BY_ONE], ids=lambda drill: drill.fault)
def test_a_fault_is_an_alert_that_ends_with_it(outcome: Outcome, drill: Drill) -> None:
    measured = outcome.drills[drill.fault].result()
    assert measured.is_heard <= drill.within
    assert measured.resolves <= MENDED_WITHIN


def test_an_edge_that_was_cut_off_is_an_alert_and_fills_the_gap(outcome: Outcome) -> None:
    print(outcome.cut_off.result())


def test_a_writer(outcome: Outcome) -> None:
    print(outcome.refused.result())


def test_restart(outcome: Outcome) -> None:
    print(outcome.restarted.result(), outcome.seconds, outcome.left)
