"""The program itself on one real cluster, in a network namespace of the tests' own, driven by the pulumi CLI."""

import json
import os
import shutil
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from isolation import own_network

from fleet.compiler import compile_page
from fleet.names import PAGE_KEY
from fleet.page import read_page
from local import images, toolchain
from local.chart_assembly import assemble
from local.cluster import Cluster
from local.clusters import LocalFleet
from local.rendering import image_references

ROOT = Path(__file__).parents[2]
STACK = "test"
# The images of the admission webhook's jobs cannot be built from a package registry.
BUILDABLE = {"prometheusOperator": {"admissionWebhooks": {"enabled": False}, "tls": {"enabled": False}}}


@dataclass(frozen=True)
class Program:
    """A copy of the program's tree, whose one cluster is `hub`."""

    folder: Path
    cluster: Cluster
    environment: Mapping[str, str]

    @property
    def chart(self) -> Path:
        return self.folder / "chart"

    def say(self, values: Mapping[str, object], **more: object) -> None:
        """Writes the page: chart values, and further fields of the cluster."""
        config = {PAGE_KEY: page(self.chart, self.cluster.kubeconfig, values, more)}
        (self.folder / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": config}))

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def pulumi(self, *arguments: str) -> str:
        return self.run("pulumi", "--non-interactive", *arguments, "--stack", STACK)

    def up(self) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", "--suppress-outputs")

    def live(self, kind: str, name: str, *arguments: str) -> dict[str, Any]:
        return json.loads(self.run("kubectl", "get", kind, name, "--output=json", *arguments))


def page(
    chart: Path, kubeconfig: Path, values: Mapping[str, object] | None = None, more: Mapping[str, object] | None = None
) -> dict[str, Any]:
    return {
        "chart": {"source": str(chart)},
        "values": {**BUILDABLE, **(values or {})},
        "clusters": {"hub": {"tier": "global", "kubeconfig": str(kubeconfig), **(more or {})}},
    }


@contextmanager
def program(folder: Path, crds: Path) -> Generator[Program]:
    """On a new stack, with the small chart and these CRDs."""
    tools = toolchain.ensure()
    tree = folder / "program"
    chart = tree / "chart"
    assemble(ROOT / "local" / "chart", crds, chart)
    # Here, where there is a network: the package of an image may be fetched.
    plan = compile_page(read_page(page(chart, folder / "kubeconfig"), {}))
    archive = images.archive(image_references(plan, toolchain.version("kubectl"))["hub"], tools)
    copied = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in copied:
        if not name.startswith(("tests/", "examples/")):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
    (tree / ".venv").symlink_to(ROOT / ".venv")
    with own_network():
        fleet = LocalFleet(folder / ".local", tools)
        try:
            (cluster,) = fleet.up(["hub"])
            environment = {
                **os.environ,
                "PATH": os.pathsep.join(
                    [str(ROOT / ".venv" / "bin"), os.environ["PATH"], str(ROOT / "local" / "standins" / "bin")]
                ),
                "KUBECONFIG": str(cluster.kubeconfig),
                "PULUMI_BACKEND_URL": folder.as_uri(),
                "PULUMI_CONFIG_PASSPHRASE": "test",
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "FLEET_CHART": "",
            }
            made = Program(tree, cluster, environment)
            cluster.import_images(archive)
            made.say({})
            made.pulumi("stack", "init")
            yield made
        finally:
            fleet.down()
