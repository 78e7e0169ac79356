"""A release's chart and values: where they come from, what they are worth as inputs."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

import yaml
from pulumi.provider.experimental.property_value import PropertyValue

from local.standins.host import StandInError
from local.standins.properties import Json, JsonObject, plain, pluck, pluck_map, pluck_str

KEPT_WHEN_EMPTY: Final = {"maxHistory"}
NO_INPUTS: Final = {"valueYamlFiles", "resourceNames", "manifest", "compat", "status", "__defaults"}


def merge(base: JsonObject, over: Mapping[str, Json]) -> JsonObject:
    """Deep for maps; anything else, null included, replaces."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def release_inputs(given: Mapping[str, PropertyValue]) -> JsonObject:
    """What the official plugin keeps: values files merged under the values, empty inputs left out."""
    inputs = {key: plain(value) for key, value in given.items() if key not in NO_INPUTS}
    values = inputs.get("values")
    if values is None or isinstance(values, dict):
        inputs["values"] = merge(_files(given.get("valueYamlFiles")), values or {})
    inputs["repositoryOpts"] = {key: value for key, value in pluck_map(inputs, "repositoryOpts").items() if value}
    return {
        key: value
        for key, value in inputs.items()
        if value not in (None, False, "", 0, {}, []) or key in KEPT_WHEN_EMPTY
    }


def _files(files: PropertyValue | None) -> JsonObject:
    try:
        texts = plain(files) if files else None
    except OSError as error:
        raise StandInError(f"valueYamlFiles: {error.filename}: {error.strerror}") from None
    merged: JsonObject = {}
    for text in texts if isinstance(texts, list) else []:
        try:
            content = cast("Json", yaml.load(str(text), yaml.CSafeLoader))
        except yaml.YAMLError:
            raise StandInError("valueYamlFiles: a file is no YAML") from None
        if isinstance(content, dict):
            merged = merge(merged, content)
    return merged


def local_chart(inputs: JsonObject) -> Path | None:
    """The chart's folder or archive, None where it is a reference. Raises StandInError for a path to nothing."""
    chart = pluck_str(inputs, "chart")
    if not chart:
        raise StandInError("the release names no chart")
    if pluck(inputs, "repositoryOpts", "repo") or chart.startswith("oci://") or "://" in chart:
        return None
    path = Path(chart)
    if path.is_file() or (path / "Chart.yaml").is_file():
        return path
    if chart.startswith((".", "/")):
        raise StandInError(
            f"there is no chart at {path.absolute()}; give a folder with a Chart.yaml, an archive or a reference"
        )
    return None


def chart_version(folder: Path) -> str:
    try:
        metadata = cast("Json", yaml.load((folder / "Chart.yaml").read_text(), yaml.CSafeLoader))
    except (OSError, yaml.YAMLError) as error:
        raise StandInError(f"{folder / 'Chart.yaml'} cannot be read: {error}") from None
    return pluck_str(metadata, "version")


def checksum(chart: Path, *, own_files_only: bool) -> str:
    """Of everything that the chart consists of; of its own files only where helm fetches its dependencies anew."""
    digest = hashlib.sha256()
    files = [chart] if chart.is_file() else sorted(path for path in chart.rglob("*") if path.is_file())
    for file in files:
        relative = file.relative_to(chart) if file != chart else Path(chart.name)
        if own_files_only and (relative.parts[0] == "charts" or relative.name == "Chart.lock"):
            continue
        digest.update(f"{relative}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
