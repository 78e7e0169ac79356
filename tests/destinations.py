"""Pages with receivers outside of the fleet, and what a cluster says of the queues that are made of them."""

import json
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fleet.compiler import compile_page
from fleet.errors import FleetError
from fleet.page import read_page
from fleet.plan import Plan
from fleet.render import rendered_values
from local import golang
from local.chart_assembly import operator_crds

Page = dict[str, Any]

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "destinations.md"

CLUSTERS: Page = {
    "hub": {"tier": "global", "context": "hub"},
    "eu": {"tier": "regional", "region": "eu", "context": "eu"},
    "us": {"tier": "regional", "region": "us", "context": "us"},
    "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
    "us-1": {"tier": "leaf", "region": "us", "context": "us-1"},
    "shop-1": {"tier": "edge", "context": "shop-1"},
}

ARCHIVE: Page = {
    "kind": "generic",
    "url": "https://archive.example.com/push",
    "senders": "hub",
    "auth": {"bearer": {"secret": "archive"}},
}


def page(**changes: object) -> Page:
    """A fleet with one destination, `archive`, whose keys are as changed; None takes one away."""
    archive = {key: value for key, value in {**ARCHIVE, **changes}.items() if value is not None}
    return {"clusters": CLUSTERS, "destinations": {"archive": archive}}


def plan(given: Page) -> Plan:
    return compile_page(read_page(given, {}))


def problems(given: Page) -> list[tuple[str, str, str]]:
    """(path, message, YAML that would be right) of each."""
    try:
        plan(given)
    except FleetError as error:
        return [(each.path, each.message, each.fix) for each in error.problems]
    return []


def queues(compiled: Plan, cluster: str) -> list[dict[str, Any]]:
    """Those to receivers outside of the fleet, as the operator's object has them."""
    names = {edge.name for edge in compiled.clusters[cluster].destinations}
    return [each for each in all_queues(compiled, cluster) if each["name"] in names]


def all_queues(compiled: Plan, cluster: str) -> list[dict[str, Any]]:
    values: Any = rendered_values(compiled, compiled.clusters[cluster])
    return list(values["prometheus"]["prometheusSpec"].get("remoteWrite", ()))


def documented() -> Mapping[str, Page]:
    """Each example of the document, by the names of its destinations, as a whole page."""
    found = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL))
    return {
        f"{number}-{'-'.join(example['destinations'])}": {"clusters": CLUSTERS, **example}
        for number, example in enumerate(found)
    }


@cache
def crd(kind: str) -> str:
    """Of the pinned operator, as YAML."""
    folder = operator_crds(golang.find(), ROOT / "local" / "tools" / "operator")
    plural = {"Prometheus": "prometheuses", "PrometheusAgent": "prometheusagents"}[kind]
    return (folder / f"monitoring.coreos.com_{plural}.yaml").read_text()


def validated(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What an API server has against an object of this `spec`, and which of its fields it drops."""
    version = "v1" if kind == "Prometheus" else "v1alpha1"
    body = {"apiVersion": f"monitoring.coreos.com/{version}", "kind": kind, "metadata": {"name": "prometheus"}}
    return _asked("validate", {"crd": crd(kind), "object": {**body, "spec": spec}})


def generated(
    spec: Mapping[str, Any], secrets: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Prometheus's configuration as the operator makes it, and the files of its /etc/prometheus/certs."""
    made = _asked("generate", {"spec": spec, "secrets": secrets})
    return yaml.safe_load(made["config"]), made["files"]


def _asked(command: str, given: Mapping[str, object]) -> dict[str, Any]:
    asked = ["operator-config", command]
    answer = subprocess.run(asked, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def selected_secrets(node: object) -> dict[str, dict[str, str]]:
    """A text for each key of each Secret that `node` names; what TLS needs has to be given."""
    found: dict[str, dict[str, str]] = {}
    for each in _selectors(node):
        found.setdefault(each["name"], {})[each["key"]] = f"{each['key']} of {each['name']}"
    return found


def _selectors(node: object) -> list[dict[str, str]]:
    if isinstance(node, dict):
        if set(node) == {"name", "key"}:
            return [node]
        return [each for value in node.values() for each in _selectors(value)]
    return [each for value in node for each in _selectors(value)] if isinstance(node, list) else []
