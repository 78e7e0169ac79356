"""How large a remote-write queue has to be for the samples that it is expected to carry."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from fleet.page import QueueSettings

ROUND_TRIP = timedelta(milliseconds=500)
"""That one request is allowed to take, answer included: a shard sends one after the other."""

CATCH_UP = 6
"""Times the live rate: what was held up goes out five times as fast as new samples come, beside these."""

OLDEST_SENT = timedelta(hours=4)
"""How old a sample may be that is still sent to the fleet's own global cluster.

An agent's log reaches back that far at least, and up to twice as far, as it is cut off every two hours. What is older
its sender gives up and counts; the receiver would refuse whatever else is in the same request with it.
"""

TAKEN_LATE = OLDEST_SENT + OLDEST_SENT / CATCH_UP
"""How far behind its newest sample that cluster takes others: what was just young enough to be sent waits its turn."""

_PER_SEND = 2000
"""Prometheus's own default."""
_HELD_SENDS = 5
"""Requests' worth of samples that a shard holds; Prometheus advises 3 to 10."""
_ASSUMED = 100_000 / 30
"""Samples per second where nobody says how many there are: series every 30 s, as most edges and many leaves have."""
_BACKOFF = timedelta(milliseconds=100), timedelta(seconds=5)
_ASKED_AT_MOST = 10
"""Requests per second that one sender tries where none is answered."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Settings of one sender's queue; those are None that are left to Prometheus.

    It has as many shards at all times, unless its page says otherwise: where Prometheus changes their number while a
    receiver has no room, the old ones give up what they hold.
    """

    capacity: int
    """Samples that each shard holds."""
    max_samples_per_send: int
    min_shards: int
    max_shards: int
    min_backoff: timedelta
    max_backoff: timedelta
    batch_send_deadline: timedelta | None
    sample_age_limit: timedelta | None

    @property
    def carries(self) -> float:
        """Samples per second with all of its shards."""
        return self.max_shards * self.max_samples_per_send / ROUND_TRIP.total_seconds()


def queue(
    rate: float | None, settings: QueueSettings, per_send: int | None = None, kept: timedelta | None = None
) -> Queue:
    """For `rate` samples per second, which is None where nobody knows; what `settings` say goes before.

    `per_send` is what the receiver takes in one request, where that is less than usual; what is older than `kept` is
    given up.
    """
    samples = settings.max_samples_per_send or min(per_send or _PER_SEND, settings.capacity or _PER_SEND)
    computed = ceil(CATCH_UP * (_ASSUMED if rate is None else rate) * ROUND_TRIP.total_seconds() / samples)
    shards = settings.max_shards or max(computed, settings.min_shards or 1)
    low, high = _BACKOFF
    high = max(high, timedelta(seconds=ceil(shards / _ASKED_AT_MOST)))
    low = settings.min_backoff or min(low, settings.max_backoff or low)
    return Queue(
        capacity=settings.capacity or _HELD_SENDS * samples,
        max_samples_per_send=samples,
        min_shards=settings.min_shards or shards,
        max_shards=shards,
        min_backoff=low,
        max_backoff=settings.max_backoff or max(high, low),
        batch_send_deadline=settings.batch_send_deadline,
        sample_age_limit=kept,
    )
