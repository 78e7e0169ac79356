"""Container images of one static program each, in place of those that a registry would serve.

They stand under the names that a chart renders, and are laid out as the originals where a pod can tell.
"""

import hashlib
import io
import json
import platform
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from local import cache, debian
from local.errors import LocalError
from local.progress import step

NOBODY = 65534
ARCHIVE = "images.tar"
_T = TypeVar("_T")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_ACCOUNTS = {
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/passwd": "root:x:0:0::/:\nnobody:x:65534:65534::/:\n",
}


@dataclass(frozen=True)
class Image:
    """What one image holds and how it starts; `folders` are those of its user, the first one is where it starts."""

    tool: str
    path: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    folders: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """Further names of the program."""
    package: str = ""
    """The Debian package that has the program; empty for one that is built here."""


def _image(tool: str, path: str, *arguments: str) -> Image:
    return Image(tool, path, (path, *arguments))


# By the end of the repository's name, so that a mirror's prefix does not matter.
IMAGES = {
    "prometheus/prometheus": Image(
        "prometheus",
        "/bin/prometheus",
        entrypoint=("/bin/prometheus",),
        command=("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"),
        folders=("/prometheus",),
    ),
    "prometheus/alertmanager": Image(
        "alertmanager",
        "/bin/alertmanager",
        entrypoint=("/bin/alertmanager",),
        command=("--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"),
        folders=("/alertmanager",),
    ),
    "prometheus-operator/prometheus-operator": _image("operator", "/bin/operator"),
    "prometheus-operator/prometheus-config-reloader": _image(
        "prometheus-config-reloader", "/bin/prometheus-config-reloader"
    ),
    "kube-state-metrics/kube-state-metrics": _image(
        "kube-state-metrics", "/kube-state-metrics", "--port=8080", "--telemetry-port=8081"
    ),
    "prometheus/node-exporter": _image("node_exporter", "/bin/node_exporter"),
    "library/caddy": Image(
        "caddy",
        "/usr/bin/caddy",
        entrypoint=(),
        command=("caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"),
        environment=(*Image.environment, "XDG_CONFIG_HOME=/config", "XDG_DATA_HOME=/data"),
        folders=("/srv", "/config", "/data"),
    ),
    "thanos/thanos": _image("thanos", "/bin/thanos"),
    "kubectl": _image("kubectl", "/bin/kubectl"),
    "library/busybox": Image(
        "busybox",
        "/bin/busybox",
        entrypoint=(),
        command=("sh",),
        links=("/bin/sh", "/bin/bzcat"),
        package="busybox-static",
    ),
    "demo-app": _image("demo-app", "/bin/demo-app"),
    "pause": _image("pause", "/pause"),
}

# What the charts may ask for and cannot always be built here, and the value that does without.
_SWITCHES = {
    "grafana/grafana": "grafana.enabled=false",
    "grafana/grafana-image-renderer": "grafana.imageRenderer.enabled=false",
    "kiwigrid/k8s-sidecar": "grafana.enabled=false",
    "bats/bats": "grafana.testFramework.enabled=false",
    "prometheus-operator/admission-webhook": "prometheusOperator.admissionWebhooks.deployment.enabled=false",
    "kube-webhook-certgen": "prometheusOperator.admissionWebhooks.enabled=false",
    "brancz/kube-rbac-proxy": (
        "kube-state-metrics.kubeRBACProxy.enabled=false and prometheus-node-exporter.kubeRBACProxy.enabled=false"
    ),
    "prometheus-community/windows-exporter": "windowsMonitoring.enabled=false",
    "library/busybox": "crds.upgradeJob.enabled=false",
    "prometheus/busybox": "prometheus-node-exporter.permissionInitContainer={}",
}


@dataclass(frozen=True)
class _Reference:
    """A reference with what Docker, containerd and so a pod's `image` leave out."""

    registry: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> "_Reference":
        name, _, digest = text.partition("@")
        registry, slash, path = name.partition("/")
        if not slash or not (re.search("[.:]", registry) or registry == "localhost"):
            registry, path = "docker.io", name
        repository, _, tag = path.partition(":")
        if registry == "docker.io" and "/" not in repository:
            repository = f"library/{repository}"
        return cls(registry, repository, tag or "latest", digest)

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}"


def image_for(reference: str) -> Image | None:
    """The image that stands in for `reference`, whatever its registry and tag; None if none can be built here."""
    return _by_name(IMAGES, reference)


def tools_of(references: Iterable[str]) -> frozenset[str]:
    """Programs built here that their images hold."""
    images = filter(None, map(image_for, references))
    return frozenset(image.tool for image in images if not image.package)


def archive(references: Iterable[str], tools: Path) -> Path:
    """One archive for `ctr images import`: an image under each reference, of the programs in the folder `tools`.

    The same references and programs give the same bytes. Raises LocalError naming all references without an image.
    """
    wanted = sorted(set(references))
    images: dict[Image, list[str]] = {}
    refused: list[str] = []
    for reference in wanted:
        image, parsed = image_for(reference), _Reference.parse(reference)
        if image is None or (image.package and not debian.can_fetch()):
            switch = _by_name(_SWITCHES, reference)
            advice = f"switch it off with {switch}" if switch else "switch off the value that asks for it"
            refused.append(f"no image for {reference} can be built here: {advice}")
        elif parsed.digest:
            refused.append(f"{reference} names a digest, which no image built here has: empty the value that sets it")
        else:
            images.setdefault(image, []).append(str(parsed))
    if refused:
        raise LocalError("\n".join(refused))

    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    programs = {
        image: debian.unpacked(image.package, image.tool) if image.package else tools / image.tool for image in images
    }
    recipe = [[asdict(image), names, cache.digest(programs[image])] for image, names in images.items()]
    layout = [architecture, cache.digest(Path(__file__))]
    key = hashlib.sha256(json.dumps([layout, recipe]).encode()).hexdigest()[:12]
    entry = cache.root() / "images" / key
    with step("pack the images") as packed:
        cache.fill(entry, lambda files, scratch: _write(files / ARCHIVE, images, architecture, programs, scratch))
        packed.detail = f"{len(wanted)} names, {len(images)} programs"
    return entry / ARCHIVE


def _by_name(table: Mapping[str, _T], reference: str) -> _T | None:
    repository = f"/{_Reference.parse(reference).repository}"
    return next((value for name, value in table.items() if repository.endswith(f"/{name}")), None)


def _write(
    out: Path,
    images: Mapping[Image, Sequence[str]],
    architecture: str,
    programs: Mapping[Image, Path],
    scratch: Path,
) -> None:
    manifest: list[dict[str, object]] = []
    with tarfile.open(out, "w") as tar:
        for image, names in images.items():
            layer = scratch / image.tool
            _write_layer(layer, image, programs[image])
            diff = cache.digest(layer)
            config = _config(image, architecture, diff)
            config_name = f"{hashlib.sha256(config).hexdigest()}.json"
            layer_name = f"{diff}/layer.tar"
            _add(tar, config_name, config)
            _add_file(tar, layer_name, layer, 0o644)
            manifest.append({"Config": config_name, "RepoTags": list(names), "Layers": [layer_name]})
            layer.unlink()
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _config(image: Image, architecture: str, diff: str) -> bytes:
    return json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "User": f"{NOBODY}:{NOBODY}",
                "Entrypoint": image.entrypoint,
                "Cmd": image.command,
                "Env": image.environment,
                "WorkingDir": next(iter(image.folders), "/"),
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
        }
    ).encode()


def _write_layer(out: Path, image: Image, program: Path) -> None:
    path = image.path.lstrip("/")
    parents = [str(parent) for parent in Path(path).parents if parent.name]
    with tarfile.open(out, "w") as tar:
        for name in sorted({"etc", *parents}):
            _add_folder(tar, name, 0o755)
        _add_folder(tar, "tmp", 0o1777)
        for name in image.folders:
            _add_folder(tar, name.lstrip("/"), 0o755, owner=NOBODY)
        for name, text in _ACCOUNTS.items():
            _add(tar, name, text.encode())
        _add_file(tar, path, program, 0o755)
        for link in image.links:
            _add_link(tar, link.lstrip("/"), image.path)


# A TarInfo of its own has no time, no names and no owner but those set here: the same bytes for all.
def _add_folder(tar: tarfile.TarFile, name: str, mode: int, *, owner: int = 0) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
    tar.addfile(entry)


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
    tar.addfile(entry)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _add_file(tar: tarfile.TarFile, name: str, source: Path, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = source.stat().st_size, mode
    with source.open("rb") as content:
        tar.addfile(entry, content)
