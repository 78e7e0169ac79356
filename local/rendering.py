"""What would be created on each cluster, and so which images the local fleet must have."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import yaml

from fleet.names import RELEASE
from fleet.plan import ClusterPlan, Plan
from fleet.render import manifests_of, render, write
from local.environment import STACK
from local.errors import LocalError

_RELOADER = "--prometheus-config-reloader="


def image_references(plan: Plan, kubernetes: str) -> dict[str, set[str]]:
    """By cluster; `kubernetes` is the version that the chart is told. Raises LocalError where it does not render."""
    with TemporaryDirectory() as folder:
        write(render(plan), Path(folder), STACK)
        return {
            name: {
                reference
                for document in (
                    *_documents(cluster, Path(folder) / name / "values.yaml", kubernetes),
                    *manifests_of(plan, cluster),
                )
                for reference in _images(document)
            }
            for name, cluster in plan.clusters.items()
        }


def _documents(cluster: ClusterPlan, values: Path, kubernetes: str) -> Iterator[object]:
    chart = cluster.chart
    version = ["--version", chart.version] if chart.version is not None else []
    command = ["helm", "template", RELEASE, chart.source, *version, "--kube-version", kubernetes]
    command += ["--namespace", cluster.namespace, "--values", str(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"the chart {chart.source} does not render for {cluster.name}:\n{done.stderr.strip()}")
    # The C loader: CRDs alone are megabytes.
    return cast("Iterator[object]", yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


def _images(node: object) -> Iterator[str]:
    """Of containers and Prometheus objects, and the one that the operator is told by an argument."""
    if isinstance(node, Mapping):
        for key, value in cast("Mapping[str, object]", node).items():
            if key == "image" and isinstance(value, str):
                yield value
            yield from _images(value)
    elif isinstance(node, list):
        for item in cast("list[object]", node):
            yield from _images(item)
    elif isinstance(node, str) and node.startswith(_RELOADER):
        yield node.removeprefix(_RELOADER)
