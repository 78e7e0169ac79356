"""A fleet of two real clusters in a network namespace of its own, deployed by `pulumi` from a copy of the program."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from program_copy import copy_program

from fleet.compiler import compile_page
from fleet.page import read_page
from local import images, toolchain
from local.cluster import Cluster
from local.clusters import LocalFleet
from local.rendering import image_references
from tests.local.isolation import own_network

ROOT = Path(__file__).parents[2]
STANDINS = ROOT / "local" / "standins" / "bin"
STACK = "two"

Page = dict[str, Any]


class TwoClusters:
    """Clusters `hub` and `eu-1`, and a stack whose page is the test's to write."""

    def __init__(self, folder: Path, clusters: Mapping[str, Cluster], chart: Path) -> None:
        self.folder = folder
        self.clusters = clusters
        self.chart = chart
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(STANDINS), os.environ["PATH"]]),
            "PULUMI_BACKEND_URL": folder.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        self.environment.pop("FLEET_CHART", None)

    def page(self, hub: Page, leaf: Page, **more: Any) -> Page:
        located = {
            name: {
                "kubeconfigSecret": f"{name}-kubeconfig",
                "gateway": {"type": "NodePort", "host": self.clusters[name].node.address},
                **cluster,
            }
            for name, cluster in {"hub": {"tier": "global", **hub}, "eu-1": {"tier": "leaf", **leaf}}.items()
        }
        if "gateway" not in hub:
            del located["hub"]["gateway"]  # nobody calls it
        switched_off = {"prometheusOperator": {"admissionWebhooks": {"enabled": False}, "tls": {"enabled": False}}}
        return {"chart": {"source": str(self.chart)}, "values": switched_off, "clusters": located, **more}

    def write(self, page: Page) -> None:
        path = self.folder / f"Pulumi.{STACK}.yaml"
        document = yaml.safe_load(path.read_text()) if path.exists() else {}
        document.setdefault("config", {})["prometheus-fleet:fleet"] = page
        path.write_text(yaml.safe_dump(document))

    def pulumi(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.run(["pulumi", "--non-interactive", *arguments], stdin)

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        return self.run(["bash", "-c", command])

    def run(self, command: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.pulumi("up", "--yes", "--skip-preview", "--stack", STACK, *arguments)

    def kubectl(self, cluster: str, *arguments: str) -> Any:
        command = ["kubectl", "--kubeconfig", str(self.clusters[cluster].kubeconfig), *arguments, "--output=json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def revision(self, cluster: str) -> int:
        """Of the release, as Helm counts it."""
        listed = self.kubectl(cluster, "get", "secrets", "--namespace=monitoring", "--selector=owner=helm")
        return max((int(each["metadata"]["labels"]["version"]) for each in listed["items"]), default=0)


@contextmanager
def two_clusters(folder: Path, **asked: Any) -> Generator[TwoClusters]:
    """`asked` is what of the page a test has further images for."""
    program = folder / "program"
    program.mkdir()
    chart = copy_program(program)
    with own_network():
        local = LocalFleet(folder / ".local", toolchain.ensure())
        try:
            clusters = {cluster.node.name: cluster for cluster in local.up(["hub", "eu-1"])}
            fleet = TwoClusters(program, clusters, chart)
            # With all that a test may ask for.
            plan = compile_page(read_page(fleet.page({"gateway": {}}, {"alertmanager": {}}, **asked), {}))
            for name, references in image_references(plan, toolchain.version("kubectl")).items():
                toolchain.ensure_on_demand(images.tools_of(references))
                clusters[name].import_images(images.archive(references, local.tools))
            assert fleet.pulumi("stack", "init", STACK).returncode == 0
            for name, cluster in clusters.items():
                setting = ("config", "set", "--secret", "--stack", STACK, f"{name}-kubeconfig")
                assert fleet.pulumi(*setting, stdin=cluster.kubeconfig.read_text()).returncode == 0
            yield fleet
        finally:
            local.down()
