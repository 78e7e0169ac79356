"""What a policy judges in a resource, by the field's own names: servers, scrape jobs, remote writes, rules.

A server is a Prometheus or an agent: a release of kube-prometheus-stack, or an object of the operator's.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from fleet_policies.resources import KubernetesObject, Resource, chart_values, objects
from fleet_policies.tree import Node

TIER_LABEL = "prometheus-fleet/tier"
_LEVELS = {"cluster": "leaf", "regional": "regional", "global": "global", "edge": "edge"}
"""Tiers by the external label `level`."""


@dataclass(frozen=True)
class Server:
    resource: Resource
    spec: Node
    """As the operator's objects have it."""
    tier: str | None
    """`leaf`, `regional`, `global` or `edge`; None where nothing says it."""
    is_agent: bool
    namespace: Node
    values: Node | None = None
    """Of the chart, where it makes the server."""

    @property
    def external_labels(self) -> Mapping[str, str]:
        return {key: text for key, node in (self.spec / "externalLabels").items() if (text := node.text) is not None}

    @property
    def names(self) -> frozenset[str]:
        """By which parents and senders may know it."""
        labels = self.external_labels
        own = {labels.get("cluster"), self.resource.name, self.resource.name.removesuffix("-release")}
        return frozenset(name for name in own if name)


def servers(resource: Resource) -> Iterator[Server]:
    for values in chart_values(resource):
        prometheus = values / "prometheus"
        if (prometheus / "enabled").value is not False:
            spec = prometheus / "prometheusSpec"
            tier = (values / "commonLabels" / TIER_LABEL).text or _level(spec)
            agent = (prometheus / "agentMode").is_on
            yield Server(resource, spec, tier, agent, resource.props / "namespace", values)
    for each in objects(resource):
        if each.kind in {"Prometheus", "PrometheusAgent"}:
            tier = (each.body.at("metadata.labels") / TIER_LABEL).text or _level(each.spec)
            yield Server(resource, each.spec, tier, each.kind == "PrometheusAgent", each.namespace)


def _level(spec: Node) -> str | None:
    return _LEVELS.get((spec / "externalLabels" / "level").text or "")


class Form(Enum):
    PROMETHEUS = "of Prometheus's own configuration"
    SCRAPE_CONFIG = "of a ScrapeConfig"
    MONITOR = "an endpoint of a ServiceMonitor or PodMonitor"


_OF_MONITORS = {"metrics_path": "path", "scrape_interval": "interval"}
_ON_MONITORS = {"sample_limit", "body_size_limit"}


@dataclass(frozen=True)
class ScrapeJob:
    node: Node
    form: Form
    monitor: Node | None = None
    """The spec of the monitor that an endpoint stands in."""

    def key(self, name: str) -> str:
        """How this form of a job spells a field of Prometheus's configuration."""
        if self.form is Form.PROMETHEUS:
            return name
        if self.form is Form.MONITOR and name in _OF_MONITORS:
            return _OF_MONITORS[name]
        return camel(name)

    def __truediv__(self, name: str) -> Node:
        """A field by its name in Prometheus's configuration."""
        holder = self.monitor if self.monitor is not None and name in _ON_MONITORS else self.node
        return holder / self.key(name)

    @property
    def where(self) -> str:
        return self.node.where

    @property
    def is_federation(self) -> bool:
        paths = [self / "metrics_path", *(each / "labels" / "__metrics_path__" for each in self.targets)]
        paths += [
            rule / "replacement"
            for rule in (self / "relabel_configs").elements()
            if (rule / self.key("target_label")).text == "__metrics_path__"
        ]
        return any(_path(each.text or "").endswith("/federate") for each in paths)

    @property
    def targets(self) -> list[Node]:
        """Of a static configuration: groups of `targets` with their `labels`."""
        return [*(self / "static_configs").elements()]

    @property
    def asserted(self) -> Mapping[str, str]:
        """Labels that the job gives whatever it scrapes: by them a parent knows its child."""
        asserted = {label: node.text for group in self.targets for label, node in (group / "labels").items()}
        rules = [*(self / "relabel_configs").elements(), *(self / "metric_relabel_configs").elements()]
        if self.form is Form.MONITOR:
            rules = [*(self.node / "relabelings").elements(), *(self.node / "metricRelabelings").elements()]
        for rule in rules:
            label = (rule / ("target_label" if self.form is Form.PROMETHEUS else "targetLabel")).text
            replacement = (rule / "replacement").value
            if label is not None and isinstance(replacement, str) and "$" not in replacement:
                asserted[label] = replacement
        return {label: text for label, text in asserted.items() if text is not None}

    @property
    def is_within_cluster(self) -> bool:
        """Whether it finds its targets by Kubernetes, or at names that only its own cluster knows."""
        if self.form is Form.MONITOR or (self / "kubernetes_sd_configs").is_given:
            return True
        addresses = [address for group in self.targets for address in (group / "targets").elements()]
        return bool(addresses) and all(is_within_cluster(text) for each in addresses if (text := each.text) is not None)

    @property
    def matches(self) -> list[Node]:
        """`match[]`, as a list or as the only one."""
        given = self / "params" / "match[]"
        return [given] if isinstance(given.value, str) else [*given.elements()]


def scrape_jobs(resource: Resource) -> Iterator[ScrapeJob]:
    for server in servers(resource):
        yield from _jobs_of_chart(server)
    for each in objects(resource):
        match each.kind:
            case "ScrapeConfig":
                yield ScrapeJob(each.spec, Form.SCRAPE_CONFIG)
            case "ServiceMonitor":
                yield from _endpoints(each.spec, "endpoints")
            case "PodMonitor":
                yield from _endpoints(each.spec, "podMetricsEndpoints")
            case "Secret" | "ConfigMap":
                yield from _jobs_in_text(each)
            case _:
                pass


def _jobs_of_chart(server: Server) -> Iterator[ScrapeJob]:
    """An object of the operator's names a Secret instead, which is judged as such."""
    if server.values is not None:
        for node in (server.spec / "additionalScrapeConfigs").parsed().elements():
            yield ScrapeJob(node, Form.PROMETHEUS)
        for kind, endpoints in (("Service", "endpoints"), ("Pod", "podMetricsEndpoints")):
            for monitor in (server.values / "prometheus" / f"additional{kind}Monitors").elements():
                yield from _endpoints(monitor, endpoints)


def scrape_config_secret(server: Server) -> str | None:
    """The name of the Secret from which a server takes further jobs."""
    return (server.spec / ("additionalScrapeConfigs" if server.values is None else _OF_CHART) / "name").text


_OF_CHART = "additionalScrapeConfigsSecret"


def federation_jobs(resource: Resource) -> Iterator[ScrapeJob]:
    return (job for job in scrape_jobs(resource) if job.is_federation)


def _endpoints(monitor: Node, key: str) -> Iterator[ScrapeJob]:
    return (ScrapeJob(node, Form.MONITOR, monitor) for node in (monitor / key).elements())


def _jobs_in_text(holder: KubernetesObject) -> Iterator[ScrapeJob]:
    """Of a Secret or ConfigMap that holds scrape configs, as a list or as Prometheus's whole configuration."""
    for node in texts(holder):
        if "job_name" in (node.value if isinstance(node.value, str) else ""):
            configuration = node.parsed()
            for job in (*configuration.elements(), *(configuration / "scrape_configs").elements()):
                yield ScrapeJob(job, Form.PROMETHEUS)


def texts(holder: KubernetesObject) -> Iterator[Node]:
    """What a Secret or ConfigMap holds, decoded; nothing where it is not known yet.

    Credentials are that in every preview, so who would take scrape configs from there has to ask for them.
    """
    for key in ("data", "stringData"):
        held = holder.body / key
        for node in () if held.is_open else held.values():
            is_encoded = holder.kind == "Secret" and key == "data" and isinstance(node.value, str)
            yield Node(_decoded(str(node.value)), node.path, node.doubts) if is_encoded else node


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


@dataclass(frozen=True)
class RemoteWrite:
    node: Node

    @property
    def where(self) -> str:
        return self.node.where

    @property
    def url(self) -> Node:
        return self.node / "url"


def remote_writes(server: Server) -> Iterator[RemoteWrite]:
    for key in ("remoteWrite", "additionalRemoteWrite"):
        yield from (RemoteWrite(node) for node in (server.spec / key).elements())


_CREDENTIALS = (
    "basic_auth",
    "authorization",
    "oauth2",
    "sigv4",
    "azuread",
    "azureAd",
    "bearer_token",
    "bearer_token_file",
    "bearer_token_secret",
)
_CLIENT_CERTIFICATES = ("cert", "cert_file")


def has_credential(holder: Node) -> bool:
    """Whether a job or a queue says who it is; where that is not known, it is noted as such."""
    spelled = [node for name in _CREDENTIALS for node in (holder / name, holder / camel(name))]
    for tls in (holder / "tls_config", holder / "tlsConfig"):
        spelled += [tls] if tls.is_open else [node for n in _CLIENT_CERTIFICATES for node in (tls / n, tls / camel(n))]
    known, unknown = ([each for each in spelled if each.is_open is kind] for kind in (False, True))
    if any(node.is_given for node in known):
        return True
    for node in unknown:
        node.doubt()
    return bool(unknown)


@dataclass(frozen=True)
class Rule:
    """A recording rule."""

    node: Node
    record: str
    expr: Node


def recording_rules(resource: Resource) -> Iterator[Rule]:
    groups = [each.spec / "groups" for each in objects(resource) if each.kind == "PrometheusRule"]
    for values in chart_values(resource):
        groups += [each / "groups" for each in (values / "additionalPrometheusRulesMap").values()]
        groups += [each / "groups" for each in (values / "additionalPrometheusRules").elements()]
    for group in (group for listed in groups for group in listed.elements()):
        for node in (group / "rules").elements():
            if (record := (node / "record").text) is not None:
                yield Rule(node, record, node / "expr")


_YEAR = 365 * 86400
_UNITS = {"y": _YEAR, "w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_DURATION = re.compile("".join(rf"(?:(\d+){unit}(?![a-z]))?" for unit in _UNITS))


def seconds(duration: str) -> float | None:
    """Of a duration as Prometheus writes it; None of anything else."""
    found = _DURATION.fullmatch(duration)
    if found is None or not duration:
        return 0.0 if duration == "0" else None
    return sum(int(count) * unit for count, unit in zip(found.groups("0"), _UNITS.values(), strict=True))


def is_within_cluster(address: str) -> bool:
    """Whether a `host:port` or URL is known inside of one cluster alone."""
    host = re.sub(r"^[a-z]+://", "", address).partition("/")[0]
    host = host.rpartition("@")[2]
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return name in {"localhost", "[::1]"} or name.startswith("127.") or name.endswith((".svc", ".svc.cluster.local"))


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _path(text: str) -> str:
    return text.partition("?")[0].rstrip("/")
