"""Children that are no part of the fleet: each parent finds those that its page allows, in its own cluster."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from fleet.compiler.budgets import Estimate
from fleet.compiler.edges import interval, timeout
from fleet.compiler.keys import discovery_key
from fleet.compiler.sizes import leaf_budget
from fleet.errors import Problem, yaml_at
from fleet.names import Tier
from fleet.page import Page, Rule
from fleet.plan import DiscoveredEdge, Discovery, Key


def discovery(page: Page, rules: Sequence[Rule]) -> Mapping[str, Discovery]:
    """By parent; only those that discover."""
    estimate = Estimate(page, rules)
    found = (
        Discovery(name, tuple(_edges(page, estimate, name)))
        for name, cluster in page.clusters.items()
        if cluster.discover
    )
    return {each.parent: replace(each, key=discovery_key(page, each.id)) for each in found}


def _edges(page: Page, estimate: Estimate, parent: str) -> Iterator[DiscoveredEdge]:
    cluster = page.clusters[parent]
    for name, child in cluster.discover.items():
        yield DiscoveredEdge(
            parent=parent,
            child=name,
            region=cluster.region,
            clusters=(name,),
            asserts_cluster=True,
            records="cluster",
            extra=tuple(each for each in page.federate if each.of == Tier.LEAF),
            interval=interval(page, parent),
            timeout=timeout(page, parent),
            server=None,
            budget=child.budget or leaf_budget(page),
            estimate=estimate.like_a_leaf(child.expect),
            key=Key(),
            namespace=child.namespace,
            port=child.port,
        )


def discovery_problems(page: Page) -> Iterator[Problem]:
    """Two that are one `cluster`: nobody could tell their series apart."""
    seen: dict[str, str] = {}
    for parent, cluster in page.clusters.items():
        for name, child in cluster.discover.items():
            where = ("clusters", parent, "discover")
            path, fix = ".".join((*where, name)), yaml_at(where, {f"{name}-2": {"namespace": child.namespace}})
            if name in page.clusters:
                yield Problem(path, "a cluster of the fleet has this name already, and each name is one cluster", fix)
            elif (other := seen.setdefault(name, parent)) != parent:
                yield Problem(path, f"{other} discovers a cluster of this name already", fix)
