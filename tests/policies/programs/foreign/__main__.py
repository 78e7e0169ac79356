"""Somebody else's program, which knows nothing of the fleet's and makes every mistake once."""

import json

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random
import pulumi_tls
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.helm.v3 import Release

user = {"name": "nobody", "user": {}}
cluster = {"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": True}}
context = {"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}
kubeconfig = {"apiVersion": "v1", "kind": "Config", "current-context": "nowhere"}
provider = k8s.Provider(
    "nowhere", kubeconfig=json.dumps(kubeconfig | {"users": [user], "clusters": [cluster], "contexts": [context]})
)
there = pulumi.ResourceOptions(provider=provider)
metadata = {"namespace": "watch"}
not_known_yet = pulumi_random.RandomPassword("later", length=32).result
password = pulumi.Config().require_secret("password")

Release(
    "top",
    chart="umbrella",
    version=">=1.0.0",
    namespace="watch",
    repository_opts={"repo": pulumi.Config().require("charts")},
    values={
        "monitoring": {
            "grafana": {"adminPassword": password},
            "prometheus": {
                "service": {"type": "NodePort"},
                "prometheusSpec": {
                    "externalLabels": {"level": "global"},
                    "remoteWrite": [{"url": "http://archive.example.com/api/v1/push"}],
                    "additionalScrapeConfigs": [
                        {
                            "job_name": "federate",
                            "metrics_path": "/federate",
                            "params": {"match[]": ['{__name__=~".+"}']},
                            "scrape_interval": "10s",
                            "static_configs": [{"targets": ["192.0.2.7:9443"], "labels": {"cluster": "a"}}],
                        }
                    ],
                },
            },
        }
    },
    opts=there,
)


def prometheus(name: str, **spec: object) -> None:
    CustomResource(
        name, api_version="monitoring.coreos.com/v1", kind="Prometheus", metadata=metadata, spec=spec, opts=there
    )


by_hand = {"name": "made-by-hand", "key": "jobs.yaml"}
prometheus(
    "a",
    externalLabels={"level": "cluster", "cluster": "a"},
    evaluationInterval="1m",
    additionalScrapeConfigs=by_hand,
)
prometheus("twin-of-a", externalLabels={"level": "cluster", "cluster": "a"})
prometheus("alone", externalLabels={"level": "cluster", "cluster": "alone"})
for one, other in (("x", "y"), ("y", "x")):
    prometheus(
        one, externalLabels={"level": "regional", "region": one}, remoteWrite=[{"name": other, "url": "https://o"}]
    )
CustomResource(
    "rules",
    api_version="monitoring.coreos.com/v1",
    kind="PrometheusRule",
    metadata=metadata,
    spec={"groups": [{"name": "r", "rules": [{"record": "region:cpu:sum", "expr": "sum(cluster:cpu:sum)"}]}]},
    opts=there,
)
CustomResource(
    "not-known-yet",
    api_version="monitoring.coreos.com/v1alpha1",
    kind="ScrapeConfig",
    metadata=metadata,
    spec={"metricsPath": not_known_yet},
    opts=there,
)
key = pulumi_tls.PrivateKey("authority", algorithm="ECDSA")
pulumi_tls.SelfSignedCert(
    "authority",
    private_key_pem=key.private_key_pem,
    validity_period_hours=24,
    allowed_uses=["cert_signing"],
    is_ca_certificate=True,
)
