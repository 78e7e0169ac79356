"""Volumes as the operator asks for them, for Prometheus and Alertmanager alike."""

from fleet.page import Storage


def volume_claim(storage: Storage) -> dict[str, object]:
    spec: dict[str, object] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": storage.size}},
    }
    if storage.class_ is not None:
        spec["storageClassName"] = storage.class_
    return {"volumeClaimTemplate": {"spec": spec}}


KEPT = {"whenDeleted": "Retain", "whenScaled": "Retain"}
"""Kubernetes' own default, said here so that no other default of an operator or a chart deletes volumes."""
