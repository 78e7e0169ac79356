"""A Thanos of the fleet's own, in the global cluster: raw series of many clusters, for years, in a bucket."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from fleet.duration import Duration, format_duration
from fleet.names import THANOS_OBJECTS_KEY
from fleet.page.destinations import Written
from fleet.page.fields import MetricPatterns, Names, SecretKey, SecretName
from fleet.page.shape import Strict, wrong
from fleet.page.sizes import Resources, Storage


class ObjectStorage(Strict):
    """Where blocks lie, in Thanos's own words: https://thanos.io/tip/thanos/storage.md."""

    config: str | None = Field(default=None, min_length=1, examples=["thanos-objects"])
    """Name of another config key, a Pulumi secret, that holds Thanos's configuration of it as YAML."""
    secret: SecretName | None = Field(default=None, examples=["thanos-objects"])
    """A Secret in the monitoring namespace of the global cluster, and of each whose Prometheus has a sidecar, that
    holds it; pods wait until it is there."""
    key: SecretKey = THANOS_OBJECTS_KEY
    """Of that Secret."""
    volume: Storage | None = Field(default=None, examples=[{"size": "20Gi"}])
    """One volume in place of a bucket, for trials: all of Thanos's pods mount it, and so run on one node."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [name for name in ("config", "secret", "volume") if getattr(self, name) is not None]
        if not given:
            raise wrong("config", "is missing, or secret or volume instead of it", "thanos-objects")
        if len(given) > 1:
            raise wrong(given[1], f"{given[0]} and {given[1]} exclude each other: blocks lie in one place")
        if self.secret is None and "key" in self.model_fields_set:
            raise wrong("key", "has no meaning without secret: it is a key of that")
        return self


class ThanosRetention(Strict):
    """How long samples are kept, by how many of them are left of each series."""

    raw: Duration = timedelta(days=30)
    """All of them."""
    five_minutes: Duration = timedelta(days=180)
    """One for every five minutes, with its minimum, maximum, sum and count."""
    one_hour: Duration = timedelta(days=730)
    """The same of every hour."""

    @model_validator(mode="after")
    def _coarser_is_made_of_finer(self) -> Self:
        finer = (("raw", self.raw, _FIVE_MINUTES_AFTER), ("fiveMinutes", self.five_minutes, _ONE_HOUR_AFTER))
        for name, kept, needed in finer:
            if kept < needed:
                right = format_duration(needed)
                raise wrong(name, f"what is coarser is made of it when it is {right} old, and it must be there", right)
        return self


_FIVE_MINUTES_AFTER, _ONE_HOUR_AFTER = timedelta(hours=72), timedelta(days=21)
"""Thanos makes samples of five minutes of blocks that span two days, and samples of an hour of those of two weeks.

It merges blocks into such a one once a newer one is there, and deletes by the end of what each has: whoever keeps no
more than one span loses its beginning first. A day, and five, are for a compactor that was away.
"""


class ThanosPods(Strict):
    """What a part is given; where absent, it asks for little and has no limit."""

    resources: Resources | None = Field(default=None, examples=[{"requests": {"cpu": "500m", "memory": "2Gi"}}])


class ThanosCompactor(ThanosPods):
    storage: Storage | None = Field(default=None, examples=[{"size": "100Gi"}])
    """Room for the largest block that it makes, of two weeks, and for what that is made of; as much as a receiver's
    volume where absent."""


class Thanos(Written):
    """Receivers, a Query, a Store and a Compactor beside the global Prometheus, whose gateway is before them."""

    keep: MetricPatterns = Field(default=(), min_length=1, examples=[["cluster:.+", "up"]])
    """Names of the metrics that are sent, or patterns of them. Where absent, leaves and edges send everything that they
    hold, regions and the global cluster what they record themselves."""
    sidecars: Names = Field(default=(), min_length=1, examples=[["leaf"]])
    """Leaves, by name or `leaf` for all of them, that do not write: a sidecar of their Prometheus lays its blocks into
    the bucket, with all that it holds, up to three hours late."""
    object_storage: ObjectStorage = Field(examples=[{"config": "thanos-objects"}])
    receivers: int = Field(default=1, ge=1, le=64, examples=[3])
    """Pods that share the series among themselves and keep the newest; one more takes over what falls to it."""
    replication: Literal[1, 3, 5] = 1
    """Receivers that have each sample: with 3 of them, one may be gone and nothing waits."""
    retention: ThanosRetention = ThanosRetention()
    storage: Storage | None = Field(default=None, examples=[{"size": "50Gi"}])
    """A volume of each receiver; without one, what is not in the bucket yet is lost with a pod."""
    resources: Resources | None = Field(default=None, examples=[{"requests": {"cpu": "500m", "memory": "2Gi"}}])
    """Of each receiver."""
    query: ThanosPods = ThanosPods()
    store: ThanosPods = ThanosPods()
    compactor: ThanosCompactor = ThanosCompactor()

    @model_validator(mode="after")
    def _enough_receivers(self) -> Self:
        if self.replication > self.receivers:
            message = f"each sample is to be at {self.replication} receivers, and these are fewer"
            raise wrong("receivers", message, self.replication)
        return self

    @model_validator(mode="after")
    def _bucket_of_all(self) -> Self:
        if self.sidecars and self.object_storage.volume is not None:
            message = "a volume is one cluster's, and sidecars are to write there from others"
            raise wrong("objectStorage", message, {"config": "thanos-objects"})
        return self
