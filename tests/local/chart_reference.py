"""What the real chart renders, as facts small enough to keep, and how they are made.

`python tests/local/chart_reference.py DIR` writes them anew. DIR is an unpacked kube-prometheus-stack with its
dependencies grafana, kube-state-metrics and prometheus-node-exporter in `charts/`, as `helm pull --untar` makes one.
"""

import base64
import bz2
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias, cast

import yaml

from fleet.grafana import grafana
from fleet.names import GRAFANA, RELEASE, Tier, object_labels
from fleet.page import Reading
from fleet.plan import DataSource

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Object: TypeAlias = dict[str, Json]

HERE = Path(__file__).parent
CASES = HERE / "chart_tiers.yaml"
TIERS = cast("dict[str, Object]", yaml.safe_load(CASES.read_text()))
OBJECTS = HERE / "chart_objects.yaml"
PODS = HERE / "chart_pods.yaml"
GRAFANA_OBJECTS = HERE / "chart_grafana.yaml"
PATHS = HERE.parents[1] / "fleet" / "data" / "kube-prometheus-stack-88.5.3.paths.txt"

READ = Reading.model_validate({"url": "https://mimir.example.com/prometheus", "auth": {"basic": {"secret": "reader"}}})
SOURCES = (DataSource("mimir", "mimir", {"X-Scope-OrgID": "fleet"}, READ),)
"""That Grafana asks beside the Prometheus that it stands beside."""

# Whatever of the chart the fleet's NetworkPolicies are about.
EVERY_POD: Object = {
    "fullnameOverride": "kube-prometheus-stack",
    "crds": {"upgradeJob": {"enabled": True}},
    "grafana": {"enabled": True, "testFramework": {"enabled": False}},
}

SUBCHARTS = ("kube-state-metrics", "prometheus-node-exporter")
UNSEEN_SUBCHARTS = {"grafana", "prometheus-windows-exporter"}
# These have default entries and take any other: what Kubernetes or Alertmanager makes of them is not the chart's.
OPEN = {
    "affinity", "annotations", "config", "containerSecurityContext", "env", "labels", "nodeSelector", "podAnnotations",
    "podLabels", "podSecurityContext", "resources", "securityContext", "selector", "strategy", "updateStrategy",
}  # fmt: skip


def helm_template(chart: Path, values: Object, *options: str) -> subprocess.CompletedProcess[str]:
    release = ["kube-prometheus-stack", str(chart), "--namespace", "monitoring"]
    return subprocess.run(
        ["helm", "template", *release, "--kube-version", "1.36.3", "--values", "-", *options],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
    )


def render(chart: Path, values: Object) -> dict[str, Object]:
    """The rendered objects by `kind/namespace/name`, without what has no meaning or names the chart itself."""
    rendered = helm_template(chart, values)
    rendered.check_returncode()
    objects = [cast("Object", _meaning(found)) for found in yaml.safe_load_all(rendered.stdout) if found]
    return {_key(found): found for found in objects}


def _key(found: Object) -> str:
    metadata = cast("dict[str, str]", found["metadata"])
    return f"{found['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"


def _meaning(value: Json) -> Json:
    if isinstance(value, list):
        items = [_meaning(item) for item in value]
        # The order of an RBAC rule's entries says nothing, and the real chart has none in it.
        return sorted(items, key=str) if "alertmanagers" in items else items
    if not isinstance(value, dict):
        return value
    return {
        key: _crd_names(cast("str", item)) if key == "crds.bz2" else _meaning(item)
        for key, item in value.items()
        if item is not None
        and (key, item) != ("annotations", {})
        and key not in {"chart", "helm.sh/chart"}
        and not (key == "app.kubernetes.io/version" and str(item).startswith("88.5.3"))
    }


def _crd_names(packed: str) -> Json:
    """Of the operator's CRDs in a ConfigMap: what is in them is the operator's."""
    return [*re.findall(r"^  name: (\S+)$", bz2.decompress(base64.b64decode(packed)).decode(), re.MULTILINE)]


def facts(objects: dict[str, Object]) -> dict[str, Object]:
    """Of each object a digest, so that any difference shows, and what matters most in clear, so that it can be read."""
    return {key: {**_excerpt(found), "digest": _digest(found)} for key, found in sorted(objects.items())}


def _digest(found: Object) -> str:
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _excerpt(found: Object) -> Object:
    spec = cast("Object", found.get("spec", {}))
    match found["kind"]:
        case "Alertmanager" | "Prometheus" | "PrometheusAgent" | "Service":
            return {"spec": spec}
        case "ServiceMonitor":
            return {"endpoints": spec["endpoints"], "selector": spec["selector"]}
        case "ConfigMap" if "binaryData" in found:
            return {"binaryData": found["binaryData"]}
        case "Job":
            return {"spec": spec}
        case "Deployment" | "DaemonSet":
            container = cast("list[Object]", cast("Object", cast("Object", spec["template"])["spec"])["containers"])[0]
            return {"image": container["image"], "args": container["args"]}
        case _:
            return {}


def pods(objects: dict[str, Object]) -> dict[str, Object]:
    """The pods of each workload by `kind/name`: labels, whether on the node's own network, and named ports."""
    return {
        f"{found['kind']}/{_name(found)}": _pod(found, objects) for _, found in sorted(objects.items()) if _runs(found)
    }


def _runs(found: Object) -> bool:
    return found["kind"] in {"Deployment", "DaemonSet", "Job", "Prometheus", "Alertmanager"}


def _pod(found: Object, objects: dict[str, Object]) -> Object:
    spec = cast("Object", found["spec"])
    if found["kind"] in {"Prometheus", "Alertmanager"}:
        # The operator makes their pods: what it puts on them is what the chart's own Service goes by.
        service = cast("Object", objects[f"Service/monitoring/{_name(found)}"]["spec"])
        ports = cast("list[Object]", service["ports"])
        named: Object = {str(port["name"]): port["port"] for port in ports}
        return {"labels": service["selector"], "hostNetwork": spec["hostNetwork"], "ports": named}
    template = cast("Object", spec["template"])
    labels = cast("Object", cast("Object", template.get("metadata") or {}).get("labels", {}))
    if found["kind"] == "Job":
        # Kubernetes's own label: of the CRDs' job it is the only one.
        labels = {**labels, "batch.kubernetes.io/job-name": _name(found)}
    pod = cast("Object", template["spec"])
    containers = cast("list[Object]", pod["containers"])
    ports = [port for each in containers for port in cast("list[Object]", each.get("ports", []))]
    named = {str(port["name"]): port["containerPort"] for port in ports}
    return {"labels": labels, "hostNetwork": pod.get("hostNetwork", False), "ports": named}


def _name(found: Object) -> str:
    return cast("dict[str, str]", found["metadata"])["name"]


def chart_values(chart: Path) -> Object:
    """The chart's default values with those of the charts that it brings along, as far as they are at hand."""
    values = _values(chart)
    for name in SUBCHARTS:
        if (subchart := chart / "charts" / name).exists():
            values[name] = _merged(_values(subchart), cast("Object", values[name]))
    for name in UNSEEN_SUBCHARTS & values.keys():
        enabled = cast("Object", values[name]).get("enabled")
        values[name] = {} if enabled is None else {"enabled": enabled}
    return values


def paths(chart: Path) -> list[str]:
    """The values that a chart has, sorted: `a.b`, or `a.b.*` where anything may lie below."""
    found = leaves(chart_values(chart))
    return sorted(f"{path}.*" if value is None or isinstance(value, dict | list) else path for path, value in found)


def leaves(values: Object, prefix: str = "") -> Iterator[tuple[str, Json]]:
    for key, value in values.items():
        if isinstance(value, dict) and value and key not in OPEN:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _values(chart: Path) -> Object:
    return cast("Object", yaml.safe_load((chart / "values.yaml").read_text()))


def _merged(base: Object, over: Object) -> Object:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def recorded_objects(real: Path) -> str:
    rendered = {tier: facts(render(real, values)) for tier, values in TIERS.items()}
    head = f"# Rendered by the real chart from {CASES.name}, recorded by {Path(__file__).name}.\n"
    return head + yaml.safe_dump(rendered, default_flow_style=None, width=140)


def recorded_pods(real: Path) -> str:
    head = f"# What the real chart runs, recorded by {Path(__file__).name}.\n"
    return head + yaml.safe_dump(pods(render(real, EVERY_POD)), default_flow_style=None, width=120)


def recorded_grafana(real: Path) -> str:
    """Of the values that the program sets, in full: no Grafana runs in any test."""
    labels = object_labels(Tier.GLOBAL)
    made = grafana("monitoring", labels, SOURCES)
    values = {"fullnameOverride": RELEASE, "commonLabels": labels, "grafana": made}
    found = {
        key: each
        for key, each in sorted(render(real, cast("Object", values)).items())
        if key.split("/")[2].startswith(GRAFANA)
    }
    head = f"# What the real chart makes of the program's Grafana, recorded by {Path(__file__).name}.\n"
    return head + yaml.safe_dump(found, default_flow_style=None, width=120)


def recorded_paths(real: Path) -> str:
    # Nothing is known of what lies below these charts' own keys.
    unseen = [f"{name}.*" for name in UNSEEN_SUBCHARTS]
    return "".join(f"{path}\n" for path in sorted({*paths(real), *unseen}))


if __name__ == "__main__":
    OBJECTS.write_text(recorded_objects(Path(sys.argv[1])))
    PODS.write_text(recorded_pods(Path(sys.argv[1])))
    GRAFANA_OBJECTS.write_text(recorded_grafana(Path(sys.argv[1])))
    PATHS.write_text(recorded_paths(Path(sys.argv[1])))
