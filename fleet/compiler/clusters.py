"""What each cluster is by itself."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fleet.compiler.gateways import gateway_plan
from fleet.compiler.network_policies import network_policies
from fleet.compiler.readers import readers
from fleet.compiler.sizes import settings
from fleet.compiler.topology import Topology, named
from fleet.errors import Problem, at
from fleet.names import THANOS, Tier, thanos_url
from fleet.page import Cluster, GlobalRule, Page, Reading, RegionRule, Rule
from fleet.plan import ClusterPlan, DataSource, DestinationEdge, Discovery, Edge

_LEVEL = {Tier.LEAF: "cluster", Tier.REGIONAL: "regional", Tier.GLOBAL: "global", Tier.EDGE: "edge"}


def cluster_plan(
    page: Page,
    topology: Topology,
    edges: Iterable[Edge],
    name: str,
    *,
    discovery: Discovery | None,
    destinations: tuple[DestinationEdge, ...],
    rules: tuple[Rule, ...],
) -> ClusterPlan:
    """`rules` are all that leaves record."""
    cluster, own = page.clusters[name], settings(page, name)
    is_receiver = name == topology.top
    return ClusterPlan(
        name=name,
        tier=cluster.tier,
        region=cluster.region,
        namespace=cluster.namespace or page.namespace,
        protect=page.protect,
        wave=cluster.wave,
        kubeconfig=cluster.kubeconfig,
        kubeconfig_secret=cluster.kubeconfig_secret,
        context=cluster.context,
        external_labels=_external_labels(name, cluster),
        gateway=gateway_plan(page, name) if name in topology.called else None,
        readers=readers(page, name),
        callees=tuple(gateway_plan(page, edge.callee) for edge in edges if edge.caller == name),
        scrape_interval=page.intervals.scrape,
        scrape_timeout=page.intervals.timeout,
        rule_interval=page.intervals.rules,
        rules=rules,
        added_rules=_added_rules(page, cluster.tier),
        reporters=_reporters(page, topology, name),
        retention=own.retention,
        storage=own.storage,
        replicas=own.replicas or 1,
        resources=own.resources,
        receives_writes=is_receiver and bool(topology.writers),
        receives_edges=is_receiver and bool(named(page, Tier.EDGE)),
        destinations=destinations,
        maintenance=cluster.maintenance,
        alerting=page.alerting if cluster.tier is Tier.GLOBAL else None,
        alertmanager=page.alerting if cluster.tier is Tier.GLOBAL else cluster.alertmanager,
        hears_alerts=is_receiver and bool(topology.alerting),
        sends_alerts=name in topology.alerting,
        grafana=page.grafana and cluster.tier is Tier.GLOBAL,
        data_sources=tuple(_data_sources(page)) if cluster.tier is Tier.GLOBAL else (),
        thanos=page.thanos if cluster.tier is Tier.GLOBAL else None,
        bucket=page.thanos.object_storage if page.thanos is not None and name in topology.uploading else None,
        discovery=discovery,
        network_policies=network_policies(page, name),
        pod_security=cluster.pod_security,
        chart=page.chart,
        overlays=(page.values, cluster.values),
    )


def _data_sources(page: Page) -> Iterator[DataSource]:
    for name, destination in page.destinations.items():
        if destination.read is not None:
            yield DataSource(name, destination.kind, destination.headers, destination.read)
    if page.thanos is not None and page.grafana:
        (top,) = named(page, Tier.GLOBAL)
        namespace = page.clusters[top].namespace or page.namespace
        yield DataSource(THANOS, "thanos", {}, Reading(url=thanos_url(namespace)))


def _added_rules(page: Page, tier: Tier) -> tuple[GlobalRule | RegionRule, ...]:
    match tier:
        case Tier.REGIONAL:
            return page.rules.regional.inline
        case Tier.GLOBAL:
            return page.rules.global_.inline
        case Tier.LEAF | Tier.EDGE:
            return ()


def _reporters(page: Page, topology: Topology, name: str) -> Mapping[str | None, tuple[str, ...]]:
    below = page.clusters if name == topology.top else topology.children.get(name, ())
    by_region: dict[str | None, tuple[str, ...]] = {}
    for each in below:
        cluster = page.clusters[each]
        if cluster.tier in {Tier.LEAF, Tier.EDGE}:
            by_region[cluster.region] = (*by_region.get(cluster.region, ()), each)
    return by_region


def _external_labels(name: str, cluster: Cluster) -> dict[str, str]:
    """What `/federate` stamps on series that lack it: a region or the global tier must not claim a cluster."""
    labels: dict[str, str | None] = {"level": _LEVEL[cluster.tier], "region": cluster.region}
    if cluster.tier in {Tier.LEAF, Tier.EDGE}:
        labels |= {"cluster": name, "datacenter": cluster.datacenter, "environment": cluster.environment}
        labels |= cluster.labels
    return {label: value for label, value in sorted(labels.items()) if value is not None}


def cluster_problems(page: Page, stacks: Mapping[str, str]) -> Iterator[Problem]:
    """Two clusters that are one: both would own the same objects."""
    seen: dict[tuple[Path | None, tuple[str | None, str] | None, str | None, str], str] = {}
    for name, cluster in page.clusters.items():
        # A config key means something in its own stack alone.
        secret = (stacks.get(name), cluster.kubeconfig_secret) if cluster.kubeconfig_secret is not None else None
        place = (cluster.kubeconfig, secret, cluster.context, cluster.namespace or page.namespace)
        if place in seen:
            given = {"context": cluster.context, "kubeconfigSecret": cluster.kubeconfig_secret}
            given["kubeconfig"] = cluster.kubeconfig and str(cluster.kubeconfig)
            field = next((key for key, value in given.items() if value is not None), "context")
            message = f"{seen[place]} has the same kubeconfig, context and namespace: it is the same place"
            yield at(["clusters", name, field], message, f"kubeconfigs/{name}.yaml" if field == "kubeconfig" else name)
        seen.setdefault(place, name)
