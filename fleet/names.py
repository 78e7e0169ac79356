"""Names that several objects must agree on; each is decided here and nowhere else."""

import re
from enum import StrEnum
from typing import Literal, get_args


class Tier(StrEnum):
    """What a cluster's Prometheus is for."""

    LEAF = "leaf"
    REGIONAL = "regional"
    GLOBAL = "global"
    EDGE = "edge"


PROJECT = "prometheus-fleet"
PAGE_KEY = f"{PROJECT}:fleet"

# The chart derives every other name from the release's; a release named after the chart keeps them short.
RELEASE = "kube-prometheus-stack"
PROMETHEUS = f"{RELEASE}-prometheus"
OPERATOR = f"{RELEASE}-operator"
ALERTMANAGER = f"{RELEASE}-alertmanager"

GATEWAY = "prometheus-gateway"
GATEWAY_CA = f"{GATEWAY}-ca"
GATEWAY_CERTIFICATE = f"{GATEWAY}-certificate"
GATEWAY_CONTAINER = "gateway"
GATEWAY_PORT = 9443
GATEWAY_READERS = "gateway-readers"
GATEWAY_ALERTMANAGER = f"{GATEWAY}-alertmanager"
ALERTMANAGER_PORT = 9093
# Among the keys of the readers, which are names of theirs: none of those has a dot.
CA_KEY = "ca.crt"
PROMETHEUS_PORT = 9090
GATEWAY_FACTS_PORT = 9444
"""On loopback: what the running gateway accepts, and its own metrics."""

THANOS = "thanos"
"""What senders call the fleet's own, and what the names of all of its parts begin with."""
ThanosPart = Literal["router", "receiver", "query", "store", "compactor"]
THANOS_PARTS: tuple[ThanosPart, ...] = get_args(ThanosPart)
# Thanos's own defaults.
THANOS_GRPC_PORT, THANOS_HTTP_PORT, THANOS_WRITE_PORT = 10901, 10902, 19291
THANOS_OBJECTS = f"{THANOS}-objects"
"""The Secret with what Thanos is told of its bucket, or the volume in place of that."""
THANOS_OBJECTS_KEY = "objstore.yml"
OBJECTS_MARK = f"{PROJECT}/objects"
"""Annotation of pods that read that Secret when they start: it changes with it."""
SIDECAR_JOB = f"{THANOS}-sidecar"

GRAFANA = f"{RELEASE}-grafana"
GRAFANA_ADMIN = "grafana-admin"
GRAFANA_ROLE = "grafana-sidecars"

FEDERATION_CREDENTIALS = "federation-credentials"
REMOTE_WRITE_CREDENTIALS = "remote-write-credentials"
DESTINATION_CREDENTIALS = "destination-credentials"
ALERT_CREDENTIALS = "alert-credentials"
ALERT_URLS = "alert-urls"
# Among the keys of the alert credentials, which begin with the name of a cluster: none of those has a dot.
ALERTMANAGERS_KEY = "alertmanagers.yaml"

# The caller's Secrets say with this key, in the form of Prometheus's file discovery, which keys they hold.
HELD_KEYS = "keys.json"
HELD_KEYS_JOB = "keys"
GATEWAY_JOB = "gateway"
FACTS_JOB = "gateway-facts"

DISCOVERY_JOB = "federate-auto-discover"
DISCOVERY_ACCOUNT = "discovery-account"
# Among the keys of the federation credentials, which are names of clusters: none of those has a dot.
DISCOVERY_KEY = "auto-discover.password"

PART_OF = "app.kubernetes.io/part-of"
TIER_LABEL = f"{PROJECT}/tier"


def authority_name(stack: str, number: int) -> str:
    """The common name of one of a stack's authorities; X.520 allows it 64 characters."""
    return f"authority {number} of {stack}"[:64]


def authority_number(name: str) -> int | None:
    """Of a common name; None where it is none of a fleet's authorities."""
    found = re.match(r"authority (\d+) of ", name)
    return int(found[1]) if found is not None else None


def top_urn(stack: str, kind: str, name: str) -> str:
    """Of a resource that has no parent but the stack."""
    return f"urn:pulumi:{stack}::{PROJECT}::{kind}::{name}"


def server_name(cluster: str) -> str:
    """What the certificate of a cluster's gateway is for: addresses change, and some are known only after `up`."""
    return f"{cluster}.{PROJECT}.internal"


def thanos_workload(part: ThanosPart) -> str:
    """Its pods', and the Service's where there is one for all of them."""
    return f"{THANOS}-{part}"


def thanos_labels(part: ThanosPart) -> dict[str, str]:
    return {"app.kubernetes.io/name": THANOS, "app.kubernetes.io/component": part}


def thanos_url(namespace: str) -> str:
    """Within the global cluster, where it answers PromQL."""
    return f"http://{thanos_workload('query')}.{namespace}.svc:{THANOS_HTTP_PORT}"


def replica_pod(number: int) -> str:
    """As the operator's StatefulSet names it."""
    return f"prometheus-{PROMETHEUS}-{number}"


REPLICA_LABEL = "prometheus_replica"
"""The operator's own name for it."""


def replica_name(cluster: str, number: int) -> str:
    """Of one of several; no cluster's or destination's own has a slash."""
    return f"{cluster}/{number}"


def replica_gateway(number: int) -> str:
    """The Service by which one replica's gateway is called."""
    return f"{GATEWAY}-{number}"


def replica_prometheus(number: int) -> str:
    """The Service by which every replica's gateway reaches that replica's Prometheus."""
    return f"{GATEWAY}-prometheus-{number}"


def service_labels(cluster: str) -> dict[str, str]:
    """Labels by which a parent finds the Service of a Prometheus that it may federate as `cluster`."""
    return {"app.kubernetes.io/name": "prometheus", "cluster": cluster}


def object_labels(tier: Tier) -> dict[str, str]:
    """Labels that every object of the fleet carries, whoever creates it."""
    return {PART_OF: PROJECT, TIER_LABEL: tier.value}
