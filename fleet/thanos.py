"""The fleet's own Thanos as Kubernetes objects: what takes samples in, what keeps them, and what answers for them.

Senders reach the router through the gateway of the global cluster; it passes each series on to some of the receivers,
which keep the newest and lay blocks into the bucket. The store reads those, the compactor makes few of many and coarse
of fine, and the query asks whoever has something. Within the cluster they know each other by the addresses of Services:
what is asked on each call should depend on no DNS server.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import yaml

from fleet import pods, versions
from fleet.duration import format_duration
from fleet.manifests import Manifest, object_metadata
from fleet.names import (
    OBJECTS_MARK,
    PART_OF,
    PROJECT,
    REPLICA_LABEL,
    THANOS,
    THANOS_GRPC_PORT,
    THANOS_HTTP_PORT,
    THANOS_OBJECTS,
    THANOS_OBJECTS_KEY,
    THANOS_WRITE_PORT,
    ThanosPart,
    thanos_labels,
    thanos_workload,
)
from fleet.page import Resources, Storage, Thanos
from fleet.plan import ClusterPlan
from fleet.queues import TAKEN_LATE
from fleet.sidecar import LITTLE
from fleet.storage import KEPT, claim_spec

TOPOLOGY = f"{THANOS}-topology"

_HASHRINGS, _ENDPOINTS = "hashrings.json", "endpoints.yaml"
_USER = 1001
"""Of the released image, which names no other."""
_REPLICA_OF_RECEIVERS = "receive_replica"
GRACE_SECONDS = 600
"""That a receiver is given to end."""
_KEPT_LOCALLY = "2d"
"""Blocks that lie in the bucket already, for queries of what is new."""


def receiver_service(number: int) -> str:
    return f"{thanos_workload('receiver')}-{number}"


def services(cluster: ClusterPlan, thanos: Thanos) -> Mapping[str, Manifest]:
    """By name. That of a single receiver stays when the pod goes, and so does what others know it by."""
    grpc, http = _port("grpc", THANOS_GRPC_PORT), _port("http", THANOS_HTTP_PORT)
    given: dict[str, tuple[Mapping[str, str], list[dict[str, object]]]] = {
        thanos_workload("router"): (thanos_labels("router"), [_port("remote-write", THANOS_WRITE_PORT)]),
        thanos_workload("query"): (thanos_labels("query"), [http]),
        thanos_workload("store"): (thanos_labels("store"), [grpc]),
    }
    for number in range(thanos.receivers):
        name = receiver_service(number)
        given[name] = ({**thanos_labels("receiver"), "statefulset.kubernetes.io/pod-name": name}, [grpc])
    found = {
        name: _manifest(cluster, "v1", "Service", name, {"type": "ClusterIP", "ports": ports, "selector": selector})
        for name, (selector, ports) in given.items()
    }
    # By which a StatefulSet names its pods.
    of_all = {"clusterIP": "None", "ports": [http], "selector": {"app.kubernetes.io/name": THANOS}}
    return {**found, THANOS: _manifest(cluster, "v1", "Service", THANOS, of_all)}


def topology(cluster: ClusterPlan, hashrings: object, endpoints: object) -> Manifest:
    """Who shares the series, and who is asked; both are read again whenever they change, and no pod starts anew."""
    return {**_object(cluster, "v1", "ConfigMap", TOPOLOGY), "data": {_HASHRINGS: hashrings, _ENDPOINTS: endpoints}}


def hashrings(receivers: Sequence[str]) -> str:
    """Of `host:port` each. One more takes over a part of the others' series; by `hashmod`, nearly all would move."""
    ring = {"hashring": "default", "algorithm": "ketama", "endpoints": [{"address": each} for each in receivers]}
    return json.dumps([ring], indent=1)


def endpoints(asked: Sequence[str]) -> str:
    """Of `host:port` each."""
    return yaml.safe_dump({"endpoints": [{"address": each} for each in asked]})


def objects_secret(cluster: ClusterPlan, config: object) -> Manifest:
    """What Thanos is told of its bucket, where that comes from the stack's config."""
    return {**_object(cluster, "v1", "Secret", THANOS_OBJECTS), "stringData": {THANOS_OBJECTS_KEY: config}}


def objects_volume(cluster: ClusterPlan, volume: Storage) -> Manifest:
    """In place of a bucket."""
    return _manifest(cluster, "v1", "PersistentVolumeClaim", THANOS_OBJECTS, claim_spec(volume))


def disruption_budget(cluster: ClusterPlan) -> Manifest:
    """Of several receivers: a node that is emptied waits until the one before is back."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": thanos_labels("receiver")}}
    return _manifest(cluster, "policy/v1", "PodDisruptionBudget", thanos_workload("receiver"), spec)


def workloads(cluster: ClusterPlan, thanos: Thanos, mark: object = None) -> Mapping[ThanosPart, Manifest]:
    """`mark` changes with the configuration of the bucket, which Thanos reads when it starts."""
    found: dict[ThanosPart, Manifest] = {}
    for part in _parts(thanos):
        keeps = part.name in _KEEPING
        spec: dict[str, object] = {
            "replicas": part.replicas,
            "selector": {"matchLabels": thanos_labels(part.name)},
            "template": _template(cluster, thanos, part, mark if keeps else None),
        }
        if keeps:
            # One more pod waits for no other; a change still goes from one to the next.
            spec |= {"serviceName": THANOS, "podManagementPolicy": "Parallel"}
        if part.storage is not None:
            spec["volumeClaimTemplates"] = [{"metadata": {"name": _DATA.name}, "spec": claim_spec(part.storage)}]
            spec["persistentVolumeClaimRetentionPolicy"] = KEPT
        kind = "StatefulSet" if keeps else "Deployment"
        found[part.name] = _manifest(cluster, "apps/v1", kind, thanos_workload(part.name), spec)
    return found


_KEEPING: frozenset[ThanosPart] = frozenset({"receiver", "store", "compactor"})
"""They read or write the bucket, and there is one of each name at any time."""


@dataclass(frozen=True, slots=True)
class _Mount:
    name: str
    path: str
    writable: bool = False


_TOPOLOGY, _OBJECTS = _Mount("topology", "/etc/thanos/topology"), _Mount("objects", "/etc/thanos/objects")
_BUCKET, _DATA = _Mount("bucket", "/bucket", writable=True), _Mount("data", "/var/thanos", writable=True)


@dataclass(frozen=True, slots=True)
class _Running:
    """What the pods of one part run."""

    name: ThanosPart
    command: Literal["receive", "query", "store", "compact"]
    flags: Sequence[str]
    mounts: Sequence[_Mount]
    ports: Mapping[str, int]
    replicas: int = 1
    storage: Storage | None = None
    """Of each pod; what it has is gone with the pod otherwise."""
    resources: Resources | None = None


def _parts(thanos: Thanos) -> Iterator[_Running]:
    several = 2 if thanos.receivers > 1 else 1
    grpc, http = {"grpc": THANOS_GRPC_PORT}, {"http": THANOS_HTTP_PORT}
    objects, flags = _bucket(thanos)
    yield _Running(
        "router",
        "receive",
        [
            # It keeps nothing, and demands a label of what it would keep.
            '--label=receive="router"',
            f"--receive.hashrings-file={_TOPOLOGY.path}/{_HASHRINGS}",
            "--receive.hashrings-algorithm=ketama",
            f"--receive.replication-factor={thanos.replication}",
        ],
        [_TOPOLOGY],
        {**http, **grpc, "remote-write": THANOS_WRITE_PORT},
        several,
    )
    yield _Running(
        "receiver",
        "receive",
        [
            f'--label={_REPLICA_OF_RECEIVERS}="$(POD_NAME)"',
            f"--tsdb.path={_DATA.path}",
            f"--tsdb.retention={_KEPT_LOCALLY}",
            f"--tsdb.out-of-order.time-window={format_duration(TAKEN_LATE)}",
            # As Prometheus itself: what is ahead of its time would make all that is on time too late.
            "--tsdb.too-far-in-future.time-window=10m",
            flags,
        ],
        [objects, _DATA],
        {**http, **grpc},
        thanos.receivers,
        thanos.storage,
        thanos.resources,
    )
    yield _Running(
        "query",
        "query",
        [
            f"--endpoint.sd-config-file={_TOPOLOGY.path}/{_ENDPOINTS}",
            "--endpoint.sd-config-reload-interval=1m",
            f"--query.replica-label={_REPLICA_OF_RECEIVERS}",
            f"--query.replica-label={REPLICA_LABEL}",
            "--query.auto-downsampling",
        ],
        [_TOPOLOGY],
        {**http, **grpc},
        several,
        resources=thanos.query.resources,
    )
    yield _Running(
        "store",
        "store",
        [f"--data-dir={_DATA.path}", *_NO_HANDS, flags],
        [objects, _DATA],
        {**http, **grpc},
        resources=thanos.store.resources,
    )
    yield _Running(
        "compactor",
        "compact",
        [
            "--wait",
            f"--data-dir={_DATA.path}",
            f"--retention.resolution-raw={format_duration(thanos.retention.raw)}",
            f"--retention.resolution-5m={format_duration(thanos.retention.five_minutes)}",
            f"--retention.resolution-1h={format_duration(thanos.retention.one_hour)}",
            # What came late lies in blocks that overlap others.
            "--compact.enable-vertical-compaction",
            *_NO_HANDS,
            *([f"--deduplication.replica-label={_REPLICA_OF_RECEIVERS}"] if thanos.replication > 1 else []),
            flags,
        ],
        [objects, _DATA],
        http,
        storage=thanos.compactor.storage or thanos.storage,
        resources=thanos.compactor.resources,
    )


_NO_HANDS = ("--web.disable", "--disable-admin-operations")
"""Whoever reaches their pages could have blocks deleted by them, and is asked for nothing."""


def _bucket(thanos: Thanos) -> tuple[_Mount, str]:
    """What is mounted to reach it, and the flag that says where it is."""
    if thanos.object_storage.volume is not None:
        config = {"type": "FILESYSTEM", "config": {"directory": _BUCKET.path}}
        return _BUCKET, f"--objstore.config={json.dumps(config)}"
    return _OBJECTS, f"--objstore.config-file={_OBJECTS.path}/{THANOS_OBJECTS_KEY}"


def _template(cluster: ClusterPlan, thanos: Thanos, part: _Running, mark: object) -> Mapping[str, object]:
    annotations = {"annotations": {OBJECTS_MARK: mark}} if mark is not None else {}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": thanos_labels(part.name)},
    }
    claimed = {_DATA} if part.storage is not None else set[_Mount]()
    return {
        "metadata": {"labels": {**thanos_labels(part.name), PART_OF: PROJECT}, **annotations},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {**pods.POD, "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER},
            # What a receiver has in memory becomes a block, and gets into the bucket, before it goes.
            "terminationGracePeriodSeconds": GRACE_SECONDS if part.name == "receiver" else 30,
            "topologySpreadConstraints": [spread],
            "containers": [_container(cluster, part)],
            "volumes": [_volume(thanos, each) for each in part.mounts if each not in claimed],
        },
    }


def _container(cluster: ClusterPlan, part: _Running) -> Mapping[str, object]:
    return {
        "name": THANOS,
        "image": versions.pulled_from(cluster.chart.registry, versions.THANOS_IMAGE),
        "args": [part.command, *part.flags],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"name": name, "containerPort": port} for name, port in part.ports.items()],
        "readinessProbe": _probe("/-/ready", period=5, failures=3),
        # A receiver that replays its log, and a compactor at a large block, answer this meanwhile.
        "livenessProbe": _probe("/-/healthy", period=30, failures=6),
        "resources": (part.resources or LITTLE).model_dump(exclude_none=True, exclude_defaults=True),
        "securityContext": pods.CONTAINER,
        "volumeMounts": [
            {"name": each.name, "mountPath": each.path, **({} if each.writable else {"readOnly": True})}
            for each in part.mounts
        ],
    }


def _probe(path: str, period: int, failures: int) -> Mapping[str, object]:
    return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "failureThreshold": failures}


def _volume(thanos: Thanos, mount: _Mount) -> Mapping[str, object]:
    given = thanos.object_storage
    items = [{"key": given.key, "path": THANOS_OBJECTS_KEY}]
    kinds: Mapping[_Mount, Mapping[str, object]] = {
        _TOPOLOGY: {"configMap": {"name": TOPOLOGY}},
        _OBJECTS: {"secret": {"secretName": given.secret or THANOS_OBJECTS, "items": items}},
        _BUCKET: {"persistentVolumeClaim": {"claimName": THANOS_OBJECTS}},
        _DATA: {"emptyDir": {}},
    }
    return {"name": mount.name, **kinds[mount]}


def _port(name: str, port: int) -> dict[str, object]:
    return {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}


def _manifest(cluster: ClusterPlan, version: str, kind: str, name: str, spec: Mapping[str, object]) -> Manifest:
    return {**_object(cluster, version, kind, name), "spec": spec}


def _object(cluster: ClusterPlan, version: str, kind: str, name: str) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": object_metadata(cluster, name)}
