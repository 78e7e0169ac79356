"""Every PromQL expression that the project ships: in rules, alerts, dashboards and documents."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import promql_parser

from fleet.alerts import alert_groups
from fleet.compiler import compile_page
from fleet.dashboards import dashboards
from fleet.lint import name_branches, parts
from fleet.page import read_page
from fleet.plan import Plan
from fleet.promql import Labels, result_labels
from fleet.rules import rule_groups

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


@dataclass(frozen=True)
class Expression:
    where: str
    text: str
    keeps: Labels = frozenset()
    """Labels that its result must have."""


def plan() -> Plan:
    """A fleet with every way up, with gateways and work on it, at the intervals that a page has by default."""
    until = "2030-01-01T00:00:00Z"
    clusters = {
        "hub": {"tier": "global"},
        "eu": {"tier": "regional", "region": "eu"},
        "eu-1": {"tier": "leaf", "region": "eu", "maintenance": {"until": until, "reason": "new nodes"}},
        "us": {"tier": "regional", "region": "us", "discover": {"found": {"namespace": "shop"}}},
        "us-1": {"tier": "leaf", "region": "us", "up": "both"},
        "lone": {"tier": "leaf"},
        "shop-1": {"tier": "edge"},
    }
    located = {name: {"context": name, **cluster} for name, cluster in clusters.items()}
    thanos = {"objectStorage": {"config": "thanos-objects"}, "senders": "leaf"}
    return compile_page(read_page({"clusters": located, "thanos": thanos}, {}))


def recorded(found: Plan) -> set[str]:
    return {name for cluster in found.clusters.values() for group in rule_groups(cluster) for name in group.records}


def of_rules(found: Plan) -> Iterator[Expression]:
    for cluster in found.clusters.values():
        for group in rule_groups(cluster):
            for record, expr in group.rules:
                yield Expression(f"{cluster.name}: {record}", expr, _kept(record))


def _kept(record: str) -> Labels:
    """What a level tells apart; what a Prometheus says of itself gets its labels on its way up."""
    if record.startswith("region:cluster_"):
        return frozenset({"region", "cluster"})
    if record.startswith("region:") and not record.startswith("region:own_"):
        return frozenset({"region"})
    return frozenset()


def of_alerts(found: Plan) -> Iterator[Expression]:
    for cluster in found.clusters.values():
        for group in alert_groups(found, cluster):
            for rule in group.rules:
                yield Expression(f"{cluster.name}: {rule['alert']}", str(rule["expr"]))


def of_dashboards(found: Plan) -> Iterator[Expression]:
    for text in dashboards(replace(found, dashboards=True)).values():
        model = json.loads(text)
        for panel in model["panels"]:
            for target in panel["targets"]:
                yield Expression(f"{model['title']}: {panel['title']} {target['refId']}", target["expr"])


def of_documents() -> Iterator[Expression]:
    """Of each block fenced as `promql`: a line that is not indented begins an expression."""
    for document in DOCUMENTS:
        for block in re.findall(r"^ *```promql\n(.*?)^ *```", document.read_text(), re.MULTILINE | re.DOTALL):
            for text in re.split(r"\n(?=[^\s)])", block.strip()):
                yield Expression(f"{document.relative_to(ROOT)}", re.sub(r"#.*", "", text).strip())


def every(found: Plan) -> list[Expression]:
    each = [*of_rules(found), *of_alerts(found), *of_dashboards(found), *of_documents()]
    return [*{one.text: one for one in each if one.text}.values()]


def branches(text: str) -> set[str]:
    """Names that an expression asks for, and patterns of names."""
    selectors = (part for part in parts(promql_parser.parse(text)) if isinstance(part, promql_parser.VectorSelector))
    return {branch for selector in selectors for branch in name_branches(selector)}


def alert_labels(found: Plan) -> Iterator[tuple[str, Labels | None, Labels]]:
    """Of each alert (its name, labels of its series or None where what it reads decides, labels that it sets)."""
    for cluster in found.clusters.values():
        for group in alert_groups(found, cluster):
            for rule in group.rules:
                kept = result_labels(promql_parser.parse(str(rule["expr"])))
                yield str(rule["alert"]), kept, frozenset(cast("Mapping[str, str]", rule["labels"]))
