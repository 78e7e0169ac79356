"""A real Prometheus, two honest children and a hostile one: whatever it answers, it harms nobody but itself."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
from hostile import CASES, CHURN, SLOW, TABLE, Case, Child, Speaker, Tier, reply, table
from parent import Parent, eventually, parent

from fleet.compiler import compile_page
from fleet.names import FEDERATION_CREDENTIALS
from fleet.page import read_page
from fleet.plan import Plan
from fleet.scrape import Job, federation_job

_T = TypeVar("_T", bound=Callable[..., object])


def cluster(test: _T) -> _T:
    """Scrapes come each second, and one that is late for others' sake would be the hostile child's fault."""
    return pytest.mark.cluster(pytest.mark.alone(pytest.mark.long(test)))


INTERVAL = 1.0
SERIES = 500
"""Of each honest child."""

CHECKS = "--storage.tsdb.block-reload-interval=1s"
"""A real parent scrapes every minute or two, and looks every minute for series that have ended."""

HOUR = 60
"""Scrapes that a leaf's parent makes in an hour, by the default interval."""

_SETTINGS = {
    "intervals": {
        "scrape": "500ms",
        "rules": "500ms",
        "federation": {"floor": "1s", "regional": "1s", "global": "1s", "timeout": "1s"},
    },
    "alerting": {"after": "1500ms"},
    "expect": {"services": 2},
    "tiers": {"leaf": {"budget": 1000}, "regional": {"budget": 1750}},
}
_HUB = {"hub": {"tier": "global", "context": "hub"}}
_REGIONS = {"north": "cold", "south": "warm", "rogue": "far"}

_STORED = '{__name__=~".+",__name__!~"up|scrape_.*|ALERTS.*"}'


def _page(tier: Tier, settings: Mapping[str, object]) -> Mapping[str, object]:
    """Three leaves, below the top or each below its own region; the last of each is the hostile one."""
    clusters: dict[str, object] = dict(_HUB)
    for leaf, region in _REGIONS.items():
        clusters[leaf] = {"tier": "leaf", "region": region, "context": leaf}
        if tier == "region":
            clusters[region] = {"tier": "regional", "region": region, "context": region}
    return {**settings, "clusters": clusters}


Series = dict[frozenset[tuple[str, str]], str]
"""Values by labels."""


@dataclass(frozen=True)
class World:
    parent: Parent
    honest: Mapping[str, Child]
    hostile: Child
    speaker: Speaker
    job: str
    """The parent's job for the hostile child."""
    baseline: int
    """Bytes that the parent has in memory while every child is honest."""

    def error(self) -> str:
        """What the last scrape of the hostile child failed at."""
        (target,) = self.parent.get("/api/v1/targets", state="active", scrapePool=self.job)["activeTargets"]
        return target["lastError"]

    def firing(self) -> set[str]:
        """Alerts that name the hostile child. One that names another is wrong."""
        # These are about clusters, and the clusters behind a child that is down are silent; nobody scrapes the parent.
        others = {"Watchdog", "ClusterSilent", "MonitorDown"}
        named = [each for each in self.parent.firing() if each["alertname"] not in others]
        assert {each.get("job") for each in named} <= {self.job}, named
        return {each["alertname"] for each in named}

    def of_the_honest(self) -> Series:
        found = self.parent.query('{region=~"cold|warm",__name__!~"up|scrape_.*|ALERTS.*"}')
        return {frozenset(each["metric"].items()): each["value"][1] for each in found}

    def expected_of_the_honest(self) -> Series:
        found: Series = {}
        for leaf in ("north", "south"):
            labels = {"__name__": self.speaker.record, "cluster": leaf, "region": _REGIONS[leaf]}
            for number in range(SERIES):
                found[frozenset({**labels, "namespace": f"n{number}"}.items())] = str(number)
        return found


def _honest(record: str, leaf: str) -> Callable[[BaseHTTPRequestHandler], None]:
    own = f'cluster="{leaf}",region="{_REGIONS[leaf]}"'
    text = "".join(f'{record}{{{own},namespace="n{number}"}} {number}\n' for number in range(SERIES))
    return lambda handler: reply(handler, text)


@contextlib.contextmanager
def world(
    tier: Tier, folder: Path, settings: Mapping[str, object] = _SETTINGS, *flags: str, ready: float = 20
) -> Iterator[World]:
    """`ready`: seconds within which every child has been scraped five times."""
    folder.mkdir()
    plan = compile_page(read_page(_page(tier, settings), {}))
    record = "cluster:namespace_cpu:sum" if tier == "leaf" else "region:cluster_namespace_cpu:sum"
    child_of = {leaf: leaf if tier == "leaf" else region for leaf, region in _REGIONS.items()}
    with contextlib.ExitStack() as running:
        children = {
            name: running.enter_context(Child(_honest(record, leaf)).serving()) for leaf, name in child_of.items()
        }
        above = running.enter_context(parent(plan, _jobs(plan, children, folder), folder, *flags))
        culprit = child_of["rogue"]
        (edge,) = (each for each in plan.federated_by("hub") if each.child == culprit)
        other = children[child_of["north"]].address
        speaker = Speaker(record, 'cluster="rogue",region="far"', edge.sample_limit, other)
        scraped = f'count_over_time(up{{job="{edge.job}"}}[1h]) >= 5'
        eventually(lambda: above.query(scraped), "five honest scrapes", ready)
        honest = {name: child for name, child in children.items() if name != culprit}
        yield World(above, honest, children[culprit], speaker, edge.job, above.resident())


def _jobs(plan: Plan, children: Mapping[str, Child], folder: Path) -> Iterator[Job]:
    """The plan's own; only addresses and places of files differ."""
    for edge in plan.federated_by("hub"):
        (folder / edge.child).write_text(f"password-of-{edge.child}")
        text = json.dumps(federation_job(edge, children[edge.child].address))
        job = json.loads(text.replace(f"/etc/prometheus/secrets/{FEDERATION_CREDENTIALS}", str(folder)))
        # How the hop is encrypted is not what is judged here.
        job.pop("tls_config", None)
        yield {**job, "scheme": "http"}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[Tier, World]]:
    folder = tmp_path_factory.mktemp("hostile")
    tiers: tuple[Tier, ...] = ("leaf", "region")
    with contextlib.ExitStack() as running, ThreadPoolExecutor() as threads:
        found = threads.map(lambda tier: running.enter_context(world(tier, folder / tier)), tiers)
        yield dict(zip(tiers, found, strict=True))


_BESIDE = {CHURN, SLOW}


def attacked(world: World, case: Case, scrapes: int = 3) -> int:
    """The parent's largest size in bytes, for so many scrapes under attack and until it has said so."""
    began = time.time()
    peak = 0
    calm = world.hostile.answer
    world.hostile.answer = lambda handler: case.answer(handler, world.speaker)

    def is_over() -> bool:
        nonlocal peak
        peak = max(peak, world.parent.resident())
        seen = [at for at, _ in world.parent.scrapes(world.job) if at > began]
        return len(seen) >= scrapes and world.firing() >= set(case.alerts) and case.error in world.error()

    try:
        eventually(is_over, f"{case.alerts} after {case.error!r}", seconds=20 + 2 * scrapes * INTERVAL)
        assert bool(world.error()) == bool(case.error)
        assert world.firing() - _BESIDE == set(case.alerts) - _BESIDE
        assert_unharmed(world, began)
    finally:
        world.hostile.answer = calm
    eventually(lambda: world.firing() <= _BESIDE and not world.error(), "the child is heard again")
    return peak


def assert_unharmed(world: World, since: float) -> None:
    assert world.of_the_honest() == world.expected_of_the_honest()
    for name in world.honest:
        scrapes = world.parent.scrapes(f"federate-{name}")
        assert {up for _, up in scrapes} == {"1"}
        times = [at for at, _ in scrapes]
        # Each begins when its turn has come: two intervals apart means that one is missing.
        assert max(later - earlier for earlier, later in pairwise(times)) < 2 * INTERVAL
        assert len([at for at in times if at > since]) >= int((times[-1] - max(since, times[0])) / INTERVAL)
    # Whatever it has ever been sent, the parent holds nothing of anybody but the three.
    assert world.parent.query(f"count by (__name__) ({_STORED})")[0]["metric"] == {"__name__": world.speaker.record}
    of_others = f'{_STORED[:-1]},cluster!="rogue"}}'
    stored = world.parent.get("/api/v1/series", **{"match[]": of_others})
    assert {frozenset(each.items()) for each in stored} == set(world.expected_of_the_honest())
    assert world.parent.get("/api/v1/series", **{"match[]": f'{_STORED[:-1]},cluster="rogue",region!="far"}}'}) == []
    for label in ("job", "instance", "prometheus_replica"):
        assert world.parent.get("/api/v1/series", **{"match[]": f'{_STORED[:-1]},{label}!=""}}'}) == []
    own = world.parent.get("/api/v1/series", **{"match[]": '{__name__=~"up|scrape_.*"}'})
    assert {each["instance"] for each in own} == {child.address for child in (*world.honest.values(), world.hostile)}
    assert len(own) == 3 * len({each["__name__"] for each in own})


@cluster
@pytest.mark.parametrize("name", CASES)
def test_a_hostile_child_harms_nobody_but_itself_and_is_named(name: str, worlds: Mapping[Tier, World]) -> None:
    case = CASES[name]
    under_attack = [worlds[tier] for tier in case.of]
    with ThreadPoolExecutor() as threads:
        peaks = list(threads.map(lambda world: attacked(world, case), under_attack))
    for world, peak in zip(under_attack, peaks, strict=True):
        assert peak <= 2 * world.baseline, sizes(peak, world)


def sizes(peak: int, world: World) -> str:
    return f"{peak / 2**20:.0f} MiB at most, {world.baseline / 2**20:.0f} MiB before"


@cluster
def test_nobody_is_shown_the_password_of_another(worlds: Mapping[Tier, World]) -> None:
    for world in worlds.values():
        shown = [child.shown for child in (*world.honest.values(), world.hostile)]
        assert [len(each) for each in shown] == [1, 1, 1]
        assert len(set().union(*shown)) == 3


UNBOUNDED = "churn-ahead"
"""Its parent does not learn that such a series has ended."""

SCRAPES = 10
HEAD = "prometheus_tsdb_head_series"


@cluster
@pytest.mark.parametrize("name", ["too-many", "churn"])
def test_series_that_have_ended_leave_the_parents_memory(name: str, tmp_path: Path) -> None:
    # Before it takes series out of its memory, Prometheus waits until nobody reads there: rules do, often.
    pace = {"scrape": "1s", "rules": "2900ms", "federation": {"floor": "3s", "regional": "3s", "global": "3s"}}
    with world(
        "leaf", tmp_path / "leaf", {**_SETTINGS, "intervals": pace, "alerting": {}}, CHECKS, ready=60
    ) as under_attack:
        above, limit = under_attack.parent, under_attack.speaker.limit
        alive = above.metric(HEAD) + limit
        answered: list[float] = []

        def answer(handler: BaseHTTPRequestHandler) -> None:
            CASES[name].answer(handler, under_attack.speaker)
            answered.append(time.time())

        under_attack.hostile.answer = answer
        eventually(lambda: len(answered) > SCRAPES, "scrapes of ever new series", seconds=60)
        eventually(lambda: above.metric(HEAD) <= 2 * alive, "as many ended series as living ones at most", seconds=60)
        assert under_attack.of_the_honest() == under_attack.expected_of_the_honest()
        if not CASES[name].error:
            # Out of memory, not lost.
            (found,) = above.query('count(last_over_time({cluster="rogue",n!=""}[5m]))')
            assert int(found["value"][1]) >= SCRAPES * limit


hours = pytest.mark.skipif("HOSTILE_HOURS" not in os.environ, reason="takes what HOSTILE_HOURS says and more")

# These leave a parent's memory at a pace of its own, which nobody can hasten.
_AT_ITS_OWN_PACE = [name for name, case in CASES.items() if CHURN in case.alerts]


@cluster
@hours
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", [name for name in CASES if name not in _AT_ITS_OWN_PACE])
def test_the_parents_memory_is_bounded_over_the_scrapes_of_hours(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    for tier in case.of:
        with world(tier, tmp_path / tier) as under_attack:
            peak = attacked(under_attack, case, round(float(os.environ["HOSTILE_HOURS"]) * HOUR))
            print(f"{name} of a {tier}: {sizes(peak, under_attack)}")  # noqa: T201 (what the run is for)
            assert peak <= 2 * under_attack.baseline, sizes(peak, under_attack)


@cluster
@hours
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", [name for name in _AT_ITS_OWN_PACE if name != UNBOUNDED])
def test_the_parents_memory_is_bounded_over_hours_of_ever_new_series(name: str, tmp_path: Path) -> None:
    with world("leaf", tmp_path / "leaf", {"alerting": {}}, ready=HOUR * 60) as under_attack:
        under_attack.hostile.answer = lambda handler: CASES[name].answer(handler, under_attack.speaker)
        end = time.monotonic() + float(os.environ["HOSTILE_HOURS"]) * HOUR * 60
        peak = 0
        while time.monotonic() < end:
            peak = max(peak, under_attack.parent.resident())
            time.sleep(1)
        print(f"{name}: {sizes(peak, under_attack)}")  # noqa: T201 (what the run is for)
        assert peak <= 2 * under_attack.baseline, sizes(peak, under_attack)


def test_the_documented_attacks_are_those_that_are_tried() -> None:
    assert TABLE.text() == table(), "PYTHONPATH=. python tests/fleet/hostile.py"
