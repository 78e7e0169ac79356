"""docs/import.md, followed word for word on a real cluster: an existing release is upgraded in place."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from one_cluster import BUILDABLE, ROOT, STACK, Program, program

from local import golang
from local.chart_assembly import operator_crds

NAMESPACE = "observability"
# As an engineer might have it; the images of what is off cannot be built from a package registry.
OWN_VALUES = {
    **BUILDABLE,
    **{part: {"enabled": False} for part in ("alertmanager", "coreDns", "grafana", "kubeStateMetrics", "nodeExporter")},
    **{f"kube{part}": {"enabled": False} for part in ("ControllerManager", "Etcd", "Proxy", "Scheduler")},
    "defaultRules": {"create": False},
    "prometheus": {"prometheusSpec": {"retention": "7d"}},
}

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Program]:
    """The page names a cluster in which nothing is the program's."""
    with program(tmp_path, operator_crds(golang.find(), ROOT / "local" / "tools" / "operator")) as made:
        made.say({}, namespace=NAMESPACE)
        yield made


def documented() -> list[str]:
    """The commands that take over `eu-1` of stack `prod`, as those of this test's cluster and stack."""
    section = (ROOT / "docs" / "import.md").read_text().partition("## Take it over")[2]
    commands = [line for block in re.findall(r"```sh\n(.+?)```", section, re.DOTALL) for line in block.splitlines()]
    return [command.replace("prod", STACK).replace("eu-1", "hub") for command in commands]


def follow(made: Program, command: str) -> str:
    """At a terminal pulumi would ask; here it is told."""
    answered = re.sub(r"^pulumi (up|import) ", r"pulumi \1 --yes ", command)
    return made.run("bash", "-c", answered)


def test_an_existing_release_is_upgraded_in_place(made: Program) -> None:
    (made.folder / "own.yaml").write_text(yaml.safe_dump(OWN_VALUES))
    place = ["--namespace", NAMESPACE]
    made.run(
        *("helm", "install", "kube-prometheus-stack", str(made.chart), *place, "--create-namespace"),
        *("--values", "own.yaml", "--wait"),
    )

    def identities() -> dict[str, str]:
        prometheus = "kube-prometheus-stack-prometheus"
        objects: list[dict[str, Any]] = [
            made.live("namespace", NAMESPACE),
            made.live("prometheus", prometheus, *place),
            made.live("statefulset", f"prometheus-{prometheus}", *place),
        ]
        return {each["kind"]: each["metadata"]["uid"] for each in objects}

    before = identities()
    *imports, preview, up = documented()
    for command in imports:
        follow(made, command)
    assert identities() == before
    assert made.live("prometheus", "kube-prometheus-stack-prometheus", *place)["spec"]["retention"] == "7d"

    planned = follow(made, preview)
    assert "helm.sh/v3:Release: (update)" in planned
    assert not re.search(r": \((replace|delete|create-replacement)\)", planned)
    assert not re.search(r"(Namespace|Release): \(create\)", planned)

    follow(made, up)
    assert identities() == before
    assert made.live("prometheus", "kube-prometheus-stack-prometheus", *place)["spec"]["retention"] == "720h"
    history = yaml.safe_load(made.run("helm", "history", "kube-prometheus-stack", *place, "--output=yaml"))
    assert [each["status"] for each in history] == ["superseded", "deployed"]
    assert made.pulumi("preview", "--expect-no-changes")
