"""From a stack's page to its description."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from fleet.compiler import compile_fleet
from fleet.duration import format_duration
from fleet.errors import FleetError
from fleet.page import FleetPage, read_fleet
from fleet.plan import (
    FLEET,
    PUBLIC,
    AlertEdge,
    ClusterPlan,
    DiscoveredEdge,
    FederationEdge,
    Identity,
    Key,
    OwnWriteEdge,
    Plan,
    Reader,
)
from fleet.render import manifests_of, rendered_values
from fleet.review.description import ChartRef, ClusterSide, Description, EdgeSide, Object, Refusal
from fleet.rotation import planned_keys
from fleet.topology import mermaid


def describe(stack: str, root: Path) -> Description:
    """Of what `stack` deploys; a page that is wrong is described by its problems."""
    try:
        fleet = read_fleet(stack, root)
        plan = compile_fleet(fleet).part(stack)
    except FleetError as error:
        return Description(
            problems=tuple(Refusal(path=each.path, message=each.message, fix=each.fix) for each in error.problems),
            pages=(page_file(stack),),
        )
    return Description(
        topology=mermaid(plan),
        clusters={name: _cluster(plan, cluster) for name, cluster in plan.clusters.items()},
        edges=dict(_edges(plan)),
        keys=planned_keys(plan),
        warnings=plan.warnings,
        pages=(*_pages(fleet),),
    )


def page_file(stack: str) -> str:
    return f"Pulumi.{stack}.yaml"


def _pages(fleet: FleetPage) -> Iterator[str]:
    yield from dict.fromkeys(page_file(stack) for stack in (fleet.stack, fleet.parent, *fleet.stacks.values()))
    rules = fleet.page.rules
    yield from (str(file) for tier in (rules.leaf, rules.regional, rules.global_) for file in tier.files)


def _cluster(plan: Plan, cluster: ClusterPlan) -> ClusterSide:
    kubeconfig = cluster.kubeconfig_secret or cluster.kubeconfig
    return ClusterSide(
        tier=cluster.tier.value,
        region=cluster.region,
        namespace=cluster.namespace,
        place=f"kubeconfig {kubeconfig or 'of the environment'}, context {cluster.context or 'of the kubeconfig'}",
        protected=cluster.protect,
        chart=ChartRef(source=cluster.chart.source, version=cluster.chart.version),
        values=_plain(rendered_values(plan, cluster)),
        objects=tuple(_plain(each) for each in manifests_of(plan, cluster)),
    )


def _plain(node: Mapping[str, object]) -> dict[str, JsonValue]:
    """Mappings and tuples of every kind become what JSON has."""
    plain: Object = json.loads(json.dumps(node))
    return plain


def _edges(plan: Plan) -> Iterator[tuple[str, EdgeSide]]:
    for edge in plan.scraped:
        is_discovered = isinstance(edge, DiscoveredEdge)
        yield (
            edge.id,
            EdgeSide(
                kind="discovery" if is_discovered else "federation",
                lower=edge.child,
                upper=edge.parent,
                facts={**_federation(edge), **({} if is_discovered else _key(edge.key))},
                generation=edge.key.generation,
                budget=edge.budget,
                estimate=edge.estimate,
            ),
        )
    for edge in plan.remote_write:
        facts = {"metrics": edge.keep, **_labels(edge.labels), **_server(edge.server), **_key(edge.key)}
        yield edge.id, _sending("remote write", edge, facts)
    for edge in plan.stores:
        keep = edge.keep or ("everything",)
        facts = {"metrics": keep, **_labels(edge.labels), **_server(edge.server), **_key(edge.key)}
        yield edge.id, _sending("remote write", edge, facts)
    for edge in plan.alerts:
        facts = {**_labels(edge.labels), **_server(edge.server), **_key(edge.key)}
        yield edge.id, _sending("alerts", edge, facts)
    for cluster in plan.clusters.values():
        if (found := cluster.discovery) is not None:
            facts = {"children": tuple(edge.child for edge in found.edges), **_key(found.key)}
            yield (
                found.id,
                EdgeSide(
                    kind="discovery",
                    lower=found.parent,
                    upper=found.parent,
                    facts=facts,
                    generation=found.key.generation,
                ),
            )
        yield from ((each.id, _reader(each)) for each in cluster.readers)


def _sending(
    kind: Literal["remote write", "alerts"], edge: OwnWriteEdge | AlertEdge, facts: dict[str, tuple[str, ...]]
) -> EdgeSide:
    return EdgeSide(kind=kind, lower=edge.sender, upper=edge.receiver, facts=facts, generation=edge.key.generation)


def _reader(reader: Reader) -> EdgeSide:
    return EdgeSide(
        kind="reader",
        lower=reader.cluster,
        upper=reader.name,
        facts=_key(reader.key),
        generation=reader.key.generation,
    )


def _federation(edge: FederationEdge) -> dict[str, tuple[str, ...]]:
    return {
        "matches": edge.matches,
        "every": (format_duration(edge.interval),),
        "timeout": (format_duration(edge.timeout),),
        "clusters": edge.clusters,
        **_labels(edge.labels),
        **_server(edge.server),
    }


def _labels(labels: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {"asserted labels": tuple(f"{name}={value}" for name, value in labels.items())}


def _server(server: Identity | None) -> dict[str, tuple[str, ...]]:
    if server is None:
        return {"known by": ("nothing, without TLS",)}
    authority = {FLEET: "the fleet's authority", PUBLIC: "public authorities"}.get(server.ca, "authorities of its own")
    return {"known by": (f"{server.name}, signed by {authority}",)}


def _key(key: Key) -> dict[str, tuple[str, ...]]:
    brought = key.brought
    origin = "made here"
    if brought is not None:
        where = f"config {brought.config}" if brought.config else f"Secret {brought.namespace}/{brought.secret}"
        origin = f"brought by {where}, key {brought.key}" if not brought.config else f"brought by {where}"
    return {"auth": (key.auth,), "password": (origin,) if key.has_password else ()}
