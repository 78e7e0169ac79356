"""Helm's record of a release: what was deployed last, kept in the cluster itself."""

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import yaml
from pydantic import BaseModel

from fleet.drift.api import Objects
from fleet.drift.drift import JsonObject
from fleet.names import RELEASE


class _RecordLabels(BaseModel):
    version: int


class _RecordMetadata(BaseModel):
    name: str
    labels: _RecordLabels


class _Metadata(BaseModel):
    version: str


class _Chart(BaseModel):
    metadata: _Metadata


class _Info(BaseModel):
    status: str


class _Record(BaseModel):
    version: int
    info: _Info
    chart: _Chart
    config: dict[str, object] | None = None
    manifest: str


@dataclass(frozen=True, slots=True)
class Release:
    revision: int
    status: str
    chart_version: str
    values: JsonObject
    objects: tuple[JsonObject, ...]
    """Without its hooks, which come and go; each with its namespace as the chart says it."""


async def release(objects: Objects, namespace: str) -> Release | None:
    """The last revision of the fleet's release; None where there is none. Raises Unreachable, and Refused."""
    secrets = await objects.kind("v1", "Secret")
    if secrets is None:
        return None
    # Without their contents: each holds the whole chart.
    records = await objects.listed(secrets, namespace, f"owner=helm,name={RELEASE}", metadata_alone=True)
    names = [_RecordMetadata.model_validate(each["metadata"]) for each in records]
    if not names:
        return None
    last = await objects.find(secrets, namespace, max(names, key=lambda each: each.labels.version).name)
    return None if last is None else _read(last)


def _read(secret: JsonObject) -> Release:
    data = cast("Mapping[str, str]", secret["data"])
    # Helm's own base64 lies within that of the Secret.
    packed = base64.b64decode(base64.b64decode(data["release"]))
    record = _Record.model_validate_json(gzip.decompress(packed))
    values = cast("JsonObject", json.loads(json.dumps(record.config or {})))
    objects = tuple(_objects(record.manifest))
    return Release(record.version, record.info.status, record.chart.metadata.version, values, objects)


class _Loader(yaml.CSafeLoader):
    """Dates stay the text that Kubernetes has."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _objects(manifest: str) -> Iterator[JsonObject]:
    for document in cast("Iterator[JsonObject | None]", yaml.load_all(manifest, Loader=_Loader)):
        if document is None:
            continue
        items = document.get("items")
        if str(document.get("kind")).endswith("List") and isinstance(items, list):
            yield from cast("list[JsonObject]", items)
        elif "kind" in document:
            yield document
