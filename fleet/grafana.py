"""The Grafana beside the global Prometheus, as chart values, and what of Kubernetes its sidecars may read."""

from collections.abc import Mapping, Sequence

from fleet import pods
from fleet.names import GRAFANA_ADMIN, GRAFANA_ROLE

Config = dict[str, object]

ADMIN_USER_KEY, ADMIN_PASSWORD_KEY = "admin-user", "admin-password"

ROLE_RULES: Sequence[Mapping[str, object]] = (
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
)


def grafana(namespace: str, labels: Mapping[str, str]) -> Config:
    """The chart's `grafana`. Its data sources are the chart's own: the Prometheus and the Alertmanager beside it."""
    return {
        "enabled": True,
        "admin": {
            "existingSecret": GRAFANA_ADMIN,
            "userKey": ADMIN_USER_KEY,
            "passwordKey": ADMIN_PASSWORD_KEY,
        },
        # The chart's are of one cluster, and read series that stay below.
        "defaultDashboardsEnabled": False,
        # The chart's own Role reads every Secret beside it, and the keys of the fleet lie there.
        "rbac": {"namespaced": True, "useExistingRole": GRAFANA_ROLE},
        "sidecar": {
            "dashboards": {**_sidecar(), "searchNamespace": namespace},
            "datasources": {**_sidecar(), "searchNamespace": namespace},
            "securityContext": pods.CONTAINER,
        },
        # Grafana itself asks nothing of an API server, and shares its pod with the sidecars that do.
        "automountServiceAccountToken": False,
        "serviceAccount": {"autoMount": False},
        "extraContainerVolumes": [pods.token_volume()],
        "securityContext": pods.POD,
        "containerSecurityContext": pods.CONTAINER,
        "extraEmptyDirMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 (of its own pod)
        # It calls nobody: default-deny would let each attempt wait for its timeout.
        "grafana.ini": {"analytics": {"check_for_updates": False, "reporting_enabled": False}},
        "testFramework": {"enabled": False},
        # The other parts of the chart take its commonLabels.
        "extraLabels": dict(labels),
    }


def _sidecar() -> Config:
    """As the Role has it: where it also watches Secrets, which it does by default, it would be refused."""
    return {"resource": "configmap", "extraMounts": [pods.TOKEN_MOUNT]}
