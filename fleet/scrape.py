"""Scrape jobs in Prometheus's own form."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from fleet.duration import format_duration
from fleet.keys import inlined_key, mounted, mounted_file, password_key, tls_keys
from fleet.names import (
    DISCOVERY_JOB,
    DISCOVERY_KEY,
    FACTS_JOB,
    GATEWAY_FACTS_PORT,
    GATEWAY_JOB,
    HELD_KEYS,
    HELD_KEYS_JOB,
    PROJECT,
    SIDECAR_JOB,
    THANOS,
    THANOS_HTTP_PORT,
    service_labels,
)
from fleet.plan import AlertEdge, DiscoveredEdge, FederationEdge, OwnWriteEdge
from fleet.promql import Selector

Job = dict[str, object]


def federation_job(edge: FederationEdge, address: object) -> Job:
    """The parent's job for one child; `address` is the child's gateway, `host:port` (an Output in the program)."""
    # Relabelling never touches `up` and `scrape_*`: the target carries the labels as well.
    targets = [{"targets": [address], "labels": dict(edge.labels)}]
    return {**_federation(edge, password_key(edge)), "static_configs": targets}


def discovery_job(edge: DiscoveredEdge) -> Job:
    """The parent's job for one child that it finds in its own cluster, which is not of the fleet's making."""
    selector = ",".join(f"{label}={value}" for label, value in service_labels(edge.child).items())
    return {
        **_federation(edge, DISCOVERY_KEY),
        # Services, not endpoints: a pair of replicas is one child, and its Service decides which of them answers.
        "kubernetes_sd_configs": [
            {
                "role": "service",
                "namespaces": {"names": [edge.namespace]},
                "selectors": [{"role": "service", "label": selector}],
            }
        ],
        "relabel_configs": [
            # Only what has an address inside of the cluster: an ExternalName would carry the credential out of it.
            {
                "action": "keep",
                "source_labels": ["__meta_kubernetes_service_port_name", _SERVICE_IP],
                "regex": f"{edge.port};[0-9a-f.:]+",
            },
            _service_address("([^:]+)", "$1:$2"),
            _service_address("(.+:.+)", "[$1]:$2"),
            *_replace({**edge.labels, "job": DISCOVERY_JOB}),
        ],
        # Of two Services with one name nobody can say which is meant: beyond the limit, neither is scraped.
        "target_limit": 1,
    }


def held_keys_job(secrets: Sequence[str], inlined: Sequence[OwnWriteEdge]) -> Job:
    """Scrapes nothing: among its dropped targets this very process tells which keys it holds.

    From the mounted `secrets`, and of edges whose password is `inlined` in this configuration.
    """
    files = [mounted_file(secret, HELD_KEYS) for secret in secrets]
    return {
        "job_name": HELD_KEYS_JOB,
        # Changes are seen at once; the interval is for a watch that was lost.
        **({"file_sd_configs": [{"files": files, "refresh_interval": "10s"}]} if files else {}),
        **({"static_configs": [inlined_key(edge) for edge in inlined]} if inlined else {}),
        "relabel_configs": [{"action": "drop", "regex": ".*"}],
    }


def gateway_jobs(interval: timedelta) -> list[Job]:
    """The gateway beside this Prometheus: how it fares, and what its running configuration accepts."""
    targets = [{"targets": [f"127.0.0.1:{GATEWAY_FACTS_PORT}"]}]
    often = _often(interval)
    return [
        {"job_name": GATEWAY_JOB, **often, "static_configs": targets},
        {"job_name": FACTS_JOB, **often, "metrics_path": "/facts", "static_configs": targets},
    ]


def sidecar_job(namespace: str, interval: timedelta) -> Job:
    """The Thanos sidecar beside this Prometheus."""
    targets = [{"targets": [f"127.0.0.1:{THANOS_HTTP_PORT}"], "labels": {"namespace": namespace}}]
    return {"job_name": SIDECAR_JOB, **_often(interval), "static_configs": targets}


def _often(interval: timedelta) -> Job:
    """Whatever the pace of the fleet: what is scraped less often than every five minutes is not always there."""
    return {"scrape_interval": format_duration(min(interval, timedelta(minutes=1)))}


_SERVICE_IP = "__meta_kubernetes_service_cluster_ip"


def _service_address(ip: str, address: str) -> dict[str, object]:
    return {
        "action": "replace",
        "source_labels": [_SERVICE_IP, "__meta_kubernetes_service_port_number"],
        "regex": rf"{ip};(\d+)",
        "replacement": address,
        "target_label": "__address__",
    }


def _federation(edge: FederationEdge, password: str) -> Job:
    """What does not depend on how the child is reached."""
    interval = format_duration(edge.interval)
    return {
        "job_name": edge.job,
        # Aggregates come with the child's own labels; without this they would be renamed to exported_*.
        "honor_labels": True,
        # A series that vanishes below must vanish here, not live on for five minutes.
        "track_timestamps_staleness": True,
        "metrics_path": "/federate",
        "params": {"match[]": list(edge.matches)},
        **transport(edge),
        "scrape_interval": interval,
        "scrape_timeout": format_duration(edge.timeout),
        "sample_limit": edge.sample_limit,
        "body_size_limit": f"{edge.body_size_limit // 2**20}MB",
        **_SHAPE_LIMITS,
        # Prometheus sends the credential along, wherever a child redirects it to.
        "follow_redirects": False,
        **({"basic_auth": basic_auth(edge, password)} if edge.key.has_password else {}),
        "metric_relabel_configs": [*_provenance(edge), *_DROP_LABELS_OF_THE_PATH],
    }


def basic_auth(edge: FederationEdge | AlertEdge, key: str) -> dict[str, object]:
    """`key` of the caller's Secret holds the password."""
    return {"username": edge.caller, "password_file": mounted(edge, key)}


def transport(edge: FederationEdge | AlertEdge) -> dict[str, object]:
    """By what the caller knows the callee, and the callee the caller."""
    if edge.server is None:
        return {"scheme": "http"}
    files = {f"{field}_file": mounted(edge, key) for field, key in tls_keys(edge).items()}
    return {"scheme": "https", "tls_config": {"server_name": edge.server.name, "min_version": "TLS12", **files}}


_SHAPE_LIMITS = {
    # Above what Kubernetes itself allows (63 and 253 characters), so that no series of a planned metric meets them.
    "label_limit": 64,
    "label_name_length_limit": 256,
    "label_value_length_limit": 1024,
    # One sample may be a histogram of its own, which no other limit counts.
    "native_histogram_bucket_limit": 160,
    # The fleet's names are of the old kind; of the new one, some only look like another.
    "metric_name_validation_scheme": "legacy",
}

# What an aggregate carries only because of how it travelled: the scrape's job and instance, the child's replica.
_DROP_LABELS_OF_THE_PATH = [{"action": "labeldrop", "regex": "job|instance|prometheus|prometheus_replica"}]


def _replace(labels: Mapping[str, str]) -> list[dict[str, object]]:
    return [{"action": "replace", "target_label": label, "replacement": value} for label, value in labels.items()]


def _provenance(edge: FederationEdge) -> list[dict[str, object]]:
    """With honor_labels a child could speak for another: the parent overwrites what it knows better."""
    names = (branch for match in edge.matches for branch in Selector.parse(match).branches)
    # A child need not serve what it is asked for; `up` and `scrape_*` would tell of the parent's own targets.
    planned: dict[str, object] = {"action": "keep", "source_labels": ["__name__"], "regex": "|".join(names)}
    overwrite = _replace(edge.labels)
    if not edge.asserts_cluster:
        # A region speaks for several clusters, so `cluster` is confined, not overwritten; empty is the region's own.
        known = "|".join(("", *edge.clusters))
        return [planned, {"action": "keep", "source_labels": ["cluster"], "regex": known}, *overwrite]
    if isinstance(edge, DiscoveredEdge):
        return [planned, {"action": "labeldrop", "regex": "cluster|datacenter|environment|level|region"}, *overwrite]
    # Without a region of its own, it must not count in another's.
    return [planned, *([] if edge.region is not None else [{"action": "labeldrop", "regex": "region"}]), *overwrite]


_NOT_ENDED = {"action": "drop", "source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Succeeded|Failed"}


def thanos_job(namespace: str) -> Job:
    """Every pod of the Thanos beside this Prometheus."""
    label = "__meta_kubernetes_pod_label_app_kubernetes_io"
    wanted = {f"{label}_name": THANOS, f"{label}_part_of": PROJECT, "__meta_kubernetes_pod_container_port_name": "http"}
    return {
        "job_name": THANOS,
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [namespace]}}],
        "relabel_configs": [
            *({"action": "keep", "source_labels": [source], "regex": value} for source, value in wanted.items()),
            _NOT_ENDED,
            _copy("__meta_kubernetes_namespace", "namespace"),
            _copy("__meta_kubernetes_pod_name", "pod"),
            _copy(f"{label}_component", "component"),
        ],
    }


def annotated_pods_job() -> Job:
    """Pods that ask to be scraped by annotation: `prometheus.io/{scrape,port,path,scheme}`."""
    annotation = "__meta_kubernetes_pod_annotation_prometheus_io"
    return {
        "job_name": "annotated-pods",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            {"action": "keep", "source_labels": [f"{annotation}_scrape"], "regex": "true"},
            _NOT_ENDED,
            # A pod has one target per port; all collapse into one where the annotation names the port.
            {
                "action": "replace",
                "source_labels": ["__meta_kubernetes_pod_ip", f"{annotation}_port"],
                "regex": r"(.+);(\d+)",
                "replacement": "$1:$2",
                "target_label": "__address__",
            },
            _copy(f"{annotation}_path", "__metrics_path__"),
            _copy(f"{annotation}_scheme", "__scheme__"),
            _copy("__meta_kubernetes_namespace", "namespace"),
            _copy("__meta_kubernetes_pod_name", "pod"),
            _copy("__meta_kubernetes_pod_label_app_kubernetes_io_name", "service"),
        ],
    }


def _copy(source: str, target: str) -> dict[str, object]:
    return {"action": "replace", "source_labels": [source], "regex": "(.+)", "target_label": target}
