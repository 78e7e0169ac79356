"""What pods may do, as parts of chart values: not more than their work takes, whatever a chart's defaults are.

User ids stay those of the chart: they go with its images. The operator locks its own containers in this way itself.
"""

from typing import TypeAlias

Part: TypeAlias = dict[str, object]

POD: Part = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}

CONTAINER: Part = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

_TOKEN = "api-access"  # noqa: S105 (a volume's name)

# Where client-go looks for them, and so Prometheus, its service discovery and the chart's kubelet monitors.
TOKEN_MOUNT: Part = {"name": _TOKEN, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}


def restrictions() -> Part:
    """For whatever the chart itself makes pods of; Prometheus and Alertmanager have theirs beside their own values."""
    return {
        "crds": {"upgradeJob": {"podSecurityContext": POD, "containerSecurityContext": CONTAINER}},
        "kube-state-metrics": {"securityContext": POD, "containerSecurityContext": CONTAINER},
        "prometheus": {"serviceAccount": {"automountServiceAccountToken": False}},
        "prometheus-node-exporter": {
            "securityContext": POD,
            "containerSecurityContext": CONTAINER,
            # Of the pod as well, in this chart.
            "serviceAccount": {"automountServiceAccountToken": False},
        },
        "prometheusOperator": {
            "securityContext": POD,
            "containerSecurityContext": CONTAINER,
            "admissionWebhooks": {
                "patch": {"securityContext": POD},
                "createSecretJob": {"securityContext": CONTAINER},
                "patchWebhookJob": {"securityContext": CONTAINER},
                "deployment": {"securityContext": POD, "containerSecurityContext": CONTAINER},
            },
        },
    }


def prometheus_container() -> Part:
    """For `prometheusSpec.containers`, merged into the operator's own: it alone of its pod has a token."""
    return {"name": "prometheus", "volumeMounts": [TOKEN_MOUNT]}


def token_volume() -> Part:
    """What Kubernetes mounts into every container of a pod with `automountServiceAccountToken`, for one to mount."""
    namespace = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    sources = [
        # An hour, which the kubelet renews; 3607, Kubernetes' own, is what API servers stretch to a year.
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": _TOKEN, "projected": {"sources": sources}}
