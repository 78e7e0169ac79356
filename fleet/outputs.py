"""The stack output `fleet`, a contract that docs/outputs.md documents: what runs where and how it is joined."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

from fleet.duration import format_duration
from fleet.names import DISCOVERY_JOB, PROMETHEUS, THANOS_HTTP_PORT, Tier, service_labels, thanos_workload
from fleet.plan import ClusterPlan, FederationEdge, Plan
from fleet.rotation import planned_keys
from fleet.rules import of_writers, rule_groups, without_gateways

SEND_DELAY = timedelta(seconds=5)
"""batchSendDeadline of a remote-write queue."""


_HEARTBEATS: Mapping[Tier, str] = {
    Tier.LEAF: "cluster:heartbeat:timestamp",
    Tier.REGIONAL: "region:heartbeat:timestamp",
    Tier.GLOBAL: "global:heartbeat:timestamp",
    Tier.EDGE: "up",
}
"""What each holds in any case, if the page has it sent."""


def fleet_output(
    plan: Plan, gateway_urls: Mapping[str, object], replica_urls: Mapping[str, Sequence[object]] = MappingProxyType({})
) -> dict[str, object]:
    """`gateway_urls` by cluster name; Outputs in the program. An edge belongs to the stack of its upper end."""
    return {
        "clusters": {
            cluster.name: _cluster(cluster, gateway_urls.get(cluster.name), replica_urls.get(cluster.name, ()))
            for cluster in plan.clusters.values()
        },
        "federation": [
            {
                **_federation(edge),
                "job": edge.job,
                "metrics": list(_records(plan.cluster(edge.child))),
                "fresh_within": fresh_within(edge.interval, plan.cluster(edge.child)),
            }
            for edge in plan.federation
            if edge.parent in plan.clusters
        ],
        "discovery": [
            {
                **_federation(edge),
                "job": DISCOVERY_JOB,
                "scrape_pool": edge.job,
                "namespace": edge.namespace,
                "port": edge.port,
                "service_labels": service_labels(edge.child),
                "metrics": [
                    rule.record for rule in without_gateways(plan.clusters[edge.parent].rules) if rule.of != "writer"
                ],
                # Its own intervals are not known here; it is federated as if they were the fleet's.
                "fresh_within": fresh_within(edge.interval, plan.clusters[edge.parent]),
            }
            for edge in plan.discovered
        ],
        "remote_write": [
            {
                "sender": edge.sender,
                "receiver": edge.receiver,
                "metrics": list(edge.keep),
                "labels": dict(edge.labels),
                "fresh_within": fresh_within(SEND_DELAY, plan.cluster(edge.sender)),
            }
            for edge in plan.remote_write
            if edge.receiver in plan.clusters
        ],
        "destinations": [
            {
                "sender": edge.sender,
                "destination": edge.name,
                "kind": edge.destination.kind,
                "url": edge.destination.url,
                "metrics": list(edge.keep),
                "labels": dict(edge.labels),
            }
            for cluster in plan.clusters.values()
            for edge in cluster.destinations
        ],
        "stores": [
            {
                "sender": edge.sender,
                "receiver": edge.receiver,
                "keep": list(edge.keep),
                "metrics": [probe] if edge.carries(probe := _HEARTBEATS[plan.cluster(edge.sender).tier]) else [],
                "labels": dict(edge.labels),
                "fresh_within": fresh_within(SEND_DELAY, plan.cluster(edge.sender)),
            }
            for edge in plan.stores
            if edge.receiver in plan.clusters
        ],
        **planned_keys(plan).model_dump(mode="json"),
        "readers": [
            {"reader": reader.name, "cluster": cluster.name, "url": gateway_urls.get(cluster.name)}
            for cluster in plan.clusters.values()
            for reader in cluster.readers
        ],
        "queries": {
            cluster.name: query_path(cluster.namespace)
            for cluster in plan.clusters.values()
            if cluster.tier is not Tier.EDGE
        },
        "thanos": {
            cluster.name: thanos_path(cluster.namespace)
            for cluster in plan.clusters.values()
            if cluster.thanos is not None
        },
    }


def query_path(namespace: str) -> str:
    """Prometheus's HTTP API as a path of the cluster's API server, for those whom the API server lets in."""
    return f"/api/v1/namespaces/{namespace}/services/{PROMETHEUS}:9090/proxy"


def thanos_path(namespace: str) -> str:
    """The same of Thanos Query."""
    return f"/api/v1/namespaces/{namespace}/services/{thanos_workload('query')}:{THANOS_HTTP_PORT}/proxy"


def _federation(edge: FederationEdge) -> dict[str, object]:
    return {
        "parent": edge.parent,
        "child": edge.child,
        "matches": list(edge.matches),
        "interval": format_duration(edge.interval),
        "timeout": format_duration(edge.timeout),
        "budget": edge.budget,
        "estimate": edge.estimate,
        "sample_limit": edge.sample_limit,
        "labels": dict(edge.labels),
    }


def _records(cluster: ClusterPlan) -> Iterator[str]:
    """What is recorded in any case, so that one can wait for it."""
    of_some = set(of_writers(cluster.rules))
    return (record for group in rule_groups(cluster) for record in group.records if record not in of_some)


def fresh_within(transfer: timedelta, source: ClusterPlan) -> float:
    """Seconds that the newest sample may be old: two rounds of everything on its way, for one may be missed."""
    return 2 * (source.scrape_interval + source.rule_interval + transfer).total_seconds()


def _cluster(cluster: ClusterPlan, gateway_url: object, replica_urls: Sequence[object]) -> dict[str, object]:
    described: dict[str, object] = {"tier": cluster.tier.value, "namespace": cluster.namespace}
    if cluster.region is not None:
        described["region"] = cluster.region
    if gateway_url is not None:
        described["gateway"] = {"url": gateway_url, **({"replicas": list(replica_urls)} if replica_urls else {})}
    return described
