"""For each policy what it lets pass, what it refuses and in which words, and what it cannot judge."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.policies.judging import UNKNOWN, Made, made, release

SPEC = "values.prometheus.prometheusSpec"
JOB = f"{SPEC}.additionalScrapeConfigs.0"
GOOD = {
    "job_name": "federate-eu-1",
    "metrics_path": "/federate",
    "honor_labels": True,
    "track_timestamps_staleness": True,
    "params": {"match[]": ['{__name__=~"cluster:.*"}']},
    "scheme": "https",
    "basic_auth": {"username": "eu", "password_file": "/etc/prometheus/secrets/federation-credentials/eu-1"},
    "scrape_interval": "1m",
    "scrape_timeout": "48s",
    "sample_limit": 4000,
    "body_size_limit": "2MB",
    "static_configs": [{"targets": ["192.0.2.1:9443"], "labels": {"cluster": "eu-1"}}],
}


def job(**changed: Any) -> Made:
    """A release with one federation job; None takes a field away."""
    fields = {key: value for key, value in {**GOOD, **changed}.items() if value is not None}
    return release({"additionalScrapeConfigs": [fields]})


def data_source(password: str) -> dict[str, Any]:
    """Values of a Grafana that reads somewhere with it."""
    return {"additionalDataSources": [{"name": "mimir", "secureJsonData": {"basicAuthPassword": password}}]}


def scrape_config(**spec: Any) -> Made:
    return made("ScrapeConfig", api="monitoring.coreos.com/v1alpha1", spec={"metricsPath": "/federate", **spec})


def monitor(**endpoint: Any) -> Made:
    return made("ServiceMonitor", spec={"endpoints": [{"path": "/federate", **endpoint}]})


def in_secret(job: Mapping[str, Any], key: str = "data") -> Made:
    text = yaml.safe_dump([job])
    data = base64.b64encode(text.encode()).decode() if key == "data" else text
    return made("Secret", api="core/v1", **{key: {"more.yaml": data}})


def in_config_map(job: Mapping[str, Any]) -> Made:
    text = yaml.safe_dump({"scrape_configs": [job]})
    return made("ConfigMap", api="core/v1", data={"prometheus.yml": text})


def server(name: str, tier: str = "leaf", **spec: Any) -> Made:
    labels = {"leaf": {"level": "cluster", "cluster": name}, "regional": {"level": "regional", "region": name}}
    return release({"externalLabels": labels.get(tier, {"level": tier}), **spec}, name)


def asking(child: str) -> dict[str, Any]:
    return {**GOOD, "static_configs": [{"targets": [UNKNOWN], "labels": {"cluster": child}}]}


def more_jobs(secret: str) -> Made:
    return made("Prometheus", spec={"additionalScrapeConfigs": {"name": secret, "key": "jobs.yaml"}})


@dataclass(frozen=True)
class Case:
    policy: str
    resources: tuple[Made, ...]
    messages: tuple[str, ...] = ()
    unjudged: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


def passes(policy: str, *resources: Made, **settings: Any) -> Case:
    return Case(policy, resources, settings=settings)


def refused(policy: str, resource: Made | tuple[Made, ...], *messages: str, **settings: Any) -> Case:
    return Case(policy, resource if isinstance(resource, tuple) else (resource,), messages, settings=settings)


def unjudged(policy: str, resource: Made, *paths: str, **settings: Any) -> Case:
    said = f"not judged, because not known yet: {', '.join(paths)}"
    return Case(policy, (resource,), unjudged=said, settings=settings)


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key not in keys}


VOLUME = {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "50Gi"}}}}}
OFFICIAL = {"chart": "oci://ghcr.io/prometheus-community/charts/kube-prometheus-stack", "version": "88.5.3"}
SOURCES = "oci://ghcr.io/prometheus-community/charts/ or https://prometheus-community.github.io/helm-charts"
AGGREGATED = 'match what is aggregated, as in `{__name__=~"cluster:.*"}`'
GATEWAY = "where nobody asks who calls; publish a gateway in front of it instead"
RULE = {"record": "region:cpu:sum", "expr": "sum by (region, job) (cluster:cpu:sum)"}


def chart(**props: Any) -> Made:
    here = release()
    return Made(here.type, here.name, {**here.props, **props})


def rules(*rules: Mapping[str, Any]) -> Made:
    return made("PrometheusRule", spec={"groups": [{"name": "g", "rules": [*rules]}]})


def service(kind: str, **port: Any) -> Made:
    selector = {"app.kubernetes.io/name": "prometheus"}
    return made("Service", api="core/v1", spec={"type": kind, "selector": selector, "ports": [port]})


CASES = (
    passes("honor-labels", job(), scrape_config(honorLabels=True), monitor(honorLabels=True)),
    passes("honor-labels", job(metrics_path="/metrics", honor_labels=None)),
    passes("honor-labels", job(static_configs=[{"targets": [UNKNOWN]}])),
    refused(
        "honor-labels",
        job(honor_labels="true"),
        f"{JOB}: scrapes /federate without honor_labels; set `honor_labels: true` on the job",
    ),
    refused(
        "honor-labels",
        scrape_config(),
        "spec: scrapes /federate without honorLabels; set `honorLabels: true` on the job",
    ),
    refused(
        "honor-labels",
        monitor(honorLabels=False),
        "spec.endpoints.0: scrapes /federate without honorLabels; set `honorLabels: true` on the job",
    ),
    refused(
        "honor-labels",
        made("PodMonitor", spec={"podMetricsEndpoints": [{"path": "/federate"}]}),
        "spec.podMetricsEndpoints.0: scrapes /federate without honorLabels; set `honorLabels: true` on the job",
    ),
    refused(
        "honor-labels",
        in_secret(without("honor_labels")),
        "data.more.yaml.0: scrapes /federate without honor_labels; set `honor_labels: true` on the job",
    ),
    refused(
        "honor-labels",
        in_secret(without("honor_labels"), "stringData"),
        "stringData.more.yaml.0: scrapes /federate without honor_labels; set `honor_labels: true` on the job",
    ),
    refused(
        "honor-labels",
        in_config_map(without("honor_labels")),
        "data.prometheus.yml.scrape_configs.0: scrapes /federate without honor_labels; "
        "set `honor_labels: true` on the job",
    ),
    refused(
        "honor-labels",
        release(prometheus={"additionalServiceMonitors": [{"endpoints": [{"path": "/federate"}]}]}),
        "values.prometheus.additionalServiceMonitors.0.endpoints.0: scrapes /federate without honorLabels; "
        "set `honorLabels: true` on the job",
    ),
    refused(
        "honor-labels",
        release({"overrideHonorLabels": True}),
        f"{SPEC}.overrideHonorLabels: turns honor_labels off in every job that the operator makes; "
        "remove it or set it to `false`",
    ),
    refused(
        "honor-labels",
        release(extraManifests=[{"kind": "ScrapeConfig", "spec": {"metricsPath": "/federate"}}]),
        "values.extraManifests.0.spec: scrapes /federate without honorLabels; set `honorLabels: true` on the job",
    ),
    unjudged("honor-labels", job(metrics_path=UNKNOWN), f"{JOB}.metrics_path"),
    unjudged("honor-labels", release({"additionalScrapeConfigs": UNKNOWN}), f"{SPEC}.additionalScrapeConfigs"),
    unjudged("honor-labels", Made(release().type, "here", {"chart": "other", "values": UNKNOWN}), "values"),
    passes("federation-auth", job(), job(basic_auth=None, tls_config={"cert_file": "/a", "key_file": "/b"})),
    passes("federation-auth", monitor(authorization={"credentials": {"name": "a", "key": "b"}})),
    refused(
        "federation-auth",
        job(basic_auth=None),
        f"{JOB}: scrapes /federate without a credential; give the job `basic_auth` or a client certificate",
    ),
    refused(
        "federation-auth",
        scrape_config(tlsConfig={"ca": {}}),
        "spec: scrapes /federate without a credential; give the job `basicAuth` or a client certificate",
    ),
    unjudged("federation-auth", job(basic_auth=UNKNOWN), f"{JOB}.basic_auth"),
    passes("staleness", job(), monitor(trackTimestampsStaleness=True)),
    refused(
        "staleness",
        job(track_timestamps_staleness=None),
        f"{JOB}: a series that ends below lives on for five minutes above; "
        "set `track_timestamps_staleness: true` on the job",
    ),
    unjudged("staleness", job(track_timestamps_staleness=UNKNOWN), f"{JOB}.track_timestamps_staleness"),
    passes("limits", job()),
    refused(
        "limits",
        job(sample_limit=0, body_size_limit=None),
        f"{JOB}: a child may send any amount; set `sample_limit: 4000` or what it should send",
        f"{JOB}: a child may send any amount; set `body_size_limit: 2MB` or what it should send",
    ),
    refused(
        "limits",
        made("ServiceMonitor", spec={"sampleLimit": 9, "endpoints": [{"path": "/federate"}]}),
        "spec.endpoints.0: a child may send any amount; set `bodySizeLimit: 2MB` or what it should send",
    ),
    unjudged("limits", job(sample_limit=UNKNOWN), f"{JOB}.sample_limit"),
    passes("match-scope", job(), job(params={"match[]": ['kube_pod_info{namespace="a"}']})),
    *(
        refused(
            "match-scope",
            job(params={"match[]": [match]}),
            f"{JOB}.params.match[].0: matches metrics of any name; {AGGREGATED}",
        )
        for match in ('{__name__=~".+"}', '{job="node"}', '{__name__!="",job=~".+"}')
    ),
    refused(
        "match-scope",
        job(params={"match[]": ['{__name__=~"node_.*"}']}),
        f"{JOB}.params.match[].0: federates node_cpu_seconds_total, which has a series for each container, node or "
        f"bucket; {AGGREGATED}",
    ),
    refused(
        "match-scope",
        job(params={"match[]": ["up", "sum(up)"]}),
        f"{JOB}.params.match[].0: federates up, which has a series for each container, node or bucket; {AGGREGATED}",
        f"{JOB}.params.match[].1: is no selector that names metrics; {AGGREGATED}",
        forbidden=["up"],
    ),
    refused(
        "match-scope", job(params={}), f"{JOB}: asks /federate for nothing; name what is aggregated in `params.match[]`"
    ),
    unjudged("match-scope", job(params={"match[]": [UNKNOWN]}), f"{JOB}.params.match[].0"),
    unjudged("match-scope", job(params=UNKNOWN), f"{JOB}.params"),
    passes("intervals", job(), job(scrape_interval="5s", scrape_timeout="5s", metrics_path="/metrics")),
    refused(
        "intervals",
        job(scrape_interval="10s", scrape_timeout="20s"),
        f"{JOB}.scrape_interval: federates more often than every 60s; set `scrape_interval: 60s` or more",
        f"{JOB}.scrape_timeout: is longer than the interval; lower `scrape_timeout` or raise the interval",
    ),
    refused(
        "intervals",
        monitor(),
        "spec.endpoints.0: federates at whatever interval everything has; set `interval: 5m` or more on the job",
        shortest="5m",
    ),
    unjudged("intervals", job(scrape_interval=UNKNOWN), f"{JOB}.scrape_interval"),
    passes("readable-jobs", more_jobs("more"), made("Secret", "more", api="core/v1", data={"a": ""}), release()),
    passes("readable-jobs", more_jobs("more"), elsewhere=["more"]),
    refused(
        "readable-jobs",
        more_jobs("more"),
        "here: takes jobs from a Secret that no policy sees; make it in the program, or name it in `elsewhere`",
    ),
    Case(
        "readable-jobs",
        (more_jobs("more"), made("Secret", "more", api="core/v1", stringData=UNKNOWN)),
        unjudged="not judged, because not known yet: more: stringData",
    ),
    passes("honor-labels", made("Secret", api="core/v1", stringData=UNKNOWN)),
    passes("remote-write-auth", release({"remoteWrite": [{"url": UNKNOWN, "basicAuth": {"username": {"name": "a"}}}]})),
    passes("remote-write-auth", release({"remoteWrite": [{"url": UNKNOWN, "tlsConfig": {"certFile": "/a"}}]})),
    passes("remote-write-auth", release({"remoteWrite": [{"url": "http://relay.storage.svc:9090/write"}]})),
    passes("remote-write-auth", release({"remoteWrite": [{"url": "https://a.example", "sigv4": {"region": "x"}}]})),
    refused(
        "remote-write-auth",
        release({"remoteWrite": [{"url": "https://svc.example.com"}]}),
        f"{SPEC}.remoteWrite.0: writes without a credential; give the queue `basicAuth` or a client certificate",
    ),
    refused(
        "remote-write-auth",
        release({"remoteWrite": [{"url": "https://192.0.2.1"}]}),
        f"{SPEC}.remoteWrite.0: writes without a credential; give the queue `basicAuth` or a client certificate",
    ),
    refused(
        "remote-write-auth",
        made("PrometheusAgent", spec={"remoteWrite": [{"url": "https://192.0.2.1", "tlsConfig": {}}]}),
        "spec.remoteWrite.0: writes without a credential; give the queue `basicAuth` or a client certificate",
    ),
    unjudged("remote-write-auth", release({"remoteWrite": UNKNOWN}), f"{SPEC}.remoteWrite"),
    passes(
        "receiver-auth",
        release(),
        service("LoadBalancer", port=9443, targetPort="gateway"),
        service("ClusterIP", port=9090),
    ),
    passes("receiver-auth", made("HTTPRoute", spec={"rules": [{"backendRefs": [{"name": "gateway", "port": 9443}]}]})),
    refused(
        "receiver-auth",
        release(
            {"hostNetwork": True},
            prometheus={
                "service": {"type": "LoadBalancer", "externalIPs": ["192.0.2.1"]},
                "ingress": {"enabled": True},
                "route": {"main": {"enabled": True}},
            },
        ),
        f"values.prometheus.service.type: a Service publishes port 9090, {GATEWAY}",
        f"values.prometheus.service.externalIPs: a Service publishes port 9090, {GATEWAY}",
        f"values.prometheus.ingress.enabled: an Ingress leads to port 9090, {GATEWAY}",
        f"values.prometheus.route.main.enabled: a route leads to port 9090, {GATEWAY}",
        f"{SPEC}.hostNetwork: Prometheus listens on its node, {GATEWAY}",
    ),
    *(
        refused("receiver-auth", resource, f"spec.ports.0: a Service publishes port 9090, {GATEWAY}")
        for resource in (
            service("NodePort", port=80, targetPort=9090),
            service("LoadBalancer", port=9090),
            service("NodePort", port=80, targetPort="http-web"),
        )
    ),
    refused(
        "receiver-auth",
        made("Ingress", spec={"rules": [{"http": {"paths": [{"backend": {"service": {"port": {"number": 9090}}}}]}}]}),
        f"spec.rules.0.http.paths.0.backend.service: an Ingress leads to port 9090, {GATEWAY}",
    ),
    refused(
        "receiver-auth",
        made("HTTPRoute", spec={"rules": [{"backendRefs": [{"port": 9090}]}]}),
        f"spec.rules.0.backendRefs.0: a route leads to port 9090, {GATEWAY}",
    ),
    unjudged("receiver-auth", service(UNKNOWN, port=9090), "spec.type"),
    passes(
        "tls", job(), release({"remoteWrite": [{"url": "https://192.0.2.1"}, {"url": "http://a.b.svc:9090/write"}]})
    ),
    passes("tls", job(scheme="http", static_configs=None, kubernetes_sd_configs=[{"role": "service"}])),
    refused(
        "tls",
        job(scheme=None, tls_config={"insecure_skip_verify": True}),
        f"{JOB}.tls_config.insecure_skip_verify: believes any certificate; "
        "name the authority in `ca_file` or `ca` instead",
        f"{JOB}: federates another cluster in clear; set `scheme: https` on the job",
    ),
    refused(
        "tls",
        release({"remoteWrite": [{"url": "HTTP://192.0.2.1/api/v1/write"}]}),
        f"{SPEC}.remoteWrite.0.url: writes to another cluster in clear; write to an `https://` address",
    ),
    refused(
        "tls",
        in_secret({**GOOD, "tls_config": {"insecure_skip_verify": True}}),
        "data.more.yaml.0.tls_config.insecure_skip_verify: believes any certificate; "
        "name the authority in `ca_file` or `ca` instead",
    ),
    unjudged("tls", release({"remoteWrite": [{"url": UNKNOWN}]}), f"{SPEC}.remoteWrite.0.url"),
    passes("no-inline-secrets", job(), in_secret({**GOOD, "basic_auth": {"password": "correct-horse"}})),
    passes("no-inline-secrets", release({"remoteWrite": [{"basicAuth": {"password": {"name": "a", "key": "b"}}}]})),
    refused(
        "no-inline-secrets",
        job(basic_auth={"username": "eu", "password": "correct-horse"}),
        f"{JOB}.basic_auth.password: a secret in clear; keep it in a Secret and name that",
    ),
    refused(
        "no-inline-secrets",
        release({"remoteWrite": [{"url": "https://eu:correct-horse@192.0.2.1/write"}]}),
        f"{SPEC}.remoteWrite.0.url: a URL with a password in clear; keep it in a Secret and name that",
    ),
    refused(
        "no-inline-secrets",
        release({"containers": [{"env": [{"name": "API_TOKEN", "value": "correct-horse"}]}]}),
        f"{SPEC}.containers.0.env.0.value: a secret variable in clear; "
        "keep it in a Secret and name that in `valueFrom.secretKeyRef`",
    ),
    refused(
        "no-inline-secrets",
        in_config_map({**GOOD, "basic_auth": {"password": "correct-horse"}}),
        "data.prometheus.yml.scrape_configs.0.basic_auth.password: a secret in clear; "
        "keep it in a Secret and name that",
    ),
    refused(
        "no-inline-secrets",
        made("ConfigMap", api="core/v1", data={"tls.key": "-----BEGIN EC PRIVATE KEY-----\ncorrect-horse\n"}),
        "data.tls.key: a private key in clear; keep it in a Secret and name that",
    ),
    passes("no-inline-secrets", release(grafana=data_source("$__env{MIMIR_PASSWORD}"))),
    passes("no-inline-secrets", release(grafana=data_source("$MIMIR_PASSWORD"))),
    refused(
        "no-inline-secrets",
        job(basic_auth={"username": "eu", "password": "$correct-horse"}),
        f"{JOB}.basic_auth.password: a secret in clear; keep it in a Secret and name that",
    ),
    refused(
        "no-inline-secrets",
        release(grafana=data_source("correct-horse")),
        "values.grafana.additionalDataSources.0.secureJsonData.basicAuthPassword: a secret in clear; "
        "keep it in a Secret and name that",
    ),
    unjudged("no-inline-secrets", job(basic_auth={"password": UNKNOWN}), f"{JOB}.basic_auth.password"),
    passes("network-policy", release(), made("NetworkPolicy", api="networking.k8s.io/v1", spec={})),
    passes("network-policy", release(prometheus={"networkPolicy": {"enabled": True}})),
    refused(
        "network-policy",
        release(),
        "here: no NetworkPolicy is in the namespace of this Prometheus; deny by default and allow what is needed",
    ),
    unjudged("network-policy", made("Prometheus", metadata=UNKNOWN), "here: metadata"),
    passes("chart-pinned", chart(**OFFICIAL), chart(chart="./charts/kube-prometheus-stack")),
    passes("chart-pinned", Made(release().type, "web", {"chart": "nginx", "values": {"replicas": 2}})),
    refused(
        "chart-pinned",
        chart(repositoryOpts={"repo": "https://charts.example.com"}, version="^88"),
        f"repositoryOpts.repo: is none of the allowed sources; take the chart from {SOURCES}",
        "version: is no exact version; name one, as in `version: 88.5.3`",
    ),
    refused(
        "chart-pinned",
        chart(chart=OFFICIAL["chart"]),
        "version: is no exact version; name one, as in `version: 88.5.3`",
    ),
    unjudged("chart-pinned", chart(**{**OFFICIAL, "version": UNKNOWN}), "version"),
    passes("image-registry", release()),
    passes("image-registry", release(**{"global": {"imageRegistry": "a.b"}}), registries=["a.b"]),
    refused(
        "image-registry",
        release({"containers": [{"image": "docker.io/caddy"}]}),
        "values.global.imageRegistry: the chart takes its images from the internet; set it to a.b",
        f"{SPEC}.containers.0.image: is none of the allowed registries; take it from a.b",
        registries=["a.b"],
    ),
    refused(
        "image-registry",
        made("Prometheus", spec={"thanos": {"image": "quay.io/thanos/thanos"}}),
        "spec.thanos.image: is none of the allowed registries; take it from a.b",
        registries=["a.b"],
    ),
    refused(
        "image-registry",
        made("Prometheus", spec={"image": "quay.io/prometheus/prometheus"}),
        "spec.image: is none of the allowed registries; take it from a.b",
        registries=["a.b"],
    ),
    unjudged("image-registry", made("Prometheus", spec={"image": UNKNOWN}), "spec.image", registries=["a.b"]),
    passes("retention-and-storage", release({"storageSpec": VOLUME, "retentionSize": "42GiB", "retention": "1y"})),
    passes("retention-and-storage", release({"retention": "2d"}), persistent=False),
    refused(
        "retention-and-storage",
        release({"retention": "0"}),
        f"{SPEC}.storageSpec: what this Prometheus knows is lost with its pod; give it a `volumeClaimTemplate`",
        f"{SPEC}.retention: is not bounded; set `retention: 400d` or less",
    ),
    refused(
        "retention-and-storage",
        made("Prometheus", spec={"storage": VOLUME, "retention": "3y"}),
        "spec.retention: is not bounded; set `retention: 400d` or less",
        "spec.retentionSize: a full volume stops Prometheus for good; set it to 85 % of the volume, "
        "as in `retentionSize: 42GiB`",
    ),
    unjudged(
        "retention-and-storage",
        release({"storageSpec": VOLUME, "retentionSize": "42GiB", "retention": UNKNOWN}),
        f"{SPEC}.retention",
    ),
    passes("resources", release({"resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "1Gi"}}})),
    refused(
        "resources",
        made("PrometheusAgent", spec={"resources": {"requests": {"memory": "1Gi"}}}),
        "spec.resources.requests.cpu: nothing says how much this Prometheus may use; set it",
        "spec.resources.limits.memory: nothing says how much this Prometheus may use; set it",
    ),
    unjudged("resources", release({"resources": UNKNOWN}), f"{SPEC}.resources", required=["requests.cpu"]),
    passes("external-labels", server("eu-1"), server("eu-2")),
    refused(
        "external-labels",
        (server("eu-1"), made("Prometheus", "other", spec={"externalLabels": {"cluster": "eu-1", "level": "cluster"}})),
        f"eu-1: {SPEC}.externalLabels: the same labels as other; give each a `cluster` of its own",
        "other: spec.externalLabels: the same labels as eu-1; give each a `cluster` of its own",
    ),
    refused(
        "external-labels",
        release(),
        f"here: {SPEC}.externalLabels: nothing says whose series these are; "
        "set a label, as in `externalLabels: {cluster: eu-1}`",
    ),
    unjudged(
        "external-labels", release({"externalLabels": {"cluster": UNKNOWN}}), f"here: {SPEC}.externalLabels.cluster"
    ),
    passes(
        "rules-keep-labels", rules(RULE, {"record": "cluster:a:sum", "expr": "sum(a)"}, {"alert": "A", "expr": "a"})
    ),
    refused(
        "rules-keep-labels",
        rules({**RULE, "expr": "sum by (job) (cluster:cpu:sum)"}, {**RULE, "expr": "sum ("}),
        "spec.groups.0.rules.0.expr: records region:* without region; aggregate `by (region, …)`",
        "spec.groups.0.rules.1.expr: does not parse; no Prometheus evaluates it",
    ),
    refused(
        "rules-keep-labels",
        release(
            additionalPrometheusRulesMap={"mine": {"groups": [{"rules": [{**RULE, "record": "region:cluster_cpu"}]}]}}
        ),
        "values.additionalPrometheusRulesMap.mine.groups.0.rules.0.expr: records region:cluster_* without cluster; "
        "aggregate `by (region, cluster, …)`",
    ),
    unjudged("rules-keep-labels", rules({**RULE, "expr": UNKNOWN}), "spec.groups.0.rules.0.expr"),
    passes(
        "longer-than-child",
        server("eu-1", evaluationInterval="30s"),
        server("eu", "regional", additionalScrapeConfigs=[asking("eu-1")]),
    ),
    refused(
        "longer-than-child",
        (
            server("eu-1", evaluationInterval="2m"),
            server("eu", "regional", additionalScrapeConfigs=[asking("eu-1")]),
        ),
        f"eu: {JOB}.scrape_interval: federates eu-1 more often than that has anything new; raise it",
    ),
    passes("way-up", server("eu-1"), server("hub", "global", additionalScrapeConfigs=[asking("eu-1")])),
    passes("way-up", server("eu-1", remoteWrite=[{"name": "hub", "url": UNKNOWN}]), server("hub", "global")),
    passes(
        "way-up",
        server("eu-1", remoteWrite=[{"name": "thanos", "url": UNKNOWN}]),
        server("hub", "global", additionalScrapeConfigs=[asking("eu-1")]),
    ),
    passes("rules-keep-labels", rules({"record": "region:own_heartbeat:timestamp", "expr": "vector(time())"})),
    passes("way-up", server("eu-1"), elsewhere=True),
    passes(
        "way-up",
        server("eu-1", remoteWrite=[{"name": "hub", "url": UNKNOWN}]),
        server("hub", "global", additionalScrapeConfigs=[asking("eu-1")]),
        both=["eu-1"],
    ),
    refused(
        "way-up",
        (server("eu-1", remoteWrite=[{"url": "https://192.0.2.1/api/v1/push"}]), server("hub", "global")),
        "eu-1: nobody federates it and it writes to nobody; add a job to its parent, or a `remoteWrite`",
    ),
    refused(
        "way-up",
        (
            server("eu-1", remoteWrite=[{"url": "https://192.0.2.1/api/v1/write"}]),
            server("hub", "global", additionalScrapeConfigs=[asking("eu-1")]),
        ),
        "eu-1: 2 ways up carry its series twice; take one away, or name it in the setting `both` of this policy",
    ),
    unjudged("way-up", server("eu-1", remoteWrite=UNKNOWN), f"eu-1: {SPEC}.remoteWrite", elsewhere=False),
    passes("no-cycle", server("eu-1"), server("hub", "global", additionalScrapeConfigs=[asking("eu-1")])),
    refused(
        "no-cycle",
        (
            server("eu-1", remoteWrite=[{"name": "hub", "url": UNKNOWN}]),
            server("hub", "global", remoteWrite=[{"name": "eu-1", "url": UNKNOWN}]),
        ),
        "eu-1: its series come back to it on their way up; take one of the jobs or queues away",
        "hub: its series come back to it on their way up; take one of the jobs or queues away",
    ),
    unjudged("no-cycle", server("eu-1", remoteWrite=UNKNOWN), f"eu-1: {SPEC}.remoteWrite"),
    passes("high-availability", server("eu-1")),
    passes("high-availability", server("eu-1", replicas=2), server("eu-2"), tiers=["leaf"], **{"except": ["eu-2"]}),
    refused(
        "high-availability",
        server("eu-1", replicas=1),
        f"eu-1: {SPEC}.replicas: one Prometheus is one that may be missing; set `replicas: 2`",
        tiers=["leaf"],
    ),
    unjudged("high-availability", server("eu-1", replicas=UNKNOWN), f"eu-1: {SPEC}.replicas", tiers=["leaf"]),
    passes("keep-storage", server("hub", "global", storageSpec=VOLUME), kept=["hub"]),
    passes("keep-storage", kept=["hub"], allowed=["hub"]),
    refused(
        "keep-storage",
        (server("other", "global", storageSpec=VOLUME),),
        "hub: its storage is not in this stack any more; bring it back, or name it in the setting `allowed`",
        "other: its storage is deleted unseen if it ever goes; name it in the setting `kept`",
        kept=["hub"],
    ),
    refused(
        "keep-storage",
        server("hub", "global", persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete"}),
        f"hub: {SPEC}.persistentVolumeClaimRetentionPolicy.whenDeleted: "
        "deletes what the fleet knows along with the object; set it to `Retain`",
    ),
    unjudged(
        "keep-storage",
        server("hub", "global", persistentVolumeClaimRetentionPolicy=UNKNOWN),
        f"hub: {SPEC}.persistentVolumeClaimRetentionPolicy",
    ),
    passes("no-generated-ca", Made("tls:index/selfSignedCert:SelfSignedCert", "ca", {"isCaCertificate": True})),
    refused(
        "no-generated-ca",
        Made("tls:index/selfSignedCert:SelfSignedCert", "ca", {"isCaCertificate": True}),
        "ca: the state of this stack holds an authority's key; take certificates from an issuer",
        forbidden=True,
    ),
    unjudged(
        "no-generated-ca",
        Made("tls:index/selfSignedCert:SelfSignedCert", "ca", {"isCaCertificate": UNKNOWN}),
        "ca: isCaCertificate",
        forbidden=True,
    ),
    unjudged(
        "longer-than-child",
        server("eu", "regional", additionalScrapeConfigs=UNKNOWN),
        f"eu: {JOB.removesuffix('.0')}",
    ),
)
