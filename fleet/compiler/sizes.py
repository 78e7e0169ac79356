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


def replicas(page: Page, name: str) -> int:
    return settings(page, name).replicas or 1


def leaf_budget(page: Page) -> int:
    """Series that a leaf may serve of which the page says nothing itself."""
    return page.tiers.leaf.budget or _DEFAULTS[Tier.LEAF].budget or 0
