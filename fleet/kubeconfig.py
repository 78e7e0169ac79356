"""Where a cluster's kubeconfig lies, and what it says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import FleetError, Problem
from fleet.plan import ClusterPlan, Plan


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    path: Path
    text: str
    """Holds keys: keep it out of logs and messages."""


def read_kubeconfig(cluster: ClusterPlan, environ: Mapping[str, str] = os.environ) -> Kubeconfig:
    """Reads the cluster's kubeconfig, relative to the working directory (Pulumi.yaml's folder).

    Absent on the page: the first file of `$KUBECONFIG`, then `~/.kube/config`. Raises FleetError.
    """
    default = environ.get("KUBECONFIG", "").split(os.pathsep)[0] or "~/.kube/config"
    path = (cluster.kubeconfig or Path(default)).expanduser()
    try:
        return Kubeconfig(path, path.read_text())
    except OSError as error:
        where = f"clusters.{cluster.name}.kubeconfig"
        raise FleetError([Problem(where, f"{path} cannot be read: {error.strerror}")]) from None


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
