"""Where a cluster's kubeconfig lies, and what it says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from fleet.errors import FleetError, Problem
from fleet.plan import ClusterPlan, Plan


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    path: Path
    text: str
    """Holds keys: keep it out of logs and messages."""


class _Context(BaseModel):
    name: str


class _Contexts(BaseModel):
    contexts: list[_Context]


def read_kubeconfig(cluster: ClusterPlan, environ: Mapping[str, str] = os.environ) -> Kubeconfig:
    """Reads the cluster's kubeconfig, relative to the working directory (Pulumi.yaml's folder).

    Absent on the page: of the files in `$KUBECONFIG`, else `~/.kube/config`, the first that has the context.
    Raises FleetError.
    """
    where = f"clusters.{cluster.name}.kubeconfig"
    if cluster.kubeconfig is not None:
        return _read(cluster.kubeconfig, where)
    listed = [path for path in environ.get("KUBECONFIG", "").split(os.pathsep) if path] or ["~/.kube/config"]
    for path in map(Path, listed):
        found = _read(path, where)
        if cluster.context is None or cluster.context in _contexts(found, where):
            return found
    message = f"none of {', '.join(listed)} has the context {cluster.context!r}"
    raise FleetError([Problem(f"clusters.{cluster.name}.context", message)])


def _read(path: Path, where: str) -> Kubeconfig:
    try:
        return Kubeconfig(path.expanduser(), path.expanduser().read_text())
    except OSError as error:
        raise FleetError([Problem(where, f"{path} cannot be read: {error.strerror}")]) from None


def _contexts(kubeconfig: Kubeconfig, where: str) -> set[str]:
    try:
        return {context.name for context in _Contexts.model_validate(yaml.safe_load(kubeconfig.text)).contexts}
    except (ValidationError, yaml.YAMLError):
        # Neither error is shown: each quotes the file, which holds keys.
        raise FleetError([Problem(where, f"{kubeconfig.path} is not a kubeconfig")]) from None


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
