import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from local import cache, debian
from local.errors import LocalError
from local.images import IMAGES, archive, image_for

CHART = {
    "quay.io/prometheus/prometheus:v3.14.0-distroless": "prometheus",
    "quay.io/prometheus/alertmanager:v0.34.0": "alertmanager",
    "quay.io/prometheus-operator/prometheus-operator:v0.93.1": "operator",
    "quay.io/prometheus-operator/prometheus-config-reloader:v0.93.1": "prometheus-config-reloader",
    "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0": "kube-state-metrics",
    "quay.io/prometheus/node-exporter:v1.12.1": "node_exporter",
    "quay.io/prometheus/node-exporter:v1.12.1-distroless": "node_exporter",
    "docker.io/library/caddy:2.11.9": "caddy",
    "registry.k8s.io/kubectl:v1.36.3": "kubectl",
    "docker.io/library/busybox:1.37.0": "busybox",
    "ghcr.io/prometheus-fleet/demo-app:1": "demo-app",
    "docker.io/library/demo-app:1": "demo-app",
    "registry.k8s.io/pause:3.10": "pause",
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    for image in IMAGES.values():
        (folder / image.tool).write_bytes(f"the program {image.tool}".encode())
    monkeypatch.setattr(debian, "unpacked", lambda _package, program: folder / program)
    return folder


@pytest.mark.parametrize(("reference", "tool"), CHART.items())
def test_each_reference_of_the_chart_has_its_program(reference: str, tool: str) -> None:
    image = image_for(reference)
    assert image is not None
    assert image.tool == tool


@pytest.mark.parametrize(
    ("reference", "tool"),
    [
        ("mirror.example:5000/quay.io/prometheus/prometheus:v3", "prometheus"),
        ("localhost/prometheus/prometheus", "prometheus"),
        ("caddy", "caddy"),
        ("caddy:2", "caddy"),
        ("docker.io/busybox:1.37.0", "busybox"),
        ("prometheus/node-exporter", "node_exporter"),
    ],
)
def test_registry_mirror_and_short_name_do_not_matter(reference: str, tool: str) -> None:
    image = image_for(reference)
    assert image is not None
    assert image.tool == tool


@pytest.mark.parametrize(
    "reference",
    [
        "docker.io/grafana/grafana:12.0.0",
        "quay.io/prometheus/alertmanager-cluster:v0.34.0",
        "docker.io/bitnami/prometheus:3",
        "example.com/not-caddy:1",
        "example.com/my-demo-app:1",
        "quay.io/prometheus/busybox:latest",
        "",
    ],
)
def test_another_image_with_a_like_name_is_not_taken_for_ours(reference: str) -> None:
    assert image_for(reference) is None


@pytest.mark.parametrize(
    ("reference", "switch"),
    [
        ("docker.io/grafana/grafana:12.0.0", "grafana.enabled=false"),
        ("quay.io/kiwigrid/k8s-sidecar:1.30.0", "grafana.enabled=false"),
        ("ghcr.io/jkroepke/kube-webhook-certgen:1.8.7", "prometheusOperator.admissionWebhooks.enabled=false"),
        (
            "quay.io/prometheus-operator/admission-webhook:v0.93.1",
            "prometheusOperator.admissionWebhooks.deployment.enabled=false",
        ),
        ("quay.io/brancz/kube-rbac-proxy:v0.22.1", "kube-state-metrics.kubeRBACProxy.enabled=false"),
        ("ghcr.io/prometheus-community/windows-exporter:0.31.0", "windowsMonitoring.enabled=false"),
    ],
)
def test_an_image_that_cannot_be_built_names_the_value_that_switches_it_off(
    tools: Path, reference: str, switch: str
) -> None:
    with pytest.raises(LocalError) as refused:
        archive([*CHART, reference], tools)
    assert f"no image for {reference} can be built here: switch it off with {switch}" in str(refused.value)


def test_an_image_of_a_debian_package_cannot_be_built_elsewhere(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        LocalError, match=r"no image for docker\.io/busybox:1 .* off with crds\.upgradeJob\.enabled=false"
    ):
        archive(["docker.io/busybox:1"], tools)


def test_all_missing_images_are_named_at_once(tools: Path) -> None:
    digest = f"quay.io/prometheus/prometheus:v3@sha256:{'0' * 64}"
    with pytest.raises(LocalError) as refused:
        archive(["example.com/own:1", "docker.io/grafana/grafana:12", digest], tools)
    assert [line.split(" can ")[0].split(" names ")[0] for line in str(refused.value).splitlines()] == [
        "no image for docker.io/grafana/grafana:12",
        "no image for example.com/own:1",
        digest,
    ]
    assert not (cache.root() / "images").exists()


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as tar:
        return {member.name: member for member in tar.getmembers()}


def read(path: Path, name: str) -> bytes:
    with tarfile.open(path) as tar:
        content = tar.extractfile(name)
        assert content is not None
        return content.read()


def images_in(path: Path) -> dict[str, tuple[dict[str, object], str]]:
    """Reference to its image's configuration and the name of its layer."""
    return {
        reference: (json.loads(read(path, image["Config"])), image["Layers"][0])
        for image in json.loads(read(path, "manifest.json"))
        for reference in image["RepoTags"]
    }


def layer_of(path: Path, name: str, out: Path) -> Path:
    out.write_bytes(read(path, name))
    return out


def test_the_same_input_gives_the_same_bytes_in_any_order(
    tools: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = archive(CHART, tools)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    for tool in tools.iterdir():
        tool.touch()
    second = archive([*reversed(CHART), *CHART], tools)
    assert first != second
    assert first.read_bytes() == second.read_bytes()
    assert {(member.mtime, member.uname) for member in members(first).values()} == {(0, "")}


def test_every_reference_is_a_tag_and_one_program_is_one_layer(tools: Path) -> None:
    path = archive(CHART, tools)
    images = images_in(path)
    assert set(images) == set(CHART)
    layers = [name for name in members(path) if name.endswith("/layer.tar")]
    assert len(layers) == len(set(CHART.values()))
    for config, layer in images.values():
        digest = hashlib.sha256(read(path, layer)).hexdigest()
        assert layer == f"{digest}/layer.tar"
        assert config["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{digest}"]}


def test_a_short_reference_is_tagged_as_containerd_looks_it_up(tools: Path) -> None:
    assert set(images_in(archive(["caddy:2.11.9", "prometheus/prometheus"], tools))) == {
        "docker.io/library/caddy:2.11.9",
        "docker.io/prometheus/prometheus:latest",
    }


STARTS = {
    "quay.io/prometheus/prometheus:v3.14.0-distroless": ["/bin/prometheus"],
    "quay.io/prometheus-operator/prometheus-operator:v0.93.1": ["/bin/operator"],
    "quay.io/prometheus-operator/prometheus-config-reloader:v0.93.1": ["/bin/prometheus-config-reloader"],
    "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0": [
        "/kube-state-metrics",
        "--port=8080",
        "--telemetry-port=8081",
    ],
    "quay.io/prometheus/node-exporter:v1.12.1": ["/bin/node_exporter"],
    "docker.io/library/caddy:2.11.9": [],
    "registry.k8s.io/kubectl:v1.36.3": ["/bin/kubectl"],
    "registry.k8s.io/pause:3.10": ["/pause"],
}


@pytest.mark.parametrize(("reference", "entrypoint"), STARTS.items())
def test_images_start_as_the_originals_do_and_not_as_root(
    tools: Path, tmp_path: Path, reference: str, entrypoint: list[str]
) -> None:
    path = archive([reference], tools)
    config, layer_name = images_in(path)[reference]
    settings = config["config"]
    assert isinstance(settings, dict)
    assert settings["User"] == "65534:65534"
    assert settings["Entrypoint"] == entrypoint

    layer = layer_of(path, layer_name, tmp_path / "layer.tar")
    files = members(layer)
    program = (entrypoint or ["/usr/bin/caddy"])[0].lstrip("/")
    assert files[program].mode == 0o755
    assert read(layer, program) == (tools / CHART[reference]).read_bytes()
    assert files["tmp"].mode == 0o1777
    assert b"nobody:x:65534:" in read(layer, "etc/passwd")
    assert str(settings["WorkingDir"]).strip("/") in {"", *files}


def test_caddy_is_found_by_name(tools: Path) -> None:
    config, _ = images_in(archive(["caddy:2"], tools))["docker.io/library/caddy:2"]
    settings = config["config"]
    assert isinstance(settings, dict)
    assert "/usr/bin" in settings["Env"][0].removeprefix("PATH=").split(":")
    assert settings["Cmd"][0] == "caddy"


def test_busybox_is_found_under_the_names_of_its_parts(tools: Path, tmp_path: Path) -> None:
    path = archive(["busybox:1"], tools)
    _, layer_name = images_in(path)["docker.io/library/busybox:1"]
    files = members(layer_of(path, layer_name, tmp_path / "layer.tar"))
    assert {name: files[name].linkname for name in ("bin/sh", "bin/bzcat")} == {
        "bin/sh": "/bin/busybox",
        "bin/bzcat": "/bin/busybox",
    }


def test_an_archive_is_kept_until_a_program_changes_and_mended_when_damaged(tools: Path) -> None:
    path = archive(CHART, tools)
    written = path.stat().st_ino
    assert archive(CHART, tools).stat().st_ino == written
    content = path.read_bytes()
    path.write_bytes(content[:-512])
    assert archive(CHART, tools).read_bytes() == content
    (tools / "caddy").write_bytes(b"a newer caddy")
    assert archive(CHART, tools) != path
