"""Scrape jobs in Prometheus's own form."""

from fleet.duration import format_duration
from fleet.names import FEDERATION_CREDENTIALS
from fleet.plan import FederationEdge

Job = dict[str, object]

_CREDENTIALS = f"/etc/prometheus/secrets/{FEDERATION_CREDENTIALS}"


def federation_job(edge: FederationEdge, address: object) -> Job:
    """The parent's job for one child; `address` is the child's gateway, `host:port` (an Output in the program)."""
    interval = format_duration(edge.interval)
    return {
        "job_name": edge.job,
        # Aggregates come with the child's own labels; without this they would be renamed to exported_*.
        "honor_labels": True,
        # A series that vanishes below must vanish here, not live on for five minutes.
        "track_timestamps_staleness": True,
        "metrics_path": "/federate",
        "params": {"match[]": list(edge.matches)},
        "scheme": edge.scheme,
        "scrape_interval": interval,
        "scrape_timeout": format_duration(edge.timeout),
        "sample_limit": edge.sample_limit,
        "body_size_limit": f"{edge.body_size_limit // 2**20}MB",
        "basic_auth": {"username": edge.caller, "password_file": f"{_CREDENTIALS}/{edge.child}"},
        # Relabelling never touches `up` and `scrape_*`: the target carries the labels as well.
        "static_configs": [{"targets": [address], "labels": dict(edge.labels)}],
        "metric_relabel_configs": [*_provenance(edge), *_DROP_LABELS_OF_THE_PATH],
    }


# What an aggregate carries only because of how it travelled: the scrape's job and instance, the child's replica.
_DROP_LABELS_OF_THE_PATH = [{"action": "labeldrop", "regex": "job|instance|prometheus|prometheus_replica"}]


def _provenance(edge: FederationEdge) -> list[dict[str, object]]:
    """With honor_labels a child could speak for another: the parent overwrites what it knows better."""
    overwrite: list[dict[str, object]] = [
        {"action": "replace", "target_label": label, "replacement": value} for label, value in edge.labels.items()
    ]
    if edge.asserts_cluster:
        return overwrite
    # A region speaks for several clusters, so `cluster` is confined, not overwritten; empty is the region's own.
    confine: dict[str, object] = {
        "action": "keep",
        "source_labels": ["cluster"],
        "regex": "|".join(("", *edge.clusters)),
    }
    return [*overwrite, confine]


def annotated_pods_job() -> Job:
    """Pods that ask to be scraped by annotation: `prometheus.io/{scrape,port,path,scheme}`."""
    annotation = "__meta_kubernetes_pod_annotation_prometheus_io"
    return {
        "job_name": "annotated-pods",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            {"action": "keep", "source_labels": [f"{annotation}_scrape"], "regex": "true"},
            {"action": "drop", "source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Succeeded|Failed"},
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
