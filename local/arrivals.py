"""What an agent took in, and how much of it has arrived at who it writes to."""

import contextlib
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

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
    """Samples of those `taken` until `at` that have not arrived when the last should have."""
    deadline = time.monotonic() + LATEST
    while (lacking := taken - arrived(receiver, window, at, cluster)) > 0 and time.monotonic() < deadline:
        time.sleep(1)
    return lacking


def arrived(receiver: Place, window: timedelta, at: float | None = None, cluster: str = ".*") -> float:
    """Samples that are there of those until `at`."""
    of = f'{{__name__!="",cluster=~"{cluster}"}}[{window.total_seconds():.0f}s]' + (
        f" @ {at:.3f}" if at is not None else ""
    )
    with contextlib.suppress(OSError):
        return sum(value for _, value in instant(receiver.port, f"sum(count_over_time({of}))"))
    return 0
