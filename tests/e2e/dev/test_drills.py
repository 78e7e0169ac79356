"""Faults made in the live fleet: which alert fires where, how soon, that it ends, and what is lost meanwhile.

One run of all drills, at the same time where they do not meet. `FLEET_DRILLS_TABLE=write` puts what it has measured
into docs/drills.md; `FLEET_DRILLS_CUT_OFF_FOR=600` keeps the edge cut off for so many seconds, and not until its alert.
"""

import os
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass

import pytest
from alarms import Alarms, listening
from drills import (
    ALERTS,
    CUT_OFF_FOR,
    DRILLS,
    EDGE_CUT_OFF,
    EDGE_REFUSED,
    HUB_RESTARTED,
    LOSSES,
    MENDED_WITHIN,
    ONE_BY_ONE,
    RULE_FAILS,
    TOGETHER,
    Drill,
    Loss,
    Measured,
    alerts_table,
    losses_table,
    plan,
    run,
)
from faults import signalled, wrong_password
from kubectl import api, eventually, kubectl, query

from fleet.names import REMOTE_WRITE_CREDENTIALS

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.drill,
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("fleet"),
]

ALL_TAKE = 10 * 60 + CUT_OFF_FOR
REFUSED = 8
"""Samples that the edge is to lose."""
LOOKED_BACK = 30
"""Seconds before a fault whose samples have to be there as well."""
LOOK_BACK = frozenset({"RemoteWriteSamplesLost", "RemoteWriteSamplesRetried"})
"""Alerts on what has happened within five minutes: they outlast the drills."""
AGENT = "/api/v1/namespaces/monitoring/pods/prom-agent-kube-prometheus-stack-prometheus-0:9090/proxy/metrics"


def lost_and_arrived(since: float) -> tuple[int, int]:
    """Samples of shop-1 that the hub lacks between the first and the last that it has, and those that it has."""
    interval = plan().clusters["shop-1"].scrape_interval.total_seconds()
    times = times_of_the_edge(since)
    arrived = sum(len(each) for each in times)
    return sum(round((each[-1] - each[0]) / interval) + 1 for each in times) - arrived, arrived


def times_of_the_edge(since: float) -> Sequence[Sequence[float]]:
    """When each of its samples that the hub has was taken, by series."""
    kept = "|".join(name for edge in plan().written_by("shop-1") for name in edge.keep)
    selector = f'{{cluster="shop-1",__name__=~"{kept}"}}[{time.time() - since:.0f}s]'
    times = [[float(when) for when, _ in each["values"]] for each in api("hub", "query", query=selector)["result"]]
    assert times, "nothing of shop-1 has arrived"
    return times


def is_fresh(after: float) -> None:
    assert min(each[-1] for each in times_of_the_edge(after - 600)) > after


def filled(fault: str, since: float) -> Loss:
    """Once there is no gap from before the fault until now: writes that are tried again come in any order."""
    mended = time.time()

    def is_filled() -> Loss:
        is_fresh(mended)
        lost, arrived = lost_and_arrived(since - LOOKED_BACK)
        assert not lost, f"{lost} of {lost + arrived} samples are missing"
        return Loss(fault, lost, arrived, time.time() - since)

    return eventually(is_filled, within=MENDED_WITHIN)[0]


def cut_off_and_filled(alarms: Alarms, first: Future[tuple[Loss, int]]) -> tuple[Measured, Loss]:
    wait([first])
    since = time.time()
    return run(EDGE_CUT_OFF, alarms), filled(EDGE_CUT_OFF.fault, since)


def failed_by_the_edge() -> float:
    """Samples that it says it has given up, since it began."""
    told = kubectl("shop-1", "get", "--raw", AGENT)
    return sum(
        map(float, re.findall(r"^prometheus_remote_storage_samples_failed_total{.*} (\S+)$", told, re.MULTILINE))
    )


def refused() -> tuple[Loss, int]:
    """And how many samples the sender says it has lost. No later fault looks back at them."""
    since, before = time.time(), failed_by_the_edge()

    def has_lost_some() -> None:
        assert failed_by_the_edge() - before >= REFUSED

    with wrong_password("shop-1", REMOTE_WRITE_CREDENTIALS, "hub.password"):
        eventually(has_lost_some, within=180)
    repaired = time.time()
    eventually(lambda: is_fresh(repaired + LOOKED_BACK), within=180)
    loss = Loss(EDGE_REFUSED, *lost_and_arrived(since - LOOKED_BACK), time.time() - since)
    return loss, round(failed_by_the_edge() - before)


def restarted() -> tuple[float, Loss]:
    """And after how many seconds the hub's alerts fire again."""

    def started() -> str:
        return api("hub", "status/runtimeinfo")["startTime"]

    since, before, began = time.time(), started(), time.monotonic()
    signalled("hub", "prometheus", "SIGTERM")

    def fires_again() -> None:
        assert started() != before
        assert query("hub", 'ALERTS{alertname="Watchdog",alertstate="firing"}')

    eventually(fires_again, within=MENDED_WITHIN)
    return time.monotonic() - began, filled(HUB_RESTARTED, since)


@dataclass(frozen=True)
class Outcome:
    drills: Mapping[Drill, Future[Measured]]
    cut_off: Future[tuple[Measured, Loss]]
    refused: Future[tuple[Loss, int]]
    restarted: Future[tuple[float, Loss]]
    seconds: float
    left: set[str]
    """Names of alerts that fire when all is mended."""

    def tables(self) -> tuple[str, str]:
        cut_off, filled = self.cut_off.result()
        measured = {**{drill: each.result() for drill, each in self.drills.items()}, EDGE_CUT_OFF: cut_off}
        losses = [filled, self.refused.result()[0], self.restarted.result()[1]]
        return alerts_table(measured), losses_table(losses)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    began = time.monotonic()
    with listening({drill.at for drill in DRILLS}) as alarms, ThreadPoolExecutor() as pool:
        alarms.until("Alertmanager", {"alertname": "Watchdog"}, fires=True, within=MENDED_WITHIN)
        writer = pool.submit(refused)
        edge = pool.submit(cut_off_and_filled, alarms, writer)
        rule = pool.submit(run, RULE_FAILS, alarms)
        drills = {drill: pool.submit(run, drill, alarms) for drill in TOGETHER}
        # What is written while the hub's gateway hangs may count as lost, and arrive nevertheless.
        wait([*drills.values(), writer])
        drills[RULE_FAILS] = rule
        for drill in ONE_BY_ONE:
            drills[drill] = pool.submit(run, drill, alarms)
            wait([drills[drill]])
        wait([edge, rule])
        # Of an alert that ends while Prometheus starts nobody is told, and Alertmanager keeps it for minutes.
        until_quiet(alarms)
        wait([restart := pool.submit(restarted)])
        until_quiet(alarms)
        seconds, left = time.monotonic() - began, alarms.names("Alertmanager")
        return Outcome(drills, edge, writer, restart, seconds, left)


def until_quiet(alarms: Alarms) -> None:
    """Or until it would have to be."""

    def is_quiet() -> None:
        assert alarms.names("Alertmanager") - LOOK_BACK == {"Watchdog"}

    with suppress(AssertionError):
        eventually(is_quiet, within=MENDED_WITHIN)


@pytest.mark.parametrize("drill", [*TOGETHER, *ONE_BY_ONE, RULE_FAILS], ids=lambda drill: drill.fault)
def test_a_fault_is_an_alert_that_ends_with_it(outcome: Outcome, drill: Drill) -> None:
    measured = outcome.drills[drill].result()
    assert measured.fires <= measured.is_heard <= drill.within
    assert measured.is_over <= drill.ends_within


def test_an_edge_that_was_cut_off_is_an_alert_and_loses_nothing(outcome: Outcome) -> None:
    measured, loss = outcome.cut_off.result()
    assert measured.is_heard <= EDGE_CUT_OFF.within
    assert loss.lost == 0
    assert loss.seconds > max(CUT_OFF_FOR, measured.is_heard)


def test_a_writer_that_is_refused_loses_for_good_what_it_says_it_has_lost(outcome: Outcome) -> None:
    loss, told = outcome.refused.result()
    assert loss.lost == told >= REFUSED


def test_a_hub_that_is_started_again_keeps_what_it_had_and_loses_nothing(outcome: Outcome) -> None:
    seconds, loss = outcome.restarted.result()
    assert seconds <= MENDED_WITHIN
    assert loss.lost == 0


def test_nothing_fires_any_more_when_all_is_mended(outcome: Outcome) -> None:
    assert outcome.left - LOOK_BACK == {"Watchdog"}


def test_all_drills_fit_into_an_ordinary_run(outcome: Outcome) -> None:
    assert outcome.seconds <= ALL_TAKE


def test_what_was_measured_is_told(outcome: Outcome) -> None:
    for place, text in zip((ALERTS, LOSSES), outcome.tables(), strict=True):
        print(f"\n{text}")  # noqa: T201 (half of what the run is for)
        if os.environ.get("FLEET_DRILLS_TABLE") == "write":
            place.write(text)
    restart, _ = outcome.restarted.result()
    print(f"\n{outcome.seconds:.0f} s for all; the hub's alerts fired again after {restart:.0f} s")  # noqa: T201 (likewise)
