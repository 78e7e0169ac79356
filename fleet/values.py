"""Chart values per tier, as a plain nested dict whose leaves may be anything (Outputs in the program).

One place decides what each tier runs. A page's own values come on top.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import cast

from fleet import gateway, headers, pods, versions
from fleet.alertmanager import alertmanager
from fleet.duration import format_duration, parse_duration
from fleet.grafana import grafana
from fleet.keys import tls_keys
from fleet.names import (
    ALERT_CREDENTIALS,
    ALERTMANAGERS_KEY,
    FEDERATION_CREDENTIALS,
    RELEASE,
    REMOTE_WRITE_CREDENTIALS,
    REPLICA_LABEL,
    Tier,
    object_labels,
    service_labels,
)
from fleet.page import Resources
from fleet.plan import ClusterPlan, FederationEdge, OwnWriteEdge, WriteEdge
from fleet.quantity import parse_quantity
from fleet.queues import TAKEN_LATE
from fleet.remote_write import replica_label, write_queue
from fleet.scrape import (
    Job,
    annotated_pods_job,
    discovery_job,
    federation_job,
    gateway_jobs,
    held_keys_job,
    sidecar_job,
    thanos_job,
)
from fleet.sidecar import sidecar
from fleet.storage import KEPT, volume_claim

Values = dict[str, object]


@dataclass(frozen=True, slots=True)
class Child:
    """A federation edge seen by its parent, with the address of the child's gateway, `host:port`."""

    edge: FederationEdge
    address: object


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where a sender writes, with the receiver's URL: the fleet's own global Prometheus, or somebody else."""

    edge: WriteEdge
    url: object
    replica: int = 0
    """Which of the receiver's; somebody else has one as far as a sender knows."""


def merge(below: Mapping[str, object], above: Mapping[str, object]) -> Values:
    """`above` on top of `below`, as Helm does it: maps merge, everything else replaces."""
    merged: Values = dict(below)
    for key, value in above.items():
        beneath = merged.get(key)
        if isinstance(beneath, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(cast("Values", beneath), cast("Values", value))
        else:
            merged[key] = value
    return merged


def chart_values(
    cluster: ClusterPlan, children: Sequence[Child] = (), receivers: Sequence[Receiver] = (), mark: object = None
) -> Values:
    """Everything that the chart is told about `cluster`; `mark` changes with what its sidecar reads of the bucket."""
    return _laid_over(
        pods.restrictions(),
        _common(cluster),
        _exporters(cluster),
        {"prometheus": {"prometheusSpec": _prometheus_spec(cluster, children, receivers)}},
        _sidecar(cluster, mark),
        *cluster.overlays,
    )


def _laid_over(*layers: Mapping[str, object]) -> Values:
    values: Values = {}
    for layer in layers:
        values = merge(values, layer)
    return _whole_tsdb(values)


def _whole_tsdb(values: Values) -> Values:
    """The chart passes one field of `tsdb` on, and `additionalConfig` as it stands, which takes all of it therefore.

    Beside it, the chart's default of `tsdb` would have the key written twice: null removes a default.
    """
    prometheus = cast("Values", values["prometheus"])
    spec = cast("Values", prometheus["prometheusSpec"])
    additional = cast("Values", spec.get("additionalConfig") or {})
    tsdb = merge(cast("Values", spec.get("tsdb") or {}), cast("Values", additional.get("tsdb") or {}))
    if not tsdb:
        return values
    whole = {"tsdb": None, "additionalConfig": {**additional, "tsdb": tsdb}}
    return merge(values, {"prometheus": {"prometheusSpec": whole}})


def is_on(values: Values, part: str) -> bool:
    """Whether the chart's `PART.enabled` is given and true; a part may lie in another, `a.b`."""
    node: object = dict(values)
    for key in (*part.split("."), "enabled"):
        node = cast("Mapping[str, object]", node).get(key) if isinstance(node, Mapping) else None
    return bool(node)


def _common(cluster: ClusterPlan) -> Values:
    labels = object_labels(cluster.tier)
    return {
        "fullnameOverride": RELEASE,
        "commonLabels": labels,
        "crds": {
            # Helm itself installs CRDs and never updates them: an operator newer than its CRDs loses fields.
            "upgradeJob": {
                "enabled": True,
                "image": {"busybox": {"repository": "library/busybox", "tag": versions.BUSYBOX}},
            }
        },
        "alertmanager": {"enabled": False} if cluster.alertmanager is None else alertmanager(cluster.alertmanager),
        "grafana": grafana(cluster.namespace, labels, cluster.data_sources) if cluster.grafana else {"enabled": False},
        "defaultRules": {"create": False},
        # Managed control planes hide these; where they can be reached, a page turns them on.
        **{
            component: {"enabled": False}
            for component in ("kubeControllerManager", "kubeEtcd", "kubeProxy", "kubeScheduler")
        },
        "prometheus": {"agentMode": cluster.tier is Tier.EDGE, **_service(cluster)},
        **({"global": {"imageRegistry": cluster.chart.registry}} if cluster.chart.registry is not None else {}),
    }


def _service(cluster: ClusterPlan) -> Values:
    """Of a leaf alone: the others have no series of their own cluster that a parent could federate."""
    if cluster.tier is not Tier.LEAF:
        return {}
    # Replicas scrape at different moments: a caller that went from one to the other would see time run back.
    affinity = {"sessionAffinity": "ClientIP"} if cluster.replicas > 1 else {}
    return {"service": {"labels": service_labels(cluster.name), **affinity}}


def _exporters(cluster: ClusterPlan) -> Values:
    """Leaves watch their own cluster; the tiers above watch the leaves, and edges only what asks for it."""
    is_leaf = cluster.tier is Tier.LEAF
    labels = object_labels(cluster.tier)
    return {
        "kubeStateMetrics": {"enabled": is_leaf},
        "nodeExporter": {"enabled": is_leaf},
        "kubelet": {"enabled": is_leaf},
        # What of its thousands of series a rule reads; a page's own list takes the place of this one.
        "kubeApiServer": {"enabled": is_leaf, "serviceMonitor": {"metricRelabelings": [_API_SERVER_METRICS]}},
        "coreDns": {"enabled": False},
        "kube-state-metrics": {"customLabels": labels},
        "prometheus-node-exporter": {
            "commonLabels": labels,
            "prometheus": {
                "monitor": {
                    # node-exporter does not know which node it runs on, and `instance` is an address.
                    "relabelings": [
                        {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"},
                    ]
                }
            },
        },
    }


_API_SERVER_METRICS = {"action": "keep", "sourceLabels": ["__name__"], "regex": "apiserver_request_total"}


def _prometheus_spec(cluster: ClusterPlan, children: Sequence[Child], receivers: Sequence[Receiver]) -> Values:
    spec: Values = {
        **_size(cluster),
        **_tsdb(cluster),
        "automountServiceAccountToken": False,
        "securityContext": pods.POD,
        "web": headers.web(),
        "externalLabels": dict(cluster.external_labels),
        # The operator's own `prometheus` and `prometheus_replica` would travel up on every series.
        "prometheusExternalLabelNameClear": True,
        **_replica_label(cluster, receivers),
        "scrapeInterval": format_duration(cluster.scrape_interval),
        **({"scrapeTimeout": format_duration(cluster.scrape_timeout)} if cluster.scrape_timeout is not None else {}),
        # The keys are files of this Prometheus, and a ServiceMonitor of any team may name a file to send along. A
        # leaf's own monitors of kubelets do.
        **({"arbitraryFSAccessThroughSMs": {"deny": True}} if cluster.tier is not Tier.LEAF else {}),
        # Objects of other releases and teams count as well, not only those with this release's label.
        **{
            f"{kind}SelectorNilUsesHelmValues": False
            for kind in ("podMonitor", "probe", "rule", "scrapeConfig", "serviceMonitor")
        },
    }
    jobs = [federation_job(child.edge, child.address) for child in children]
    jobs += [discovery_job(edge) for edge in cluster.discovered]
    if cluster.tier is Tier.EDGE:
        jobs.append(annotated_pods_job())
    else:
        spec["evaluationInterval"] = format_duration(cluster.rule_interval)
    jobs += _beside(cluster)
    secrets = [*_mounted_secrets(cluster, children, receivers)]
    if secrets:
        spec["secrets"] = secrets
    inlined = [edge for edge in _own(receivers) if edge.key.has_password]
    if secrets or inlined:
        jobs.append(held_keys_job(secrets, inlined))
    if jobs:
        spec["additionalScrapeConfigs"] = jobs
    queues = [write_queue(receiver.edge, receiver.url, receiver.replica) for receiver in receivers]
    if queues:
        spec["remoteWrite"] = queues
    # The operator's ten minutes are of a Prometheus that wrote down its memory; today a log has all of it. What takes
    # time is answering running queries, and then each queue, one after the other, for which nobody may be there.
    spec["terminationGracePeriodSeconds"] = _QUERY_TIMEOUT + len(queues) * _FLUSH_DEADLINE
    if cluster.receives_writes:
        spec["enableRemoteWriteReceiver"] = True
    if cluster.sends_alerts:
        spec["additionalAlertManagerConfigsSecret"] = {"name": ALERT_CREDENTIALS, "key": ALERTMANAGERS_KEY}
    containers, volumes = [pods.prometheus_container()], [pods.token_volume()]
    if cluster.gateway is not None:
        certificate = gateway.certificate_secret(cluster.gateway.tls)
        containers.append(gateway.container(cluster.chart.registry, certificate))
        volumes += gateway.volumes(certificate)
    return {**spec, "containers": containers, "volumes": volumes}


def _sidecar(cluster: ClusterPlan, mark: object) -> Values:
    if cluster.bucket is None:
        return {}
    return {"prometheus": {"prometheusSpec": sidecar(cluster.chart.registry, cluster.bucket, mark)}}


def _beside(cluster: ClusterPlan) -> Iterator[Job]:
    """What of its own monitoring no object of the chart has it scrape."""
    if cluster.gateway is not None:
        yield from gateway_jobs(cluster.scrape_interval)
    if cluster.thanos is not None:
        yield thanos_job(cluster.namespace)
    if cluster.bucket is not None:
        yield sidecar_job(cluster.namespace, cluster.scrape_interval)


def _replica_label(cluster: ClusterPlan, receivers: Sequence[Receiver]) -> Values:
    """For stores that keep one replica's samples, or show one's. Parents drop it, and so do alerts."""
    is_uploaded = cluster.bucket is not None and cluster.replicas > 1
    if is_uploaded or any(replica_label(receiver.edge) is not None for receiver in receivers):
        return {"replicaExternalLabelName": REPLICA_LABEL}
    return {"replicaExternalLabelNameClear": True}


def _mounted_secrets(cluster: ClusterPlan, children: Sequence[Child], receivers: Sequence[Receiver]) -> Iterator[str]:
    """Whose files this Prometheus reads its keys from."""
    if children or cluster.discovered:
        yield FEDERATION_CREDENTIALS
    if any(tls_keys(edge) for edge in _own(receivers)):
        yield REMOTE_WRITE_CREDENTIALS
    if cluster.sends_alerts:
        yield ALERT_CREDENTIALS


def _own(receivers: Sequence[Receiver]) -> Iterable[OwnWriteEdge]:
    """The fleet's own edges among them."""
    edges = (receiver.edge for receiver in receivers if isinstance(receiver.edge, OwnWriteEdge))
    return {edge.id: edge for edge in edges}.values()


_QUERY_TIMEOUT, _FLUSH_DEADLINE = 120, 60
"""Seconds, by Prometheus's own defaults (`--query.timeout`, `--storage.remote.flush-deadline`)."""


def _size(cluster: ClusterPlan) -> Values:
    size: Values = {"replicas": cluster.replicas}
    if cluster.retention is not None:
        size["retention"] = format_duration(cluster.retention)
    if cluster.storage is not None:
        size["storageSpec"] = volume_claim(cluster.storage)
        size["persistentVolumeClaimRetentionPolicy"] = KEPT
        if cluster.retention is not None:
            # A full disk stops Prometheus for good; the rest is for what compaction needs beside its blocks.
            size["retentionSize"] = f"{int(parse_quantity(cluster.storage.size) * _FILLED / 2**20)}MiB"
    if cluster.resources is not None:
        size["resources"] = _resources(cluster.resources)
    return size


_FILLED = Decimal("0.85")


_STALE_SHARE = "0.5"
"""Of the series in memory; the CRD takes whole numbers and strings.

At one half there is one ended series at most for each that lives, whatever the size of the fleet.
"""


def _tsdb(cluster: ClusterPlan) -> Values:
    """Of a child that serves new series on every scrape, its parent would otherwise have two to three hours in memory.

    What a leaf scrapes is its own cluster's, and an edge's Prometheus has no such memory. Who is written to takes late
    what others could not send.
    """
    tsdb: Values = {}
    if cluster.tier in {Tier.REGIONAL, Tier.GLOBAL}:
        tsdb["staleSeriesCompactionThreshold"] = _STALE_SHARE
    if cluster.receives_writes:
        tsdb["outOfOrderTimeWindow"] = format_duration(TAKEN_LATE)
    return {"tsdb": tsdb} if tsdb else {}


def taken_late(cluster: ClusterPlan) -> timedelta:
    """How far behind its newest sample its Prometheus takes others, the page's own values included."""
    values = _laid_over({"prometheus": {"prometheusSpec": _tsdb(cluster)}}, *cluster.overlays)
    spec = cast("Values", cast("Values", values["prometheus"])["prometheusSpec"])
    tsdb = cast("Values", cast("Values", spec.get("additionalConfig") or {}).get("tsdb") or {})
    window = tsdb.get("outOfOrderTimeWindow")
    return _IN_ORDER if window is None or window in NO_WINDOW else max(_IN_ORDER, parse_duration(window))


NO_WINDOW = ("0", "0s")
"""For samples out of order, as a page may write it."""

_IN_ORDER = timedelta(hours=1)
"""Half of what a block of Prometheus spans."""


def _resources(resources: Resources) -> Values:
    return resources.model_dump(exclude_none=True, exclude_defaults=True)
