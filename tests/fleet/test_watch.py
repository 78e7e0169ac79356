"""`fleet status --watch`: what it says of each edge, in what order, and how much of it fits."""

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from answers import FakeApi
from rich.console import Console

from fleet.compiler import compile_page
from fleet.outputs import fleet_output
from fleet.page import read_page
from fleet.plan import Plan
from fleet.prometheus import FiringAlert, Prometheus, Unreachable
from fleet.screen import Screen, lines
from fleet.status import EdgeStatus, FleetOutput
from fleet.watch import Picture, Watch, Worry, picture

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DEV = {
    "alerting": {},
    "clusters": {
        "hub": {"tier": "global", "context": "hub"},
        "eu": {"tier": "regional", "region": "eu", "context": "eu"},
        "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
        "eu-2": {"tier": "leaf", "region": "eu", "context": "eu-2"},
        "shop-1": {"tier": "edge", "context": "shop-1"},
    },
}


def fleet_of(page: Mapping[str, object]) -> tuple[Plan, FleetOutput]:
    plan = compile_page(read_page(page, {}))
    return plan, FleetOutput.model_validate(fleet_output(plan, {}))


def well(fleet: FleetOutput) -> list[EdgeStatus | None]:
    return [
        EdgeStatus(each.way, each.lower, each.upper, None, 100, 3.0, up=True, duration=0.02, lag=2.0)
        for each in fleet.edges
    ]


def changed(fleet: FleetOutput, edge: str, **to: object) -> list[EdgeStatus | None]:
    return [
        replace(each, **to) if each is not None and f"{each.lower} → {each.upper}" == edge else each
        for each in well(fleet)
    ]


def started_one_after_another(alerts: Sequence[Mapping[str, str]]) -> list[FiringAlert]:
    return [
        FiringAlert(labels=dict(labels), startsAt=NOW + timedelta(seconds=number))
        for number, labels in enumerate(alerts)
    ]


def seen(
    statuses: Sequence[EdgeStatus | None] | None = None, firing: Sequence[Mapping[str, str]] | Unreachable = ()
) -> Picture:
    plan, fleet = fleet_of(DEV)
    heard = firing if isinstance(firing, Unreachable) else started_one_after_another(firing)
    return picture(plan, fleet, well(fleet) if statuses is None else statuses, heard)


def drawn(shown: Picture, width: int = 120, height: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(Screen(shown, NOW))
    text = console.file.getvalue()
    return [line.rstrip() for line in text.splitlines()]


def edges(shown: Picture) -> dict[str, tuple[str, ...]]:
    return {f"{row.edge.lower} → {row.edge.upper}": row.alerts for row in shown.rows}


def test_every_edge_is_one_line_under_its_region() -> None:
    assert drawn(seen()) == [
        "3 of 3 clusters report · 0 of 4 edges in trouble · 12:00:00 UTC",
        "edge               way           up  newest  scrape        samples       state",
        "no region: 1 of 1",
        "shop-1 → hub       remote write  up  3s ago  2s behind     100/s         ok",
        "eu: 2 of 2",
        "eu → hub           federation    up  3s ago  0.02s of 96s  100 of 16000  ok",
        "eu-1 → eu          federation    up  3s ago  0.02s of 48s  100 of 4000   ok",
        "eu-2 → eu          federation    up  3s ago  0.02s of 48s  100 of 4000   ok",
    ]


def test_the_worst_comes_first_and_takes_its_region_along() -> None:
    _, fleet = fleet_of(DEV)
    screen = drawn(seen(changed(fleet, "eu-2 → eu", fault="401: wrong credential")))
    assert [line.split(" → ")[0] for line in screen[2:]] == [
        "eu: 1 of 2",
        "eu-2",
        "eu",
        "eu-1",
        "no region: 1 of 1",
        "shop-1",
    ]
    assert screen[3].endswith("401: wrong credential")


@pytest.mark.parametrize(
    ("to", "worry"),
    [
        ({}, Worry.NONE),
        ({"samples": 3201}, Worry.NEARLY),
        ({"samples": 3199}, Worry.NONE),
        ({"duration": 39.0}, Worry.NEARLY),
        ({"fault": "stale"}, Worry.FAULT),
    ],
)
def test_what_nearly_uses_up_what_it_has_is_looked_at_before_it_fails(to: Mapping[str, object], worry: Worry) -> None:
    _, fleet = fleet_of(DEV)
    (row,) = [row for row in seen(changed(fleet, "eu-1 → eu", **to)).rows if row.edge.lower == "eu-1"]
    assert row.worry is worry


@pytest.mark.parametrize(
    ("labels", "edge"),
    [
        ({"cluster": "eu-1", "region": "eu"}, "eu-1 → eu"),
        ({"cluster": "shop-1"}, "shop-1 → hub"),
        ({"region": "eu"}, "eu → hub"),
        ({"job": "federate-eu", "region": "eu", "instance": "192.0.2.1:443"}, "eu → hub"),
        ({"job": "federate-eu-2", "cluster": "eu-2", "region": "eu"}, "eu-2 → eu"),
        ({"job": "gateway"}, None),
        ({"cluster": "stranger"}, None),
    ],
)
def test_an_alert_stands_beside_the_edge_it_is_about_or_in_the_headline(
    labels: Mapping[str, str], edge: str | None
) -> None:
    shown = seen(firing=[{"alertname": "Alarm", "severity": "critical", **labels}])
    assert [name for name, alerts in edges(shown).items() if alerts == ("Alarm",)] == ([edge] if edge else [])
    assert shown.alerts == (() if edge else ("Alarm",))
    assert "Alarm" in "\n".join(drawn(shown))


def test_what_calls_nobody_is_not_shown() -> None:
    assert "Watchdog" not in "\n".join(drawn(seen(firing=[{"alertname": "Watchdog", "severity": "none"}])))


def test_of_several_alerts_the_newest_critical_one_is_named_and_the_others_are_counted() -> None:
    named = {"FederationStale": "critical", "ClusterSilent": "critical", "AlertsDropped": "warning"}
    firing = [{"alertname": name, "cluster": "eu-2", "severity": severity} for name, severity in named.items()]
    _, fleet = fleet_of(DEV)
    screen = drawn(seen(changed(fleet, "eu-2 → eu", fault="timeout"), firing))
    assert screen[3].endswith("ClusterSilent · and 2 more · timeout")


def test_that_alerts_are_not_known_is_said() -> None:
    assert (
        "alerts are not known: API server of hub: timeout"
        in drawn(seen(firing=Unreachable("API server of hub: timeout")))[0]
    )


def test_a_cluster_reports_where_each_edge_on_its_way_to_the_top_is_well() -> None:
    _, fleet = fleet_of(DEV)
    assert seen(changed(fleet, "eu → hub", fault="stale")).reporting == {"shop-1"}
    assert seen(changed(fleet, "eu-2 → eu", fault="stale")).reporting == {"shop-1", "eu-1"}
    assert seen([None] * 4).reporting == set()


def test_a_cluster_of_the_page_that_is_not_deployed_is_planned_and_does_not_report() -> None:
    plan, _ = fleet_of(
        {**DEV, "clusters": {**DEV["clusters"], "eu-3": {"tier": "leaf", "region": "eu", "context": "c"}}}
    )
    _, fleet = fleet_of(DEV)
    shown = picture(plan, fleet, well(fleet), [])
    assert (len(shown.reporting), len(shown.planned)) == (3, 4)


def large() -> Picture:
    """300 clusters, two edges in trouble."""
    clusters: dict[str, object] = {"hub": DEV["clusters"]["hub"]}
    for region in range(10):
        clusters[f"r{region}"] = {"tier": "regional", "region": f"r{region}", "context": f"r{region}"}
        for leaf in range(28):
            clusters[f"r{region}-{leaf}"] = {"tier": "leaf", "region": f"r{region}", "context": f"r{region}-{leaf}"}
    for edge in range(300 - len(clusters)):
        clusters[f"edge-{edge}"] = {"tier": "edge", "context": f"edge-{edge}"}
    plan, fleet = fleet_of({"clusters": clusters})
    statuses = changed(fleet, "r7-3 → r7", fault="401: wrong credential")
    statuses[5] = replace(statuses[5], fault="unreachable: EOF")
    return picture(plan, fleet, statuses, [])


@pytest.mark.parametrize("height", [8, 24, 60])
@pytest.mark.parametrize("width", [30, 50, 80, 200])
def test_what_does_not_fit_is_counted_and_is_not_the_worst(width: int, height: int) -> None:
    screen = drawn(large(), width, height)
    assert len(screen) <= height
    assert all(len(line) <= width for line in screen)
    shown = [line for line in screen if " → " in line]
    assert {line.split(" →")[0] for line in shown} >= {"r7-3", "r0-5"}
    assert f"and {299 - len(shown)} more edges, 0 of them in t"[: width - 1] in screen[-1]


def test_what_does_not_fit_costs_nothing_to_draw() -> None:
    shown = large()
    whole, upper_fifth = (_calls(lambda height=height: drawn(shown, 200, height)) for height in (320, 64))
    assert 4 * upper_fifth < whole


def _calls(work: Callable[[], object]) -> int:
    """Of functions: on a busy machine as many as on another."""
    made = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal made
        made += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return made


def test_lines_for_a_log_hold_every_edge_whole() -> None:
    told = [*lines(large(), NOW)]
    assert len(told) == 300
    assert told[1].startswith("2026-03-01T12:00:00Z   ")
    assert "r7-3 → r7 (federation): up up, newest 3s ago" in "\n".join(told[1:3])


class Cluster:
    """A way to each cluster's Prometheus that counts how often it is laid."""

    def __init__(self, **apis: FakeApi | Unreachable) -> None:
        self.apis = {name.replace("_", "-"): each for name, each in apis.items()}
        self.connected = Counter[str]()

    async def connect(self, name: str) -> Prometheus | Unreachable:
        self.connected[name] += 1
        api = self.apis.get(name, Unreachable(f"API server of {name}: no route to host"))
        return api if isinstance(api, Unreachable) else Prometheus(name, "monitoring", api)


def watched(clusters: Cluster, until: Callable[[Picture], bool]) -> Picture:
    """The first picture of the kind."""
    plan, fleet = fleet_of(DEV)

    async def watch() -> Picture:
        watch = Watch(plan, fleet, 0.01, clusters.connect)
        asking = asyncio.create_task(watch.ask())
        try:
            async with asyncio.timeout(10):
                while not until(shown := watch.picture()):  # noqa: ASYNC110 (it tells nobody that it has changed)
                    await asyncio.sleep(0.01)
            return shown
        finally:
            asking.cancel()

    return asyncio.run(watch())


def faults(shown: Picture) -> dict[str, str | None]:
    return {row.edge.lower: row.status.fault for row in shown.rows if row.status is not None}


class Fresh(FakeApi):
    """Has a sample of every metric."""

    def _vector(self, promql: str) -> list[object]:
        if "timestamp" in promql:
            names = re.findall(r'__name__="([^"]+)"', promql)
            return [{"metric": {"of": name}, "value": [0, "3"]} for name in names]
        return super()._vector(promql)


def test_a_cluster_out_of_reach_or_silent_holds_up_no_other() -> None:
    """The region's API server answers nothing, a question to it ends after ten seconds; the hub's answers."""
    clusters = Cluster(hub=Fresh(alerts=[{"alertname": "Alarm", "cluster": "eu-2"}]), eu=FakeApi(silent=True))
    shown = watched(clusters, lambda shown: len(faults(shown)) == 2 and "Alarm" in str(shown.rows))
    assert faults(shown) == {"eu": None, "shop-1": None}
    assert shown.reporting == {"shop-1"}


def test_connections_stay_open_and_are_tried_again_where_there_is_none() -> None:
    clusters = Cluster(hub=Fresh(), eu=Unreachable("API server of eu: no route to host"))
    shown = watched(clusters, lambda shown: clusters.connected["eu"] > 2 and len(faults(shown)) == 4)
    assert faults(shown)["eu-1"] == "unreachable: API server of eu: no route to host"
    assert clusters.connected["hub"] == 1
    clusters.apis["eu"] = Fresh()
    back = watched(clusters, lambda shown: len(shown.reporting) == 3)
    assert set(faults(back).values()) == {None}


STUB = """#!/bin/sh
cat "$(dirname "$0")/output.json"
"""


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A folder of a stack whose clusters are all out of reach, and a `pulumi` that knows its output."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "it", "user": {"token": "none"}}],
    }
    clusters = dict[str, object]()
    for name, each in DEV["clusters"].items():
        (tmp_path / name).write_text(json.dumps(kubeconfig))
        clusters[name] = {**each, "kubeconfig": str(tmp_path / name), "context": "it"}
    page = {**DEV, "clusters": clusters}
    (tmp_path / "Pulumi.dev.yaml").write_text(json.dumps({"config": {"prometheus-fleet:fleet": page}}))
    (tmp_path / "output.json").write_text(json.dumps(fleet_output(compile_page(read_page(page, {})), {})))
    (tmp_path / "pulumi").write_text(STUB)
    (tmp_path / "pulumi").chmod(0o755)
    return tmp_path


def watching(stack: Path, **streams: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "fleet", "status", "--watch", "--every", "0.5", "--root", str(stack)]
    path = f"{stack}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TERM": "xterm", "COLUMNS": "100", "LINES": "20"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **streams)


def test_an_interruption_ends_it_well_and_gives_the_terminal_back(stack: Path) -> None:
    ours, theirs = os.openpty()
    with watching(stack, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        while text.count(b"no route") + text.count(b"unreachable") < 4:
            text += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # Linux's end of a terminal
            while more := os.read(ours, 4096):
                text += more
    os.close(ours)
    assert process.returncode == 0
    assert b"Traceback" not in text
    entered, left, shown = (
        text.index(b"\x1b[?1049h"),
        text.rindex(b"\x1b[?1049l"),
        text.rindex(b"0 of 3 clusters report"),
    )
    assert entered < left < shown


def test_without_a_terminal_it_writes_plain_lines_once_a_round(stack: Path) -> None:
    with watching(stack, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told = [""]
        while "4 of 4 edges in trouble" not in told[0] or "alerts are not known" not in told[0]:
            told = [process.stdout.readline().decode() for _ in range(5)]
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, b"")
    assert "\x1b" not in "".join(told)
    assert "0 of 3 clusters report" in told[0]
    assert all("unreachable: API server of" in line for line in told[1:])


def test_json_is_not_watched(stack: Path) -> None:
    command = [sys.executable, "-m", "fleet", "status", "--watch", "--json", "--root", str(stack)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "--watch" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
