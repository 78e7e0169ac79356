"""The Thanos sidecar of a leaf's Prometheus, as parts of chart values: it lays blocks into the bucket, and no more."""

from collections.abc import Mapping

from fleet import versions
from fleet.names import OBJECTS_MARK, THANOS_OBJECTS
from fleet.page import Amounts, ObjectStorage, Resources

LITTLE = Resources(requests=Amounts(cpu="20m", memory="64Mi"))
"""For what the page says nothing of."""


def sidecar(registry: str | None, bucket: ObjectStorage, mark: object = None) -> Mapping[str, object]:
    """Of `prometheusSpec`; `registry` is a mirror, and `mark` changes with what the program says of the bucket.

    That a block is compacted only once it is in the bucket is for the operator to see to, which goes by the version.
    """
    image = versions.pulled_from(registry, versions.THANOS_IMAGE)
    spec = {
        "image": image,
        "version": image.rpartition(":")[2],
        # It would answer whoever calls, and only the Prometheus beside it has something to ask.
        "grpcListenLocal": True,
        "httpListenLocal": True,
        "objectStorageConfig": {"existingSecret": {"name": bucket.secret or THANOS_OBJECTS, "key": bucket.key}},
        "resources": LITTLE.model_dump(exclude_none=True, exclude_defaults=True),
    }
    return {"thanos": spec, **({"podMetadata": {"annotations": {OBJECTS_MARK: mark}}} if mark is not None else {})}
