"""Where a cluster's kubeconfig lies, and what it says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from fleet.errors import FleetError, Problem
from fleet.plan import ClusterPlan, Plan


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    path: Path
    text: str
    """Holds keys: keep it out of logs and messages."""


def read_kubeconfig(cluster: ClusterPlan, environ: Mapping[str, str] = os.environ) -> Kubeconfig:
    """Reads the cluster's kubeconfig, relative to the working directory (Pulumi.yaml's folder).

    Absent on the page: of `$KUBECONFIG`'s files the one that has the cluster's context, or else its first, or else
    `~/.kube/config`. Raises FleetError.
    """
    if cluster.kubeconfig is not None:
        return _read(cluster, cluster.kubeconfig)
    listed = [Path(each) for each in environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    first, *others = listed or [Path("~/.kube/config")]
    if cluster.context is not None:
        for path in (first, *others):
            # kubectl passes over those of the list that are not there.
            if path.exists() and cluster.context in _contexts(found := _read(cluster, path)):
                return found
    return _read(cluster, first)


def _read(cluster: ClusterPlan, path: Path) -> Kubeconfig:
    path = path.expanduser()
    try:
        return Kubeconfig(path, path.read_text())
    except OSError as error:
        where = f"clusters.{cluster.name}.kubeconfig"
        raise FleetError([Problem(where, f"{path} cannot be read: {error.strerror}")]) from None


def _contexts(kubeconfig: Kubeconfig) -> set[object]:
    """Names of its contexts; what is no kubeconfig has none."""
    try:
        document = cast("object", yaml.load(kubeconfig.text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError:
        return set()
    listed = cast("Mapping[str, object]", document).get("contexts") if isinstance(document, Mapping) else None
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    return {cast("Mapping[str, object]", entry).get("name") for entry in entries if isinstance(entry, Mapping)}


def read_kubeconfigs(plan: Plan) -> dict[str, Kubeconfig]:
    """Those that lie in files, by cluster name; the others are Pulumi secrets. Raises FleetError with all that fail."""
    found: dict[str, Kubeconfig] = {}
    problems: list[Problem] = []
    for name, cluster in plan.clusters.items():
        if cluster.kubeconfig_secret is None:
            try:
                found[name] = read_kubeconfig(cluster)
            except FleetError as error:
                problems.extend(error.problems)
    if problems:
        raise FleetError(problems)
    return found
