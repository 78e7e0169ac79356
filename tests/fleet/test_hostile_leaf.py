"""A real Prometheus, two honest children and a hostile one: whatever it answers, it harms nobody but itself."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import yaml
from hostile import CASES, Case, Child, Speaker, Tier, documented, reply, table

from fleet.alerts import alert_groups
from fleet.compiler import compile_page
from fleet.names import FEDERATION_CREDENTIALS
from fleet.page import read_page
from fleet.plan import Plan
from fleet.scrape import federation_job
from local.api_server import free_ports

cluster = pytest.mark.cluster

INTERVAL = 1.0
SERIES = 500
"""Of each honest child."""

_SETTINGS = {
    "intervals": {"scrape": "500ms", "rules": "500ms", "federation": {"floor": "1s", "regional": "1s", "global": "1s"}},
    "alerting": {"after": "1500ms"},
}
_HUB = {"hub": {"tier": "global", "context": "hub"}}
_REGIONS = {"north": "cold", "south": "warm", "rogue": "far"}


def _page(tier: Tier) -> Mapping[str, object]:
    """Three leaves, below the top or each below its own region; the last of each is the hostile one."""
    clusters: dict[str, object] = dict(_HUB)
    for leaf, region in _REGIONS.items():
        clusters[leaf] = {"tier": "leaf", "region": region, "context": leaf}
        if tier == "region":
            clusters[region] = {"tier": "regional", "region": region, "context": region}
    return {**_SETTINGS, "clusters": clusters}


@dataclass
class World:
    tier: Tier
    plan: Plan
    honest: Mapping[str, Child]
    hostile: Child
    speaker: Speaker
    client: httpx.Client
    process: int
    baseline: int = 0
    """Bytes that the parent has resident while every child is honest."""

    @property
    def culprit(self) -> str:
        return "rogue" if self.tier == "leaf" else "far"

    @property
    def job(self) -> str:
        return f"federate-{self.culprit}"

    def get(self, path: str, **params: str) -> Any:
        return self.client.get(path, params=params).raise_for_status().json()["data"]

    def query(self, promql: str) -> list[Any]:
        return self.get("/api/v1/query", query=promql)["result"]

    def error(self) -> str:
        """What the last scrape of the hostile child failed at."""
        (target,) = self.get("/api/v1/targets", state="active", scrapePool=self.job)["activeTargets"]
        return target["lastError"]

    def firing(self) -> set[str]:
        """Alerts that fire and name the hostile child; what fires about others is a failure of the test."""
        labels = [each["labels"] for each in self.get("/api/v1/alerts")["alerts"] if each["state"] == "firing"]
        about = [each for each in labels if each["alertname"] not in {"Watchdog", "ClusterSilent"}]
        assert {each.get("job") for each in about} <= {self.job}, about
        return {each["alertname"] for each in about}

    def resident(self) -> int:
        status = Path(f"/proc/{self.process}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def of_the_honest(self) -> dict[tuple[tuple[str, str], ...], str]:
        regions = '{region=~"cold|warm",__name__!~"up|scrape_.*|ALERTS.*"}'
        return {tuple(sorted(each["metric"].items())): each["value"][1] for each in self.query(regions)}

    def expected_of_the_honest(self) -> dict[tuple[tuple[str, str], ...], str]:
        found: dict[tuple[tuple[str, str], ...], str] = {}
        for leaf in ("north", "south"):
            for number in range(SERIES):
                labels = {"__name__": self.speaker.record, "cluster": leaf, "region": _REGIONS[leaf]}
                found[tuple(sorted({**labels, "namespace": f"n{number}"}.items()))] = str(number)
        return found


_T = TypeVar("_T")


def eventually(ask: Callable[[], _T], what: str, seconds: float = 20) -> _T:
    """The first answer that is not empty."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return found


def _honest(record: str, leaf: str) -> Callable[[BaseHTTPRequestHandler], None]:
    own = f'cluster="{leaf}",region="{_REGIONS[leaf]}"'
    text = "".join(f'{record}{{{own},namespace="n{number}"}} {number}\n' for number in range(SERIES))
    return lambda handler: reply(handler, text)


@contextlib.contextmanager
def world(tier: Tier, folder: Path) -> Iterator[World]:
    folder.mkdir()
    plan = compile_page(read_page(_page(tier), {}))
    record = "cluster:namespace_cpu:sum" if tier == "leaf" else "region:cluster_namespace_cpu:sum"
    name_of = {leaf: leaf if tier == "leaf" else region for leaf, region in _REGIONS.items()}
    with contextlib.ExitStack() as running:
        children = {
            name: running.enter_context(Child(_honest(record, leaf)).serving()) for leaf, name in name_of.items()
        }
        hostile = children[name_of["rogue"]]
        (edge,) = (each for each in plan.federated_by("hub") if each.child == name_of["rogue"])
        other = children[name_of["north"]].address
        speaker = Speaker(record, 'cluster="rogue",region="far"', edge.sample_limit, other)
        process, client = running.enter_context(_parent(plan, children, folder))
        honest = {name: child for name, child in children.items() if child is not hostile}
        yield World(tier, plan, honest, hostile, speaker, client, process)


@contextlib.contextmanager
def _parent(plan: Plan, children: Mapping[str, Child], folder: Path) -> Iterator[tuple[int, httpx.Client]]:
    """The hub's Prometheus with the plan's own jobs and alerts; only addresses and places of files differ."""
    jobs: list[dict[str, object]] = []
    for edge in plan.federated_by("hub"):
        (folder / edge.child).write_text(f"password-of-{edge.child}")
        text = json.dumps(federation_job(edge, children[edge.child].address))
        job = json.loads(text.replace(f"/etc/prometheus/secrets/{FEDERATION_CREDENTIALS}", str(folder)))
        # How the hop is encrypted is not what is judged here.
        job.pop("tls_config", None)
        jobs.append({**job, "scheme": "http"})
    groups = [group.spec() for group in alert_groups(plan, plan.clusters["hub"])]
    (folder / "alerts.yaml").write_text(yaml.safe_dump({"groups": groups}))
    external = dict(plan.clusters["hub"].external_labels)
    config = {
        "global": {"external_labels": external, "evaluation_interval": "500ms"},
        "rule_files": [str(folder / "alerts.yaml")],
        "scrape_configs": jobs,
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    (port,) = free_ports(1)
    command = ["prometheus", f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}"]
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client,
    ):
        try:
            eventually(lambda: process.poll() is not None or _is_ready(client), "ready")
            assert process.poll() is None, log.read_text()
            yield process.pid, client
        finally:
            process.kill()


def _is_ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return client.get("/-/ready").is_success
    return False


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[Tier, World]]:
    folder = tmp_path_factory.mktemp("hostile")
    tiers: tuple[Tier, ...] = ("leaf", "region")
    with contextlib.ExitStack() as running:
        found = {tier: running.enter_context(world(tier, folder / tier)) for tier in tiers}
        for each in found.values():
            eventually(lambda each=each: len(_scrapes(each, each.job)) >= 5, "five honest scrapes")
            each.baseline = each.resident()
        yield found


def _scrapes(world: World, job: str) -> list[tuple[float, str]]:
    """(Unix time, `up`) of the scrapes of the last five minutes."""
    return [tuple(value) for series in world.query(f'up{{job="{job}"}}[5m]') for value in series["values"]]


def attacked(world: World, case: Case) -> int:
    """The parent's largest size in bytes while it is under attack and until it has said so."""
    began = time.time()
    peak = 0
    calm = world.hostile.answer
    world.hostile.answer = lambda handler: case.answer(handler, world.speaker)

    def is_over() -> bool:
        nonlocal peak
        peak = max(peak, world.resident())
        return (
            world.firing() >= set(case.alerts)
            and len([at for at, _ in _scrapes(world, world.job) if at > began]) >= 3
            and case.error in world.error()
        )

    try:
        eventually(is_over, f"{case.alerts} after {case.error!r}")
        if not case.error:
            assert world.error() == ""
        assert world.firing() == set(case.alerts)
        assert_unharmed(world, began)
    finally:
        world.hostile.answer = calm
    eventually(lambda: not world.firing() and not world.error(), "the child is heard again")
    return peak


def assert_unharmed(world: World, since: float) -> None:
    assert world.of_the_honest() == world.expected_of_the_honest()
    for name in world.honest:
        scrapes = _scrapes(world, f"federate-{name}")
        assert {up for _, up in scrapes} == {"1"}
        times = [at for at, _ in scrapes]
        # Each begins when its turn has come: two intervals apart means that one is missing.
        assert max(later - earlier for earlier, later in pairwise(times)) < 2 * INTERVAL
        assert len([at for at in times if at > since]) >= int((times[-1] - since) / INTERVAL)
    # Whatever it has ever been sent, the parent holds nothing of anybody but the three.
    stored = world.get("/api/v1/series", **{"match[]": '{__name__=~".+",__name__!~"up|scrape_.*|ALERTS.*"}'})
    assert {each["__name__"] for each in stored} == {world.speaker.record}
    assert {(each["cluster"], each["region"]) for each in stored} == set(_REGIONS.items())
    assert not any(set(each) & {"job", "instance", "prometheus_replica"} for each in stored)
    assert sum(each["cluster"] != "rogue" for each in stored) == 2 * SERIES
    own = world.get("/api/v1/series", **{"match[]": '{__name__=~"up|scrape_.*"}'})
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
        assert peak <= 2 * world.baseline, f"{peak / 2**20:.0f} MiB, {world.baseline / 2**20:.0f} MiB before"


@cluster
def test_nobody_is_shown_the_password_of_another(worlds: Mapping[Tier, World]) -> None:
    for world in worlds.values():
        shown = [child.shown for child in (*world.honest.values(), world.hostile)]
        assert [len(each) for each in shown] == [1, 1, 1]
        assert len(set().union(*shown)) == 3


def test_the_documented_attacks_are_those_that_are_tried() -> None:
    assert documented() == table(), "PYTHONPATH=. python tests/fleet/hostile.py"
