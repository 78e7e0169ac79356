"""What an agent took in, and how much of it has arrived at who it writes to."""

import contextlib
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from local.errors import LocalError
from local.prometheus import instant, own, wait_until

LATEST = 120.0
"""Seconds within which all has to have arrived."""

COUNTING = "--enable-feature=promql-delayed-name-removal"
"""Or nobody could count samples over all names there: series that differ in nothing else would become one."""


@dataclass(frozen=True)
class Place:
    """Where a Prometheus runs."""

    folder: Path
    port: int


def is_ready(place: Place) -> bool:
    with contextlib.suppress(OSError):
        return own(place.port, "prometheus_ready") > 0
    return False


def taken_by(agent: Place) -> float:
    """Samples, by the agent."""
    return own(agent.port, "prometheus_agent_samples_appended_total")


def taken_between_scrapes(agent: Place, scrape: timedelta) -> tuple[float, float]:
    """And when that was: whatever was scraped before has been counted, and nothing later."""
    seen = [(taken_by(agent), time.time())]

    def is_quiet() -> bool:
        time.sleep(scrape.total_seconds() / 10)
        seen.append((taken_by(agent), time.time()))
        return seen[-2][0] == seen[-1][0]

    wait_until(is_quiet, "a moment between two scrapes", within=LATEST)
    return seen[-2]


def missing(receiver: Place, window: timedelta, taken: float, at: float, cluster: str = ".*") -> float:
    """Samples of those `taken` until `at` that have not arrived when the last should have; raises LocalError."""
    deadline = time.monotonic() + LATEST
    while True:
        there = arrived(receiver, window, at, cluster)
        if there is not None and (there >= taken or time.monotonic() > deadline):
            return taken - there
        if time.monotonic() > deadline:
            raise LocalError(f"nobody says how many samples of {cluster} have arrived")
        time.sleep(1)


def arrived(receiver: Place, window: timedelta, at: float | None = None, cluster: str = ".*") -> float | None:
    """Samples that are there of those until `at`; None where nobody says."""
    until = f" @ {at:.3f}" if at is not None else ""
    of = f'{{__name__!="",cluster=~"{cluster}"}}[{window.total_seconds():.0f}s]{until}'
    with contextlib.suppress(OSError):
        return sum(value for _, value in instant(receiver.port, f"sum(count_over_time({of}))"))
    return None
