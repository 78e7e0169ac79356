"""What the chart makes of its values: `helm template`, with charts from registries kept by version."""

import asyncio
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from fleet import versions
from fleet.names import PROJECT, RELEASE
from fleet.review.description import ChartRef, ClusterSide, Object
from fleet.review.running import Done, run

PULL_SECONDS = 120
"""Within which a registry has to have sent a chart."""


class MissingChartError(Exception):
    """The chart cannot be had on this machine. The text says which and why; the pull request may be right."""


class RenderError(Exception):
    """The chart refuses its values. The text is Helm's."""


@dataclass(frozen=True, slots=True)
class Chart:
    ref: ChartRef
    place: Path
    """Folder, or archive."""
    version: str
    digest: str
    """Of its contents: those of a folder may change without its version."""


async def find_chart(ref: ChartRef, roots: Sequence[Path]) -> Chart:
    """A path is looked for in each of `roots` in turn: one that is built there is in no commit.

    Raises MissingChartError.
    """
    if ref.is_pinned:
        archive = await _pulled(ref)
        return Chart(ref, archive, str(ref.version), _digest([archive]))
    for root in roots:
        place = root / ref.source
        if (place / "Chart.yaml").exists():
            files = sorted(each for each in place.rglob("*") if each.is_file())
            return Chart(ref, place, _version(place / "Chart.yaml"), _digest(files, place))
    raise MissingChartError(f"there is no chart in {ref.source}; FLEET_CHART can name another one")


def _version(file: Path) -> str:
    """Helm itself says what is wrong with a chart that has none."""
    try:
        said = cast("object", yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    return str(cast("Mapping[str, object]", said).get("version", "")) if isinstance(said, Mapping) else ""


async def _pulled(ref: ChartRef) -> Path:
    cache = _cache()
    # The same name at another registry is another chart.
    place = hashlib.sha256(ref.source.encode()).hexdigest()[:12]
    archive = cache / f"{ref.source.rpartition('/')[2]}-{ref.version}-{place}.tgz"
    if archive.exists():
        return archive
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".pull-", ignore_cleanup_errors=True) as folder:
        try:
            async with asyncio.timeout(PULL_SECONDS):
                command = ("pull", ref.source, "--version", str(ref.version), "--destination", folder)
                done = await _helm(*command)
        except TimeoutError:
            raise MissingChartError(f"{ref.source} {ref.version}: no answer within {PULL_SECONDS} s") from None
        found = _archives(folder)
        if done.status or len(found) != 1:
            raise MissingChartError(f"{ref.source} {ref.version}: {_last(done.err)}")
        # In one step: another run may be reading here.
        found[0].replace(archive)
    return archive


def _archives(folder: str) -> list[Path]:
    return [*Path(folder).glob("*.tgz")]


def _cache() -> Path:
    """Beside what `make env` keeps; the XDG specification wants absolute paths or else its default."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / PROJECT / "charts"


def _digest(files: Iterable[Path], top: Path | None = None) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        name = file.relative_to(top) if top is not None else file.name
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


async def rendered(chart: Chart, cluster: ClusterSide, slots: asyncio.Semaphore) -> tuple[Object, ...]:
    """What the chart makes for `cluster`. Raises RenderError, and MissingChartError without Helm."""
    command = ["template", RELEASE, str(chart.place), "--namespace", cluster.namespace, "--values", "-"]
    async with slots:
        done = await _helm(*command, "--kube-version", f"{versions.POD_SECURITY}.0", given=json.dumps(cluster.values))
        if done.status:
            raise RenderError(_last(done.err))
        # The C loader, in a thread: charts are hundreds of kilobytes.
        try:
            return await asyncio.to_thread(_objects, done.out)
        except yaml.YAMLError as error:
            raise RenderError(f"what it makes is no YAML: {getattr(error, 'problem', error)}") from None


def _objects(text: str) -> tuple[Object, ...]:
    documents = cast("Iterable[object]", yaml.load_all(text, Loader=_Loader))
    return tuple(each for document in documents for each in _listed(document))


class _Loader(yaml.CSafeLoader):
    """Dates stay the text that Kubernetes has."""


_Loader.yaml_implicit_resolvers = {
    key: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for key, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _listed(document: object) -> list[Object]:
    if not isinstance(document, Mapping) or "kind" not in document:
        return []
    found = cast("Object", document)
    items = found.get("items")
    if str(found["kind"]).endswith("List") and isinstance(items, list):
        return [each for item in items for each in _listed(item)]
    return [found]


async def _helm(*arguments: str, given: str = "") -> Done:
    try:
        return await run("helm", *arguments, given=given)
    except FileNotFoundError:
        message = "helm is not on PATH (on the local fleet, `. .local/env` puts it there)"
        raise MissingChartError(message) from None


def _last(said: str) -> str:
    """Helm's reason, without its advice, warnings and the paths of this machine."""
    lines = [line for line in said.splitlines() if line.startswith("Error: ")] or said.strip().splitlines()[-1:]
    return re.sub(r"(?<![\w.:/-])/\S*/", "", lines[0].removeprefix("Error: ")) if lines else "helm says nothing"
