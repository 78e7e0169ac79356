"""Who reaches a Prometheus, over what, and where its secrets lie."""

import re
from collections.abc import Iterator, Sequence

from pulumi_policy import Severity

from fleet_policies.exposures import PROMETHEUS_PORT, exposures
from fleet_policies.model import (
    federation_jobs,
    has_credential,
    is_within_cluster,
    remote_writes,
    servers,
    texts,
)
from fleet_policies.policy import ResourcePolicy, StackPolicy, Violation
from fleet_policies.resources import KubernetesObject, Resource, chart_values, objects
from fleet_policies.tree import Node


def _remote_write_auth(resource: Resource, _: Node) -> Iterator[Violation]:
    for server in servers(resource):
        for queue in remote_writes(server):
            # Within a cluster NetworkPolicies say who reaches it.
            if not has_credential(queue.node) and not is_within_cluster(queue.url.text or ""):
                what = "writes without a credential; give the queue `basicAuth` or a client certificate"
                yield Violation(queue.where, what)


remote_write_auth = ResourcePolicy(
    id="remote-write-auth",
    description="A sender says who it is to the receiver outside of its cluster that it writes to.",
    severity=Severity.HIGH,
    why="A receiver that takes samples from anybody shows whatever anybody wants it to show.",
    remedy=(
        "basicAuth:\n"
        "  username: {name: remote-write-credentials, key: hub.username}\n"
        "  password: {name: remote-write-credentials, key: hub.password}\n"
        "# or a client certificate: tlsConfig: {certFile: …, keyFile: …}"
    ),
    judge=_remote_write_auth,
)


def _receiver_auth(resource: Resource, _: Node) -> Iterator[Violation]:
    for exposure in exposures(resource):
        what = f"{exposure.what}, where nobody asks who calls; publish a gateway in front of it instead"
        yield Violation(exposure.node.where, what)


receiver_auth = ResourcePolicy(
    id="receiver-auth",
    description="Prometheus itself is reachable within its cluster alone; from outside, a gateway is.",
    severity=Severity.CRITICAL,
    why=(
        f"Port {PROMETHEUS_PORT} answers everybody: queries, /federate and, where it is on, the remote-write receiver. "
        "The operator's objects have no field for passwords, so a proxy beside it has to ask who calls."
    ),
    remedy=(
        "prometheus:\n"
        "  service: {type: ClusterIP}\n"
        "  ingress: {enabled: false}\n"
        "# and a Service of the gateway's own, as docs/gateway.md shows"
    ),
    judge=_receiver_auth,
)


def _tls(resource: Resource, _: Node) -> Iterator[Violation]:
    for root in (*chart_values(resource), *_monitoring(resource)):
        for node in root.walk():
            if node.path and node.path[-1] in _SKIPPING and node.is_on:
                yield Violation(node.where, "believes any certificate; name the authority in `ca_file` or `ca` instead")
    for job in federation_jobs(resource):
        scheme = job / "scheme"
        if (scheme.text or "http").lower() == "http" and not scheme.is_unknown and not job.is_within_cluster:
            yield Violation(job.where, "federates another cluster in clear; set `scheme: https` on the job")
    for server in servers(resource):
        for queue in remote_writes(server):
            url = (queue.url.text or "").lower()
            if url.startswith("http:") and not is_within_cluster(url):
                yield Violation(queue.url.where, "writes to another cluster in clear; write to an `https://` address")


_SKIPPING = {"insecure_skip_verify", "insecureSkipVerify"}
_OPERATORS_KINDS = {
    "Alertmanager",
    "AlertmanagerConfig",
    "PodMonitor",
    "Probe",
    "Prometheus",
    "PrometheusAgent",
    "PrometheusRule",
    "ScrapeConfig",
    "ServiceMonitor",
    "ThanosRuler",
}


def _monitoring(resource: Resource) -> Sequence[Node]:
    """The operator's own objects, and what ConfigMaps and Secrets hold of Prometheus's configuration."""
    found = [each.body for each in objects(resource) if each.kind in _OPERATORS_KINDS]
    for each in objects(resource):
        if each.kind in {"Secret", "ConfigMap"}:
            found += [node.parsed() for node in texts(each) if isinstance(node.value, str) and "job_name" in node.value]
    return found


tls = ResourcePolicy(
    id="tls",
    description="Between clusters everything goes over TLS, and certificates are checked.",
    severity=Severity.HIGH,
    why="Between clusters lie networks of other people; an unchecked certificate is anybody's.",
    remedy=(
        "scheme: https\n"
        "tls_config:\n"
        "  ca_file: /etc/prometheus/secrets/federation-credentials/eu-1.ca\n"
        "  server_name: eu-1.prometheus-fleet.internal"
    ),
    judge=_tls,
)


def _no_inline_secrets(resource: Resource, _: Node) -> Iterator[Violation]:
    remedy = "keep it in a Secret and name that"
    for root in (*chart_values(resource), *_monitoring_in_clear(resource)):
        for node in root.walk():
            if (what := _secret_in(node)) is not None:
                yield Violation(node.where, f"{what} in clear; {remedy}")
            if (variable := _secret_variable(node)) is not None:
                yield Violation(variable.where, f"a secret variable in clear; {remedy} in `valueFrom.secretKeyRef`")


def _secret_variable(node: Node) -> Node | None:
    """The value of an environment variable, which says its name and its value apart."""
    if not isinstance(node.value, dict):
        return None
    name, value = node / "name", node / "value"
    is_secret = isinstance(name.value, str) and _NAMED.search(name.value) is not None and value.is_given
    return value if is_secret and value.text else None


_KEYS = {
    "adminPassword",
    "basicAuthPassword",
    "api_key",
    "apiKey",
    "api_url",
    "bearer_token",
    "bearerToken",
    "client_secret",
    "clientSecret",
    "credentials",
    "password",
    "secret_key",
    "secretKey",
    "service_key",
    "routing_key",
    "slack_api_url",
    "smtp_auth_password",
    "token",
}
_NAMED = re.compile(r"(?:password|token|secret|api_?key)$", re.IGNORECASE)
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s:\"']*:[^/@\s\"']+@")
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_VARIABLE = re.compile(r"\$(\w+|(__env|__file)?\{[^{}]+\})")
"""What Grafana puts into a data source itself, from its environment or a file."""
_URLS = {"url", "proxyUrl", "proxy_url", "externalUrl"}


def _secret_in(node: Node) -> str | None:
    key = node.path[-1] if node.path else ""
    if node.is_open:
        if key in _KEYS or key in _URLS:
            node.doubt()
        return None
    if not isinstance(node.value, str) or not node.value:
        return None
    if _KEY.search(node.value):
        return "a private key"
    if _USERINFO.search(node.value):
        return "a URL with a password"
    is_variable = "secureJsonData" in node.path and _VARIABLE.fullmatch(node.value) is not None
    return "a secret" if key in _KEYS and not is_variable else None


def _monitoring_in_clear(resource: Resource) -> Iterator[Node]:
    """What anybody may read who may read a namespace's objects; a Secret is where secrets belong."""
    for each in objects(resource):
        if each.kind in _OPERATORS_KINDS:
            yield each.body
        elif each.kind == "ConfigMap":
            yield from _readable(each)


def _readable(each: KubernetesObject) -> Iterator[Node]:
    for node in texts(each):
        yield node
        # Most of what a ConfigMap holds is no configuration with a secret; parsing all of it would take time.
        if isinstance(node.value, str) and any(f"{key}:" in node.value for key in _KEYS):
            parsed = node.parsed()
            if not isinstance(parsed.value, str):
                yield parsed


no_inline_secrets = ResourcePolicy(
    id="no-inline-secrets",
    description="No password, token or key stands in values, in a ConfigMap or in the operator's objects.",
    severity=Severity.CRITICAL,
    why=(
        "Values lie in clear in Helm's own release Secret, in the operator's objects and in whatever prints them. "
        "Secrets of the program reach them in clear as well: Pulumi's encryption ends at the cluster."
    ),
    remedy=(
        "basicAuth:\n"
        "  password: {name: remote-write-credentials, key: hub.password}\n"
        "# in a job: password_file: /etc/prometheus/secrets/federation-credentials/eu-1"
    ),
    judge=_no_inline_secrets,
)


def _network_policy(resources: Sequence[Resource], _: Node) -> Iterator[Violation]:
    guarded = {
        (resource.provider, each.namespace.text)
        for resource in resources
        if resource.type.endswith(":NetworkPolicy")
        for each in objects(resource)
    }
    for resource in resources:
        for server in servers(resource):
            namespace = server.namespace
            if namespace.is_unknown or (resource.provider, namespace.text) in guarded:
                continue
            if server.values is not None and server.values.at("prometheus.networkPolicy.enabled").is_on:
                continue
            what = "no NetworkPolicy is in the namespace of this Prometheus; deny by default and allow what is needed"
            yield Violation(resource.name, what, resource.urn)


network_policy = StackPolicy(
    id="network-policy",
    description="A Prometheus runs in a namespace that has a NetworkPolicy.",
    severity=Severity.MEDIUM,
    why=f"Without one, every pod of the cluster reaches port {PROMETHEUS_PORT}, and past the gateway.",
    remedy=(
        "apiVersion: networking.k8s.io/v1\n"
        "kind: NetworkPolicy\n"
        "metadata: {name: default-deny, namespace: monitoring}\n"
        "spec: {podSelector: {}, policyTypes: [Ingress, Egress]}"
    ),
    judge=_network_policy,
)

POLICIES = (remote_write_auth, receiver_auth, tls, no_inline_secrets, network_policy)
