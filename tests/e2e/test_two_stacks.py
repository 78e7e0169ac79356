"""One fleet in two stacks on real clusters: what the stack below has arrives at the hub of the one above.

The clusters are in a network namespace of their own: a live fleet on the same machine is not met.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubectl import eventually, kubectl, objects, query
from live import ROOT
from program_copy import copy_program, kubeconfig, program_environment

from fleet.compiler import compile_fleet
from fleet.page import read_fleet
from local import images, toolchain
from local.clusters import LocalFleet
from local.network import node_address
from local.rendering import image_references
from tests.local.isolation import own_network

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

EU = {
    "eu-1": {"tier": "leaf", "region": "eu"},
    "eu": {"tier": "regional", "region": "eu"},
    "shop-1": {"tier": "edge", "region": "eu"},
}
TOP = {"hub": {"tier": "global"}}
NAMES = (*EU, *TOP)
ARRIVES = 120
"""Seconds after `pulumi up`: pods start, scrape, record and are scraped, each after the other."""


@dataclass(frozen=True)
class Stacks:
    folder: Path
    refused: str
    """What an `up` of the stack above said before the one below was there."""

    def pulumi(self, *arguments: str) -> str:
        done = run(self.folder, "pulumi", "--non-interactive", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def output(self, stack: str, name: str, *flags: str) -> Any:
        return json.loads(self.pulumi("stack", "output", name, "--json", f"--stack={stack}", *flags))

    def status(self, stack: str) -> dict[str, str | None]:
        """Fault by edge."""
        done = run(self.folder, sys.executable, "-m", "fleet", "status", "--json", f"--stack={stack}")
        assert done.stdout, done.stderr
        return {f"{edge['lower']} → {edge['upper']}": edge["fault"] for edge in json.loads(done.stdout)}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600, check=False
    )


def up(folder: Path, stack: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = ["pulumi", "--non-interactive", "up", "--yes", "--skip-preview", "--suppress-outputs", *flags]
    settings = json.loads((ROOT / "policies" / "config" / "prometheus-fleet.dev.json").read_text())
    settings["way-up"] = {"elsewhere": True}
    file = folder / "policies.json"
    file.write_text(json.dumps(settings))
    policies = (f"--policy-pack={ROOT / 'policies'}", f"--policy-pack-config={file}")
    return run(folder, *command, f"--stack={stack}", *policies)


def write_pages(folder: Path, chart: Path) -> None:
    page = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]["prometheus-fleet:fleet"]

    def located(clusters: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, cluster in clusters.items():
            found[name] = {**cluster, "kubeconfig": kubeconfig(folder, name)}
            if cluster["tier"] != "edge":
                address = node_address(NAMES.index(name) + 1)
                found[name]["gateway"] = {"type": "NodePort", "host": address, "port": 30443}
        return found

    pages = {
        "eu": {"parentStack": "top", "clusters": located(EU)},
        "top": {**page, "chart": {"source": str(chart)}, "childStacks": ["eu"], "clusters": located(TOP)},
    }
    for stack, content in pages.items():
        text = yaml.safe_dump({"config": {"prometheus-fleet:fleet": content}}, sort_keys=False)
        (folder / f"Pulumi.{stack}.yaml").write_text(text)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program with two pages, and the chart: all that needs the network of this machine."""
    folder = tmp_path_factory.mktemp("split")
    write_pages(folder, copy_program(folder))
    return folder


@pytest.fixture(scope="module")
def environment(program: Path) -> Iterator[Path]:
    with program_environment(program, NAMES):
        yield program


@pytest.fixture(scope="module")
def stacks(environment: Path) -> Iterator[Stacks]:
    folder = environment
    tools = toolchain.ensure()
    references = image_references(compile_fleet(read_fleet("top", folder, {})), toolchain.version("kubectl"))
    app = "docker.io/prometheus-fleet/demo-app:dev"
    archives = {name: images.archive({*references[name], app}, tools) for name in NAMES}
    with own_network():
        clusters = LocalFleet(folder / ".local", tools)
        try:
            for cluster in clusters.up(NAMES):
                cluster.import_images(archives[cluster.node.name])
            yield deploy(folder)
        finally:
            clusters.down()


def deploy(folder: Path) -> Stacks:
    for name in ("eu-1", "shop-1"):
        kubectl(name, "apply", "--server-side", f"--filename={ROOT / 'local' / 'workload.yaml'}")
    stacks = Stacks(folder, refused_before_its_time(folder))
    for stack in ("eu", "top"):
        stacks.pulumi("stack", "select", "--create", stack)
        done = up(folder, stack)
        assert done.returncode == 0, done.stdout + done.stderr
    kubectl("eu-1", "apply", "--server-side", f"--filename={ROOT / 'local' / 'workload.monitor.yaml'}")
    return stacks


def refused_before_its_time(folder: Path) -> str:
    run(folder, "pulumi", "stack", "select", "--create", "top")
    done = up(folder, "top")
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_the_stack_above_says_which_one_comes_first_and_has_made_nothing(stacks: Stacks) -> None:
    assert "stack eu cannot be read: " in stacks.refused
    assert "Stacks below are deployed before the one above: `pulumi up --stack eu` first." in stacks.refused
    assert "Traceback" not in stacks.refused
    assert "kubernetes:" not in stacks.refused


@pytest.mark.usefixtures("stacks")
def test_series_of_the_region_arrive_at_the_hub_of_the_other_stack() -> None:
    def arrived() -> None:
        pods = [pod["metadata"]["namespace"] for pod in objects("eu-1", "pods", "--all-namespaces")]
        found = query("hub", 'region:cluster_namespace_pod_count:sum{cluster="eu-1",namespace="demo"}')
        ((labels, value),) = found
        assert labels["region"] == "eu"
        assert value == pods.count("demo") > 0

    eventually(arrived, within=ARRIVES)


@pytest.mark.usefixtures("stacks")
def test_an_edge_of_the_region_writes_to_the_hub_of_the_other_stack() -> None:
    def arrived() -> float:
        samples = query("hub", 'http_requests_total{cluster="shop-1",region="eu"}')
        assert samples
        return sum(value for _, value in samples)

    before, _ = eventually(arrived, within=ARRIVES)

    def risen() -> None:
        assert arrived() > before

    eventually(risen, within=30)


def test_status_of_each_stack_answers_for_its_own_edges(stacks: Stacks) -> None:
    def all_well() -> None:
        assert stacks.status("eu") == {"eu-1 → eu": None}
        assert stacks.status("top") == {"eu → hub": None, "shop-1 → hub": None}

    eventually(all_well, within=ARRIVES)


def test_what_joins_the_stacks_is_secret_in_outputs_and_state(stacks: Stacks) -> None:
    secret = objects("hub", "secrets", "--namespace=monitoring")
    held = decoded(secret, "federation-credentials")
    assert set(held) == {"eu", "eu.ca", "keys.json"}
    shown = stacks.pulumi("stack", "output", "--stack=eu") + stacks.pulumi(
        "stack", "output", "credentials", "--stack=eu"
    )
    assert "[secret]" in shown
    handed_over = stacks.output("eu", "credentials", "--show-secrets")["hub-federates-eu"]
    assert handed_over == {"password": held["eu"], "ca": held["eu.ca"], "generation": "1"}
    kept = [path.read_text() for path in (stacks.folder / "state").rglob("*.json")]
    assert len(kept) >= 2
    for text in (shown, *kept):
        assert held["eu"] not in text


def decoded(secrets: Sequence[Any], name: str) -> dict[str, str]:
    (data,) = [each["data"] for each in secrets if each["metadata"]["name"] == name]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_another_up_of_either_stack_changes_nothing(stacks: Stacks) -> None:
    for stack in ("eu", "top"):
        done = up(stacks.folder, stack, "--expect-no-changes")
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_stack_that_would_go_too_far_ahead_of_the_other_is_refused_until_that_one_follows(stacks: Stacks) -> None:
    def up_with_generation(stack: str, generation: int) -> str:
        path = stacks.folder / "Pulumi.top.yaml"
        document = yaml.safe_load(path.read_text())
        document["config"]["prometheus-fleet:fleet"]["keys"] = {"generation": generation}
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        done = up(stacks.folder, stack)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    assert up_with_generation("eu", 2) == ""

    def only_the_other_is_behind() -> None:
        said = up_with_generation("eu", 3)
        assert "keys do not change yet" in said
        behind = [line.strip() for line in said.splitlines() if line.strip().startswith("- ")]
        # Pulumi says it once as it happens and once more at the end.
        assert set(behind) == {
            "- hub still calls along hub-federates-eu with generation 1",
            "- hub still accepts shop-1-writes-hub at generation 1",
            "- hub still accepts eu-1-alerts-hub at generation 1",
            "- hub still accepts eu-alerts-hub at generation 1",
        }

    eventually(only_the_other_is_behind, within=120)
    assert up_with_generation("top", 2) == ""

    def nothing_is_behind() -> None:
        assert up_with_generation("eu", 3) == ""

    eventually(nothing_is_behind, within=120)
    assert stacks.output("eu", "fleet")["keys"]["hub-federates-eu"] == 3
