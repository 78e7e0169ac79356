"""The pack in the real engine, over somebody else's program; no cluster answers, and a preview needs none."""

import functools
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fleet_policies import POLICIES

from local import environment, plugins, toolchain

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
PASSWORD = "correct-horse-battery-staple"  # noqa: S105 (of nothing)
SETTINGS: Mapping[str, Mapping[str, object]] = {
    "high-availability": {"tiers": ["leaf"]},
    "image-registry": {"registries": ["mirror.example.com"]},
    "keep-storage": {"kept": ["hub"]},
    "no-generated-ca": {"forbidden": True},
}


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A repository of charts, by HTTP: nothing of files is pinned."""
    folder = tmp_path_factory.mktemp("charts")
    source = folder / "umbrella"
    source.mkdir()
    (source / "Chart.yaml").write_text("apiVersion: v2\nname: umbrella\nversion: 1.0.0\n")
    for command in (["package", source], ["repo", "index", folder]):
        subprocess.run(["helm", *map(str, command)], cwd=folder, capture_output=True, check=True)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def preview(charts: str, tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    folder = tmp_path_factory.mktemp("engine")
    program, state, settings = folder / "program", folder / "state", folder / "settings.json"
    shutil.copytree(Path(__file__).parent / "programs" / "foreign", program)
    state.mkdir(mode=0o700)
    settings.write_text(json.dumps(SETTINGS))
    found = environment.variables(
        tools=toolchain.ensure(("helm",)),
        pulumi=toolchain.pulumi_bin(),
        standins=plugins.standins(folder / "standins"),
        clusters=[],
    )
    inside = environment.inside({**found, "PULUMI_BACKEND_URL": state.as_uri()})

    def pulumi(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = ["pulumi", "--non-interactive", "--color=never", *arguments]
        return subprocess.run(command, cwd=program, env=inside, capture_output=True, text=True, check=False, **more)

    pulumi("stack", "init", "prod")
    pulumi("config", "set", "charts", charts)
    pulumi("config", "set", "--secret", "password", input=PASSWORD)
    return pulumi("preview", f"--policy-pack={ROOT / 'policies'}", f"--policy-pack-config={settings}", "--stack=prod")


def test_every_policy_refuses_its_violation(preview: "subprocess.CompletedProcess[str]") -> None:
    assert preview.returncode != 0
    refused = set(re.findall(r"- \[mandatory\](?: \[severity: \w+\])?  (\S+)", preview.stdout))
    assert refused == {policy.id for policy in POLICIES}, preview.stdout + preview.stderr


def test_what_is_not_known_yet_is_said_not_to_be_judged(preview: "subprocess.CompletedProcess[str]") -> None:
    said = (
        "can't run policy 'honor-labels' from policy pack 'prometheus-fleet@v0.0.1' during preview: "
        "not judged, because not known yet: spec.metricsPath"
    )
    assert said in preview.stdout


def test_a_secret_is_found_and_not_told(preview: "subprocess.CompletedProcess[str]") -> None:
    assert "values.monitoring.grafana.adminPassword: a secret in clear" in preview.stdout
    assert PASSWORD not in preview.stdout + preview.stderr
