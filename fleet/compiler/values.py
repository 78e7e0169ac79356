"""Chart values of the page: only those that the chart has, and none that the plan decides."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from fleet import versions
from fleet.compiler.topology import meant
from fleet.duration import format_duration, parse_duration
from fleet.errors import Problem, at, yaml_at
from fleet.names import Tier, object_labels, service_labels
from fleet.page import Page
from fleet.page.fields import RESERVED_LABELS
from fleet.page.problems import did_you_mean, nearest
from fleet.plan import ClusterPlan
from fleet.queues import OLDEST_SENT, TAKEN_LATE
from fleet.values import NO_WINDOW, taken_late

Tree = Mapping[str, "Tree"]
"""Keys of the chart's values; `*` stands for whatever a user likes."""

_DATA = Path(__file__).parent.parent / "data"

_SPEC = "prometheus.prometheusSpec"
_SIDECARS = (("prometheus", "prometheusSpec", "thanos"), ("prometheus", "prometheusSpec", "additionalConfig", "thanos"))
_ALERTMANAGER = "alertmanager.alertmanagerSpec"
_WINDOW = "outOfOrderTimeWindow"
_MUTED = "alerts tell strangers what runs where, and whoever can post them can mute others"
_UNWATCHED = "alerts about the monitoring itself read what it says of itself"
_PUBLISHED = "it publishes 9090, which asks for no password; the gateway is the way in"
_DECIDED = {
    "alertmanager.enabled": "it runs beside the global Prometheus, and where a cluster of the page has `alertmanager`",
    "alertmanager.config": "the page's alerting decides it",
    "alertmanager.stringConfig": "the page's alerting decides it",
    "alertmanager.tplConfig": "the page's alerting decides it",
    f"{_ALERTMANAGER}.alertmanagerConfiguration": "the page's alerting decides it",
    f"{_ALERTMANAGER}.configSecret": "the page's alerting decides it",
    f"{_ALERTMANAGER}.secrets": "the page's alerting decides it",
    f"{_ALERTMANAGER}.useExistingSecret": "the page's alerting decides it",
    f"{_ALERTMANAGER}.storage": "the page's alerting.storage decides it",
    f"{_ALERTMANAGER}.replicas": "alerts from other clusters come to one of them, and they do not tell each other",
    f"{_ALERTMANAGER}.routePrefix": "the gateway beside Prometheus asks at /",
    "alertmanager.service.port": "the gateway beside Prometheus asks at 9093",
    "alertmanager.service.type": _MUTED,
    "alertmanager.service.externalIPs": _MUTED,
    "alertmanager.servicePerReplica.enabled": _MUTED,
    **dict.fromkeys(
        (f"{part}.serviceMonitor.selfMonitor" for part in ("alertmanager", "prometheus", "prometheusOperator")),
        _UNWATCHED,
    ),
    f"{_SPEC}.additionalConfigString": "it is text that nobody reads: additionalConfig is checked",
    "fullnameOverride": "every object of the fleet is found by it",
    "nameOverride": "every object of the fleet is found by it",
    "namespaceOverride": "the page's namespace decides it",
    "global.imageRegistry": "the page's chart.registry decides it",
    "prometheus.enabled": "a cluster without Prometheus is no part of the fleet",
    "prometheus.agentMode": "the cluster's tier decides it",
    **dict.fromkeys(
        (f"prometheus.service.labels.{label}" for label in service_labels("")),
        "a parent that discovers finds the cluster by it",
    ),
    "prometheus.serviceMonitor.selfMonitor": "the cluster's heartbeat and the number of its series come from it",
    "prometheus.service.type": _PUBLISHED,
    "prometheus.service.externalIPs": _PUBLISHED,
    "prometheus.servicePerReplica.enabled": _PUBLISHED,
    "prometheus.ingress.enabled": _PUBLISHED,
    "prometheus.ingressPerReplica.enabled": _PUBLISHED,
    "prometheus.route.main.enabled": _PUBLISHED,
    f"{_SPEC}.arbitraryFSAccessThroughSMs": "whoever may make a ServiceMonitor could have it send the fleet's keys",
    f"{_SPEC}.automountServiceAccountToken": "the gateway beside Prometheus would hold its token",
    f"{_SPEC}.hostNetwork": "no NetworkPolicy holds on a node's own network",
    f"{_SPEC}.routePrefix": "gateways and `fleet status` ask at /",
    f"{_SPEC}.shards": "each shard would hold, and send up, a part of the series",
    f"{_SPEC}.additionalScrapeConfigs": "the federation jobs stand there",
    f"{_SPEC}.additionalScrapeConfigsSecret": "it takes the place of the federation jobs",
    f"{_SPEC}.additionalAlertManagerConfigs": "the Alertmanager of the fleet stands there",
    f"{_SPEC}.additionalAlertManagerConfigsSecret": "the Alertmanager of the fleet stands there",
    f"{_SPEC}.containers": "the gateway stands there",
    f"{_SPEC}.volumes": "the gateway's configuration stands there",
    f"{_SPEC}.secrets": "the credentials of the fleet's edges stand there",
    f"{_SPEC}.remoteWrite": "the page's destinations and tiers decide it",
    f"{_SPEC}.enableRemoteWriteReceiver": "whether somebody writes decides it",
    f"{_SPEC}.overrideHonorLabels": "it turns honorLabels off without a word",
    f"{_SPEC}.listenLocal": "its probes never succeed on the chart's image",
    f"{_SPEC}.prometheusExternalLabelName": "it would travel up on every series",
    f"{_SPEC}.prometheusExternalLabelNameClear": "it would travel up on every series",
    f"{_SPEC}.replicaExternalLabelName": "it would travel up on every series",
    f"{_SPEC}.replicaExternalLabelNameClear": "it would travel up on every series",
    f"{_SPEC}.scrapeInterval": "the page's intervals.scrape decides it",
    f"{_SPEC}.scrapeTimeout": "the page's intervals.timeout decides it",
    f"{_SPEC}.evaluationInterval": "the page's intervals.rules decides it",
    f"{_SPEC}.retention": "the page's retention decides it",
    f"{_SPEC}.retentionSize": "the size of the page's storage decides it",
    f"{_SPEC}.storageSpec": "the page's storage decides it",
    f"{_SPEC}.replicas": "the page's replicas decides it",
    f"{_SPEC}.resources": "the page's resources decides it",
    **dict.fromkeys(
        (f"{_SPEC}.thanos.{key}" for key in ("objectStorageConfig", "objectStorageConfigFile")),
        "the page's thanos.objectStorage decides it",
    ),
    **dict.fromkeys(
        (f"{_SPEC}.thanos.{key}" for key in ("listenLocal", "grpcListenLocal", "httpListenLocal")),
        "the sidecar would answer whoever calls",
    ),
    f"{_SPEC}.thanos.additionalArgs": "where the sidecar listens and what it reads stands there",
    **dict.fromkeys(
        (f"{_SPEC}.thanos.{key}" for key in ("image", "version", "baseImage", "tag", "sha")),
        "every Thanos of the fleet is of one version",
    ),
}


def value_problems(page: Page) -> Iterator[Problem]:
    known = chart_paths() if page.chart.version == versions.CHART else None
    uploading = meant(page, page.thanos.sidecars) if page.thanos is not None else ()
    bare = [name for name in page.clusters if name not in uploading]
    # A section in which several values stand is refused once.
    yield from dict.fromkeys(_problems(page.values, ("values",), known, bare))
    for name, cluster in page.clusters.items():
        where = ("clusters", name, "values")
        yield from dict.fromkeys(_problems(cluster.values, where, known, [name] if name in bare else []))


def _problems(
    values: Mapping[str, JsonValue], where: tuple[str, ...], known: Tree | None, bare: Sequence[str]
) -> Iterator[Problem]:
    """`bare` are those among the clusters that these values are for whose Prometheus has no sidecar."""
    for path, value in _leaves(values, ()):
        if bare and (section := _sidecar(path, value)):
            message = (
                f"is for a Thanos sidecar, and {bare[0]} has none: thanos.sidecars of the page says which leaves do"
            )
            yield at((*where, *section), message)
        elif why := _decided(path) or _emptied(path, value):
            yield at((*where, *path), f"is not the page's to set: {why}")
        elif known is not None and (found := _unknown(path, value, known)):
            message, meant = found
            fix = yaml_at((*where, *meant), value) if meant else ""
            yield Problem(".".join((*where, *path)), message, fix)
        elif path[-1] == _WINDOW and not _is_window(value):
            yield at((*where, *path), f"{value!r} is not a duration such as 30m or 6h, or 0s", "6h")


def window_problems(page: Page, clusters: Iterable[ClusterPlan]) -> Iterator[Problem]:
    """Where a receiver would answer what its senders still hold with 400, and so lose all of a request."""
    least = format_duration(TAKEN_LATE)
    for cluster in clusters:
        if cluster.receives_writes and taken_late(cluster) < TAKEN_LATE:
            sent = f"{cluster.name} is sent what is up to {format_duration(OLDEST_SENT)} old"
            message = f"must be {least} at least: {sent}, and a sample that it refuses costs others of its request"
            yield at(_window(page, cluster.name), message, least)


def _window(page: Page, name: str) -> tuple[str, ...]:
    """Where the page says it, of several places the one that counts."""
    layers = {("clusters", name, "values"): page.clusters[name].values, ("values",): page.values}
    given = {(*where, *path) for where, values in layers.items() for path, _ in _leaves(values, ())}
    tsdb = (f"{_SPEC}.additionalConfig.tsdb", f"{_SPEC}.tsdb")
    places = ((*where, *section.split("."), _WINDOW) for section in tsdb for where in layers)
    return next(place for place in places if place in given)


def _is_window(value: JsonValue) -> bool:
    with contextlib.suppress(ValueError):
        return value in NO_WINDOW or bool(parse_duration(value))
    return False


def _sidecar(path: tuple[str, ...], value: JsonValue) -> tuple[str, ...] | None:
    """The section in which it stands that has the operator add a sidecar, whatever it says."""
    return next((each for each in _SIDECARS if path[: len(each)] == each and (path != each or value)), None)


def _leaves(values: Mapping[str, JsonValue], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], JsonValue]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _decided(path: tuple[str, ...]) -> str | None:
    is_laid_over = ".".join(path).startswith(f"{_SPEC}.additionalConfig.")
    if is_laid_over:
        path = (*path[:2], *path[3:])
    for length in range(1, len(path) + 1):
        if why := _DECIDED.get(".".join(path[:length])):
            return why
    label = path[-1]
    if ".".join(path[:-1]) == f"{_SPEC}.externalLabels" and label in RESERVED_LABELS:
        return f"label {label} is reserved, the fleet decides it"
    if path[0] == "commonLabels" and label in object_labels(Tier.LEAF):
        return f"label {label} is reserved, every object of the fleet carries it"
    # The chart lays `additionalConfig` over the rest of the spec, and does not merge what is below its keys. Of `tsdb`
    # the fleet has merged both by then.
    return _emptied(path[:3], None) if is_laid_over and path[2] != "tsdb" else None


def _emptied(path: tuple[str, ...], value: JsonValue) -> str | None:
    section = ".".join(path)
    merged = (f"{_SPEC}.externalLabels.", f"{_SPEC}.tsdb.", f"{_SPEC}.additionalConfig.tsdb.")
    decided = (*_DECIDED, "commonLabels.", *merged)
    # A text in a section's place leaves as little of it as nothing does.
    if value != {} and any(key.startswith(f"{section}.") for key in decided):
        return "nothing would be left of what the fleet decides there"
    return None


@cache
def chart_paths() -> Tree:
    """Of the chart at `versions.CHART`, from the list of its key paths."""
    tree: dict[str, Tree] = {}
    for path in (_DATA / f"kube-prometheus-stack-{versions.CHART}.paths.txt").read_text().split():
        node = tree
        for key in path.split("."):
            node = cast("dict[str, Tree]", node.setdefault(key, {}))
    return tree


def _unknown(path: tuple[str, ...], value: JsonValue, known: Tree) -> tuple[str, tuple[str, ...] | None] | None:
    """(what is wrong, the path that was meant); None where the chart has such a value."""
    chart = f"chart {versions.CHART}"
    for depth, key in enumerate(path):
        if "*" in known and key not in known:
            return None
        if not known:
            parent = ".".join(path[:depth])
            return f"{chart} has no value below {parent}, which is one itself", None
        if key not in known:
            section = ".".join(path[:depth]) or "its top"
            meant = nearest(key, known)
            message = f"{chart} has no value {key!r} at {section}{did_you_mean(key, known)}"
            return message, (*path[:depth], meant, *path[depth + 1 :]) if meant else None
        known = known[key]
    if known and "*" not in known and value not in ({}, None):
        return f"this is a section of {chart}, with {', '.join(sorted(known)[:5])} and so on", None
    return None
