"""Which Pod Security Standard the monitoring namespace holds its pods to."""

from collections.abc import Iterator, Mapping
from typing import Literal, cast

from fleet import versions
from fleet.plan import ClusterPlan
from fleet.values import chart_values, is_on

Standard = Literal["restricted", "baseline", "privileged"]

# They read the node that they run on.
_NODE_EXPORTERS = {"nodeExporter": "prometheus-node-exporter", "windowsMonitoring": "prometheus-windows-exporter"}
_OF_THE_NODE = {"hostIPC", "hostNetwork", "hostPID", "hostPath", "hostPort", "hostProcess", "privileged"}
_LOOSENED = (("allowPrivilegeEscalation", True), ("runAsNonRoot", False), ("runAsUser", 0))


def namespace_labels(cluster: ClusterPlan) -> dict[str, str]:
    """Labels by which an API server refuses pods beyond what the release, or the page for others beside it, needs."""
    label, standard = "pod-security.kubernetes.io", cluster.pod_security or needed(cluster)
    return {
        key: value
        for mode in ("enforce", "audit", "warn")
        for key, value in ((f"{label}/{mode}", standard), (f"{label}/{mode}-version", versions.POD_SECURITY))
    }


def needed(cluster: ClusterPlan) -> Standard:
    """The strictest standard that every pod of its release meets."""
    values = chart_values(cluster)
    if any(is_on(values, exporter) for exporter in _NODE_EXPORTERS):
        return "privileged"
    settings = [*_settings({key: value for key, value in values.items() if key not in _NODE_EXPORTERS.values()})]
    if any(key in _OF_THE_NODE and value for key, value in settings):
        return "privileged"
    # With a volume, Grafana's chart has its owner changed by root.
    is_chowned = is_on(values, "grafana") and is_on(values, "grafana.persistence")
    if is_chowned or any(setting in _LOOSENED for setting in settings):
        return "baseline"
    return "restricted"


def _settings(node: object) -> Iterator[tuple[str, object]]:
    """Every key with its value, but for what is switched off."""
    if isinstance(node, Mapping):
        section = cast("Mapping[str, object]", node)
        if section.get("enabled") is False:
            return
        for key, value in section.items():
            yield key, value
            yield from _settings(value)
    elif isinstance(node, list | tuple):
        for item in cast("list[object]", node):
            yield from _settings(item)
