"""The Prometheus objects of a cluster, and what the operator does when one of them changes.

The operator writes the pods anew for whatever is not in Prometheus's own configuration, which it reloads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import JsonValue

from fleet.review.description import Object
from fleet.review.differences import ClusterState
from fleet.review.nodes import mapping, sequence

_KINDS = ("Prometheus", "PrometheusAgent")

RELOADED = frozenset(
    {
        *("additionalAlertManagerConfigs", "additionalAlertRelabelConfigs", "additionalScrapeConfigs"),
        *("alerting", "apiserverConfig", "arbitraryFSAccessThroughSMs", "bodySizeLimit"),
        *("convertClassicHistogramsToNHCB", "enforcedBodySizeLimit", "enforcedKeepDroppedTargets"),
        *("enforcedLabelLimit", "enforcedLabelNameLengthLimit", "enforcedLabelValueLengthLimit"),
        *("enforcedNamespaceLabel", "enforcedSampleLimit", "enforcedTargetLimit", "evaluationInterval"),
        *("excludedFromEnforcement", "exemplars", "externalLabels", "ignoreNamespaceSelectors"),
        *("keepDroppedTargets", "labelLimit", "labelNameLengthLimit", "labelValueLengthLimit"),
        *("nameEscapingScheme", "nameValidationScheme", "otlp", "overrideHonorLabels", "overrideHonorTimestamps"),
        *("persistentVolumeClaimRetentionPolicy", "podMonitorNamespaceSelector", "podMonitorSelector"),
        *("podTargetLabels", "probeNamespaceSelector", "probeSelector", "prometheusExternalLabelName"),
        *("prometheusRulesExcludedFromEnforce", "remoteRead", "remoteWrite", "replicaExternalLabelName"),
        *("replicas", "retention", "retentionSize", "ruleNamespaceSelector", "ruleQueryOffset", "ruleSelector"),
        *("sampleLimit", "scrapeClasses", "scrapeClassicHistograms", "scrapeConfigNamespaceSelector"),
        *("scrapeConfigSelector", "scrapeInterval", "scrapeNativeHistograms", "scrapeProtocols", "scrapeTimeout"),
        *("serviceMonitorNamespaceSelector", "serviceMonitorSelector", "targetLimit", "tracingConfig", "tsdb"),
    }
)
"""Fields of `spec` that are in the configuration or leave pods as they are.

Source: promcfg.go and statefulset.go of the operator v0.93.1. Since Prometheus 3.11 retention is in the configuration
as well.
"""

RELOADED_VALUES = frozenset(
    {
        *("additionalAlertManagerConfigsSecret", "additionalAlertRelabelConfigsSecret", "additionalRemoteRead"),
        *("additionalRemoteWrite", "additionalScrapeConfigsSecret", "podMonitorSelectorNilUsesHelmValues"),
        *("probeSelectorNilUsesHelmValues", "prometheusExternalLabelNameClear", "replicaExternalLabelNameClear"),
        *("ruleSelectorNilUsesHelmValues", "scrapeConfigSelectorNilUsesHelmValues"),
        *("serviceMonitorSelectorNilUsesHelmValues",),
    }
)
"""The chart's own, of which it makes such fields."""


@dataclass(frozen=True, slots=True)
class Server:
    """A Prometheus or an agent."""

    kind: str
    spec: Object

    @property
    def replicas(self) -> int:
        count = self.spec.get("replicas", 1)
        return count if isinstance(count, int) else 1

    @property
    def external_labels(self) -> JsonValue:
        return self.spec.get("externalLabels")

    @property
    def queues(self) -> Mapping[str, JsonValue]:
        """Remote writes by their names, or by whom they go to: more of a URL may be secret."""
        listed = [each for key in ("remoteWrite", "additionalRemoteWrite") for each in sequence(self.spec.get(key))]
        return {str(each.get("name") or urlsplit(str(each.get("url"))).hostname): each for each in map(mapping, listed)}


def servers(state: ClusterState) -> Mapping[str, Server]:
    """By name. As the chart makes them; of a chart that cannot be had, as its values say it."""
    if not state.is_rendered:
        prometheus = mapping(state.side.values.get("prometheus"))
        kind = _KINDS[prometheus.get("agentMode") is True]
        return {"prometheus": Server(kind, _flat(mapping(prometheus.get("prometheusSpec"))))}
    return {
        str(name): Server(name.kind, mapping(made.get("spec")))
        for name, made in state.objects.items()
        if name.kind in _KINDS
    }


def _flat(spec: Object) -> Object:
    """What the chart's `additionalConfig` holds stands beside the other fields in the object."""
    additional = spec.get("additionalConfig")
    rest = {key: value for key, value in spec.items() if key != "additionalConfig"}
    renamed = {"storageSpec": "storage"}
    return {renamed.get(key, key): value for key, value in {**rest, **mapping(additional)}.items()}


def restarting(before: Server, after: Server) -> list[str]:
    """Fields whose change gives it new pods."""
    names = sorted({*before.spec, *after.spec})
    return [
        name
        for name in names
        if before.spec.get(name) != after.spec.get(name) and name not in RELOADED | RELOADED_VALUES
    ]


def reloader_image(state: ClusterState) -> str | None:
    """Of the container that the operator puts into every pod of Prometheus; the operator is told it as an argument."""
    for name, made in state.objects.items():
        if name.kind == "Deployment":
            for text in _texts(made):
                if text.startswith(_RELOADER):
                    return text.removeprefix(_RELOADER)
    return None


_RELOADER = "--prometheus-config-reloader="


def _texts(node: JsonValue) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    for each in node.values() if isinstance(node, dict) else sequence(node):
        yield from _texts(each)
