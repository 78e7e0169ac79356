"""Which fields of which kinds Kubernetes cannot change in place; a change of one replaces the object."""

from typing import Final

from local.standins.diffs import ANY, Path
from local.standins.kubernetes.config import Settings
from local.standins.properties import JsonObject, pluck, pluck_str

_POD: Final = [
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "volumes",
]
_CONTAINER: Final = [
    "args",
    "command",
    "env",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
]
_VOLUME: Final = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
]


def _spec(*names: str) -> list[Path]:
    return [("spec", name) for name in names]


_FIELDS: Final[dict[str, list[Path]]] = {
    "apps/v1/DaemonSet": _spec("selector"),
    "apps/v1/Deployment": _spec("selector"),
    "apps/v1/StatefulSet": _spec(
        "podManagementPolicy", "revisionHistoryLimit", "selector", "serviceName", "volumeClaimTemplates"
    ),
    "batch/v1/Job": _spec("completions", "parallelism", "selector", "template"),
    "rbac.authorization.k8s.io/v1/ClusterRoleBinding": [("roleRef",)],
    "rbac.authorization.k8s.io/v1/RoleBinding": [("roleRef",)],
    "storage.k8s.io/v1/StorageClass": [("parameters",), ("provisioner",)],
    "v1/PersistentVolume": _spec(*_VOLUME),
    "v1/PersistentVolumeClaim": _spec("accessModes", "selector", "storageClassName", "volumeName"),
    "v1/Pod": [
        *_spec(*_POD),
        *(("spec", list_name, ANY, name) for list_name in ("containers", "initContainers") for name in _CONTAINER),
    ],
    "v1/ResourceQuota": _spec("scopes"),
    "v1/Secret": [("type",)],
    "v1/Service": _spec("clusterIP"),
}


def replacing_fields(inputs: JsonObject, settings: Settings) -> list[Path]:
    key = f"{pluck_str(inputs, 'apiVersion')}/{pluck_str(inputs, 'kind')}"
    fields: list[Path] = [("metadata", "name"), ("metadata", "namespace"), *_FIELDS.get(key, [])]
    frozen = pluck(inputs, "immutable") is True
    if key == "v1/Secret" and (frozen or not settings.secret_mutable):
        fields += [("data",), ("stringData",)]
    if key == "v1/ConfigMap" and (frozen or not settings.config_map_mutable):
        fields += [("data",), ("binaryData",)]
    return fields
