"""Where a chart and its images come from, and what they are given to run with."""

import re
from collections.abc import Iterator

from pulumi_policy import Severity

from fleet_policies.model import seconds, servers
from fleet_policies.policy import ResourcePolicy, Violation
from fleet_policies.resources import Resource, chart_values, objects
from fleet_policies.tree import Node

_EXACT = re.compile(r"v?\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")


def _chart_pinned(resource: Resource, settings: Node) -> Iterator[Violation]:
    if next(chart_values(resource), None) is None:
        return
    chart, version = resource.props / "chart", resource.props / "version"
    repository = next((each for each in _REPOSITORY if resource.props.at(each).is_given), None)
    source = resource.props.at(repository) if repository is not None else chart
    name = source.text
    if name is None or (repository is None and _is_path(name)):
        return
    sources = (settings / "sources").texts
    if not any(name.startswith(allowed) for allowed in sources):
        yield Violation(source.where, f"is none of the allowed sources; take the chart from {' or '.join(sources)}")
    if not version.is_unknown and not _EXACT.fullmatch(version.text or ""):
        yield Violation("version", "is no exact version; name one, as in `version: 88.5.3`")


_REPOSITORY = ("repositoryOpts.repo", "repository")


def _is_path(chart: str) -> bool:
    """Of files: they are pinned with the program that names them."""
    return chart.startswith((".", "/")) or chart.endswith(".tgz")


chart_pinned = ResourcePolicy(
    id="chart-pinned",
    description="The chart is one exact version from an allowed source.",
    severity=Severity.HIGH,
    why="A range, or no version, upgrades every cluster on the day that somebody else publishes one.",
    remedy="chart: oci://ghcr.io/prometheus-community/charts/kube-prometheus-stack\nversion: 88.5.3",
    settings={
        "sources": {
            "type": "array",
            "items": {"type": "string"},
            "default": [
                "oci://ghcr.io/prometheus-community/charts/",
                "https://prometheus-community.github.io/helm-charts",
            ],
            "description": "How the address of an allowed chart or repository begins.",
        }
    },
    judge=_chart_pinned,
)


def _image_registry(resource: Resource, settings: Node) -> Iterator[Violation]:
    registries = (settings / "registries").texts
    if not registries:
        return
    remedy = f"take it from {' or '.join(registries)}"
    for values in chart_values(resource):
        registry = values / "global" / "imageRegistry"
        if not registry.is_given:
            where = registry.where
            yield Violation(where, f"the chart takes its images from the internet; set it to {' or '.join(registries)}")
        elif (text := registry.text) is not None and text not in registries:
            yield Violation(registry.where, f"is none of the allowed registries; {remedy}")
    roots = [*chart_values(resource), *(each.body for each in objects(resource) if each.kind in _WITH_IMAGES)]
    for node in (node for root in roots for node in root.walk() if node.path and node.path[-1] == "image"):
        own = node / "registry" if isinstance(node.value, dict) else node
        text = own.text
        if text and not any(text == each or text.startswith(f"{each}/") for each in registries):
            yield Violation(own.where, f"is none of the allowed registries; {remedy}")


_WITH_IMAGES = {"Alertmanager", "Deployment", "Prometheus", "PrometheusAgent", "StatefulSet", "ThanosRuler"}

image_registry = ResourcePolicy(
    id="image-registry",
    description="Images come from the registries that the site can reach.",
    severity=Severity.MEDIUM,
    why="A site without a way to the internet starts no pod whose image is only there.",
    remedy="global:\n  imageRegistry: mirror.example.com",
    settings={
        "registries": {
            "type": "array",
            "items": {"type": "string"},
            "default": [],
            "description": "Allowed registries; none means any.",
        }
    },
    judge=_image_registry,
)


def _retention_and_storage(resource: Resource, settings: Node) -> Iterator[Violation]:
    longest = (settings / "longest").text or ""
    for server in servers(resource):
        volume = server.spec / ("storageSpec" if server.values is not None else "storage") / "volumeClaimTemplate"
        retention = server.spec / "retention"
        if (settings / "persistent").is_on and not volume.is_given:
            where = volume.where.removesuffix(".volumeClaimTemplate")
            what = "what this Prometheus knows is lost with its pod; give it a `volumeClaimTemplate`"
            yield Violation(where, what)
        if server.is_agent:
            continue
        if retention.is_given and (kept := retention.text) is not None:
            known = seconds(kept)
            if not known or known > (seconds(longest) or 0):
                yield Violation(retention.where, f"is not bounded; set `retention: {longest}` or less")
        if volume.is_given and not (server.spec / "retentionSize").is_given:
            what = "a full volume stops Prometheus for good; set it to 85 % of the volume, as in `retentionSize: 42GiB`"
            yield Violation((server.spec / "retentionSize").where, what)


retention_and_storage = ResourcePolicy(
    id="retention-and-storage",
    description="Prometheus keeps its data over a restart, for a bounded time and in a bounded space.",
    severity=Severity.MEDIUM,
    why="Without a volume a restart forgets everything; without a bound the volume fills and Prometheus stops.",
    remedy=(
        "prometheusSpec:\n"
        "  retention: 15d\n"
        "  retentionSize: 42GiB\n"
        "  storageSpec:\n"
        "    volumeClaimTemplate:\n"
        "      spec:\n"
        "        accessModes: [ReadWriteOnce]\n"
        "        resources: {requests: {storage: 50Gi}}"
    ),
    settings={
        "persistent": {"type": "boolean", "default": True, "description": "Whether a volume is asked for."},
        "longest": {"type": "string", "default": "400d", "description": "The longest retention."},
    },
    judge=_retention_and_storage,
)


def _resources(resource: Resource, settings: Node) -> Iterator[Violation]:
    for server in servers(resource):
        for amount in (settings / "required").texts:
            given = server.spec / "resources"
            for key in amount.split("."):
                given /= key
            if not given.is_given:
                yield Violation(given.where, "nothing says how much this Prometheus may use; set it")


resources = ResourcePolicy(
    id="resources",
    description="A Prometheus says what it needs and what it may use at most.",
    severity=Severity.LOW,
    why="Without requests it is put where there is no room; without a limit it takes the room of others.",
    remedy="resources:\n  requests: {cpu: 500m, memory: 2Gi}\n  limits: {memory: 4Gi}",
    settings={
        "required": {
            "type": "array",
            "items": {"type": "string"},
            "default": ["requests.cpu", "requests.memory", "limits.memory"],
            "description": "What has to be set below `resources`.",
        }
    },
    judge=_resources,
)

POLICIES = (chart_pinned, image_registry, retention_and_storage, resources)
