"""Volumes as they are asked for, by the operator for Prometheus and Alertmanager, and for what it does not know."""

from fleet.page import Storage


def volume_claim(storage: Storage) -> dict[str, object]:
    return {"volumeClaimTemplate": {"spec": claim_spec(storage)}}


def claim_spec(storage: Storage) -> dict[str, object]:
    spec: dict[str, object] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": storage.size}},
    }
    if storage.class_ is not None:
        spec["storageClassName"] = storage.class_
    return spec


KEPT = {"whenDeleted": "Retain", "whenScaled": "Retain"}
"""Kubernetes' own default, said here so that no other default of an operator or a chart deletes volumes."""
