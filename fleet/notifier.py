"""How a Prometheus sends its alerts to another cluster's Alertmanager, in Prometheus's own form."""

import json

from fleet.keys import password_key
from fleet.plan import AlertEdge
from fleet.scrape import basic_auth, transport


def alertmanagers(edge: AlertEdge, address: str) -> str:
    """The additional Alertmanager configurations, as JSON, which is YAML; `address` is `host:port` of its gateway."""
    return json.dumps([_alertmanager(edge, address)], indent=2) + "\n"


def _alertmanager(edge: AlertEdge, address: str) -> dict[str, object]:
    return {
        "api_version": "v2",
        # Files whose contents change are read anew: a new key changes no configuration.
        **transport(edge),
        **({"basic_auth": basic_auth(edge, password_key(edge))} if edge.key.has_password else {}),
        # Prometheus sends the credential along, wherever it is redirected to.
        "follow_redirects": False,
        "static_configs": [{"targets": [address]}],
        # Of alerts to this Alertmanager alone. Its gateway refuses a post with any other cluster or region in it.
        "alert_relabel_configs": [
            *_confined(edge),
            *({"target_label": label, "replacement": value} for label, value in edge.labels.items()),
            # Replicas find the same: with a label of their own, Alertmanager would take it for two things.
            {"action": "labeldrop", "regex": "prometheus|prometheus_replica"},
        ],
    }


def _confined(edge: AlertEdge) -> list[dict[str, object]]:
    """A region's alert about a cluster that is none of its own becomes one of the region, and is not lost."""
    if edge.asserts_cluster:
        return [] if edge.region is not None else [{"action": "labeldrop", "regex": "region"}]
    # What nothing matches replaces nothing, and what is empty takes the label away.
    known = {"source_labels": ["cluster"], "regex": "|".join(edge.clusters), "target_label": _KNOWN}
    return [
        {**known, "replacement": "$0"},
        {"source_labels": [_KNOWN], "replacement": "$1", "target_label": "cluster"},
        {"action": "labeldrop", "regex": _KNOWN},
    ]


_KNOWN = "__tmp_cluster"
