"""How large the Prometheus of each cluster is: what the page says, on what its tier is given."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import cast

from fleet.names import Tier
from fleet.page import Page, Settings

_DEFAULTS: Mapping[Tier, Settings] = MappingProxyType(
    {
        Tier.LEAF: Settings(retention=timedelta(days=1), replicas=1, budget=4000),
        Tier.REGIONAL: Settings(retention=timedelta(days=7), replicas=1, budget=8000),
        Tier.GLOBAL: Settings(retention=timedelta(days=30), replicas=1),
        Tier.EDGE: Settings(replicas=1),
    }
)


def settings(page: Page, name: str) -> Settings:
    """The cluster's own, on those of its tier, on the defaults."""
    cluster = page.clusters[name]
    of_tier = {
        Tier.LEAF: page.tiers.leaf,
        Tier.REGIONAL: page.tiers.regional,
        Tier.GLOBAL: page.tiers.global_,
        Tier.EDGE: page.tiers.edge,
    }[cluster.tier]
    merged = Settings()
    for layer in (_DEFAULTS[cluster.tier], of_tier, cluster):
        given = {field: cast("object", getattr(layer, field, None)) for field in Settings.model_fields}
        merged = merged.model_copy(update={field: value for field, value in given.items() if value is not None})
    return merged


def settings_path(page: Page, name: str, field: str) -> tuple[str, ...]:
    """Where on the page that stands, or may stand, which holds for this cluster: with its own, or with its tier's."""
    cluster = page.clusters[name]
    own = getattr(cluster, field) is not None
    return ("clusters", name, field) if own else ("tiers", cluster.tier.value, field)


def agent_rate(page: Page, name: str) -> float | None:
    """Samples per second that an edge's agent is expected to take in; None where the page does not say, and of others.

    Which share of them `keep` lists leave nobody knows. A queue for all of them has shards that it seldom needs.
    """
    series = settings(page, name).series
    return series / page.intervals.scrape.total_seconds() if series is not None else None


def replicas(page: Page, name: str) -> int:
    return settings(page, name).replicas or 1


def leaf_budget(page: Page) -> int:
    """Series that a leaf may serve of which the page says nothing itself."""
    return page.tiers.leaf.budget or _DEFAULTS[Tier.LEAF].budget or 0
