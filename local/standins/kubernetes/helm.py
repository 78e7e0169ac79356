"""The helm CLI: how it is run, and what it keeps about a release in the cluster."""

import asyncio
import base64
import contextlib
import gzip
import json
import os
import re
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import yaml

from local.standins.host import Host, StandInError
from local.standins.kubernetes.client import MERGE_PATCH, METADATA_ONLY, Client
from local.standins.properties import Json, JsonObject, pluck, pluck_list, pluck_map, pluck_str

TICK_SECONDS: Final = 2.0
STOP_SECONDS: Final = 5.0
"""For helm to write down that it was stopped; after that it is killed."""
OWNER_LABEL: Final = "pulumi-owner"


class HelmError(StandInError):
    """helm ended with an error."""


class HelmStoppedError(HelmError):
    """helm was ended because the engine asked to stop."""


@contextlib.asynccontextmanager
async def secret_file(content: str) -> AsyncGenerator[int]:
    """A descriptor of a file that lives in memory only: nothing is left on disk, however the process ends."""
    descriptor = os.memfd_create("stand-in")
    try:
        os.write(descriptor, content.encode())
        yield descriptor
    finally:
        os.close(descriptor)


def path_of(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


async def run(
    arguments: Sequence[str],
    *,
    host: Host,
    environment: dict[str, str] | None = None,
    descriptors: Sequence[int] = (),
    stdin: str = "",
    tick: Callable[[], Awaitable[None]] | None = None,
) -> str:
    """Runs helm and returns its output, calling tick now and then. Raises HelmError with what helm said."""
    helm = shutil.which("helm")
    if helm is None:
        raise StandInError("helm is not on PATH; the stand-in needs it for helm.sh/v3:Release")
    # A helm that outlived a killed plugin would go on changing the release under the next run.
    guard = [setpriv, "--pdeathsig", "TERM", "--"] if (setpriv := shutil.which("setpriv")) else []
    process = await asyncio.create_subprocess_exec(
        *guard,
        helm,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=list(descriptors),
        env={**os.environ, **(environment or {})},
    )
    talk = asyncio.ensure_future(process.communicate(stdin.encode()))
    stop = asyncio.ensure_future(host.cancelled.wait())
    try:
        while not talk.done() and not stop.done():
            await asyncio.wait({talk, stop}, timeout=TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if tick and not talk.done() and not stop.done():
                await tick()
        if not talk.done():
            process.terminate()
            await asyncio.wait({talk}, timeout=STOP_SECONDS)
    finally:
        stop.cancel()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    stdout, stderr = await talk
    if process.returncode == 0:
        return stdout.decode()
    said = stderr.decode(errors="replace").strip()
    message = said[said.rfind("Error: ") :].removeprefix("Error: ") or f"helm ended with code {process.returncode}"
    raise HelmStoppedError(f"cancelled ({message})") if host.cancelled.is_set() else HelmError(message)


@dataclass(frozen=True)
class Revision:
    """One revision of a release as the cluster keeps it: the labels of a Secret."""

    secret: str
    number: int
    status: str
    owner: str

    @property
    def interrupted(self) -> bool:
        return self.status.startswith("pending-")


class Releases:
    """helm's records in one cluster."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def last(self, namespace: str, name: str) -> Revision | None:
        found = await self.client.get(
            _secrets(namespace), {"labelSelector": f"owner=helm,name={name}"}, accept=METADATA_ONLY
        )
        revisions = [
            Revision(
                secret=pluck_str(item, "metadata", "name"),
                number=int(pluck_str(item, "metadata", "labels", "version")),
                status=pluck_str(item, "metadata", "labels", "status"),
                owner=pluck_str(item, "metadata", "labels", OWNER_LABEL),
            )
            for item in pluck_list(found, "items")
        ]
        return max(revisions, key=lambda revision: revision.number, default=None)

    async def record(self, namespace: str, revision: Revision) -> JsonObject:
        """The release as helm wrote it: name, info, chart, config, manifest, version, namespace."""
        found = await self.client.get(_secrets(namespace, revision.secret))
        packed = base64.b64decode(base64.b64decode(pluck_str(found, "data", "release")))
        return cast("JsonObject", json.loads(gzip.decompress(packed)))

    async def end_interrupted(self, namespace: str, revision: Revision) -> None:
        """Writes down that a revision, whose helm was killed, failed: helm refuses to touch it otherwise."""
        record = await self.record(namespace, revision)
        info: JsonObject = {**pluck_map(record, "info"), "status": "failed", "description": "interrupted"}
        packed = gzip.compress(json.dumps({**record, "info": info}).encode())
        patch: JsonObject = {
            "metadata": {"labels": {"status": "failed"}},
            "data": {"release": base64.b64encode(base64.b64encode(packed)).decode()},
        }
        await self.client.write("PATCH", _secrets(namespace, revision.secret), patch, content_type=MERGE_PATCH)


def _secrets(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/secrets" + (f"/{name}" if name else "")


@dataclass(frozen=True)
class ManifestObject:
    api_version: str
    kind: str
    namespace: str
    name: str


_DOCUMENT: Final = re.compile(r"^---.*$", re.MULTILINE)
_SECTION: Final = re.compile(r"^(?=[^\s#])", re.MULTILINE)
_HEAD: Final = ("apiVersion:", "kind:", "metadata:", '"apiVersion":', '"kind":', '"metadata":')


def manifest_objects(manifest: str) -> list[ManifestObject]:
    """The objects of a release; only their heads are parsed, as a big chart's bodies would take seconds."""
    result: list[ManifestObject] = []
    for document in _DOCUMENT.split(manifest):
        sections = _SECTION.split(document)
        head = "".join(section for section in sections if section.startswith(_HEAD))
        parsed = cast("Json", yaml.load(head if "kind" in head else document, yaml.CSafeLoader))
        if pluck_str(parsed, "kind"):
            result.append(
                ManifestObject(
                    api_version=pluck_str(parsed, "apiVersion"),
                    kind=pluck_str(parsed, "kind"),
                    namespace=pluck_str(parsed, "metadata", "namespace"),
                    name=pluck_str(parsed, "metadata", "name"),
                )
            )
    return result


def resource_names(objects: Sequence[ManifestObject]) -> JsonObject:
    """The official plugin's grouping: `Deployment.apps/apps/v1: [NAMESPACE/NAME]`."""
    grouped: dict[str, set[str]] = {}
    for item in objects:
        group = item.api_version.partition("/")[0] if "/" in item.api_version else ""
        kind = f"{item.kind}.{group}" if group else item.kind
        name = f"{item.namespace}/{item.name}" if item.namespace else item.name
        grouped.setdefault(f"{kind}/{item.api_version}", set()).add(name)
    return {key: list[Json](sorted(names)) for key, names in sorted(grouped.items())}


def status_output(record: JsonObject) -> JsonObject:
    metadata = pluck_map(record, "chart", "metadata")
    return {
        "appVersion": pluck_str(metadata, "appVersion"),
        "chart": pluck_str(metadata, "name"),
        "name": pluck_str(record, "name"),
        "namespace": pluck_str(record, "namespace"),
        "revision": pluck(record, "version"),
        "status": pluck_str(record, "info", "status"),
        "version": pluck_str(metadata, "version"),
    }
