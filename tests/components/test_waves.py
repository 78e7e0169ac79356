"""Which releases wait, for which, and that nothing else does. How health is judged is tested with `fleet.health`."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
from test_program import Recorder, run_program

import fleet.health
from fleet.absence import Absence
from fleet.health import Observer, Unhealthy
from fleet.page import Waves

Say = Callable[[str], None]


class Clusters:
    """Stands in for the wait: notes which cluster is asked for, and what had been registered by then."""

    def __init__(self, recorder: Recorder, unhealthy: str | None = None) -> None:
        self.recorder = recorder
        self.unhealthy = unhealthy
        self.asked: dict[str, set[str]] = {}
        self.error: str | None = None

    async def until_healthy(self, look: Callable[[], Awaitable[object]], _waves: Waves, _say: Say) -> None:
        observer: Observer = look.__self__
        await self._until_nothing_more_comes()
        self.asked[observer.cluster.name] = {name.removesuffix("-release") for name in self.recorder.releases()}
        if observer.cluster.name == self.unhealthy:
            raise Unhealthy("0 of 1 replicas available")

    async def _until_nothing_more_comes(self) -> None:
        """Whatever does not wait is registered meanwhile, however busy the machine is."""
        registered = -1
        while registered < len(self.recorder.resources):
            registered = len(self.recorder.resources)
            await asyncio.sleep(0.2)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Clusters]:
    (tmp_path / "kubeconfig").write_text("kubeconfig of all")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("FLEET_CHART", raising=False)

    def run(*, unhealthy: str | None = None, preview: bool = False, absent: str = "", **waves: int) -> Clusters:
        for name, value in Absence(kept=frozenset(absent.split())).environment.items():
            monkeypatch.setenv(name, value)
        recorder = Recorder()
        clusters = Clusters(recorder, unhealthy)
        monkeypatch.setattr(fleet.health, "until_healthy", clusters.until_healthy)
        page = page_of(waves)
        try:
            run_program(page, recorder=recorder, preview=preview)
        except pulumi.RunError as error:
            clusters.error = str(error)
        return clusters

    return run


def page_of(waves: dict[str, int]) -> dict[str, Any]:
    tiers = {"hub": {"tier": "global"}, "eu": {"tier": "regional", "region": "eu"}}
    leaf = {"tier": "leaf", "region": "eu"}
    named = {name.replace("_", "-"): wave for name, wave in waves.items()}
    return {
        "clusters": {
            name: {**tiers.get(name, leaf), "context": name, "wave": named.get(name, 1)}
            for name in ("hub", "eu", "eu-1", "eu-2")
        }
    }


def test_a_fleet_of_one_wave_asks_no_cluster(run: Callable[..., Clusters]) -> None:
    clusters = run()
    assert clusters.asked == {}
    assert set(clusters.recorder.releases()) == {"hub-release", "eu-release", "eu-1-release", "eu-2-release"}


@pytest.mark.parametrize(
    ("waves", "asked"),
    [
        # Below first, above first, and a gap in the numbers: waves go as the page says, whatever the tiers are.
        ({"hub": 2}, {"eu": "eu eu-1 eu-2", "eu-1": "eu eu-1 eu-2", "eu-2": "eu eu-1 eu-2"}),
        ({"eu_1": 2, "eu_2": 2}, {"hub": "hub eu", "eu": "hub eu"}),
        (
            {"eu_2": 5, "hub": 9},
            {"eu": "eu eu-1", "eu-1": "eu eu-1", "eu-2": "eu eu-1 eu-2"},
        ),
    ],
)
def test_releases_of_a_later_wave_come_after_every_earlier_cluster_is_healthy(
    run: Callable[..., Clusters], waves: dict[str, int], asked: dict[str, str]
) -> None:
    clusters = run(**waves)
    assert clusters.asked == {name: set(there.split()) for name, there in asked.items()}
    assert len(clusters.recorder.releases()) == 4


def test_nothing_but_the_release_and_what_needs_it_waits(run: Callable[..., Clusters]) -> None:
    clusters = run(eu_1=2, unhealthy="hub")
    registered = set(clusters.recorder.resources)
    assert {"eu-1", "eu-1-namespace", "eu-1-gateway-service", "eu-1-gateway-accounts"} <= registered
    assert not registered & {"eu-1-release", "eu-1-cluster-aggregations"}


def test_an_unhealthy_cluster_ends_the_update_with_what_to_do(run: Callable[..., Clusters]) -> None:
    clusters = run(eu_1=2, hub=3, unhealthy="eu")
    assert clusters.error == (
        "wave 2 does not begin: eu is not healthy after 10m: 0 of 1 replicas available\n"
        "The releases of wave 2 and later are as they were. See `kubectl --context eu --namespace monitoring get pods` "
        "and the logs of those that are not Ready, mend the cluster or the page, and run `pulumi up` again: it goes on "
        "from here."
    )
    assert set(clusters.recorder.releases()) == {"eu-release", "eu-2-release"}


def test_a_preview_asks_no_cluster_and_shows_every_release(run: Callable[..., Clusters]) -> None:
    clusters = run(eu_1=2, hub=3, preview=True)
    assert clusters.asked == {}
    assert len(clusters.recorder.releases()) == 4


def test_no_wave_waits_for_a_cluster_that_could_not_be_reached_when_the_update_began(
    run: Callable[..., Clusters],
) -> None:
    clusters = run(eu_1=2, eu_2=2, absent="hub eu-2")
    assert set(clusters.asked) == {"eu"}
    assert clusters.error is None
    assert len(clusters.recorder.releases()) == 4


@pytest.mark.parametrize("preview", [False, True])
def test_a_wave_before_which_no_cluster_can_be_reached_does_not_begin(
    run: Callable[..., Clusters], *, preview: bool
) -> None:
    clusters = run(eu=2, eu_1=2, eu_2=2, absent="hub", preview=preview)
    assert clusters.asked == {}
    assert len(clusters.recorder.releases()) == (4 if preview else 1)
    if not preview:
        assert clusters.error is not None
        assert clusters.error.startswith("wave 2 does not begin: none of the clusters of the waves before it")
