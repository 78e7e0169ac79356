"""What stands on a local cluster's node in place of a bucket."""

import subprocess
from pathlib import Path

from local.cluster import Cluster
from local.errors import LocalError

_MANIFEST = Path(__file__).parent / "volume.yaml"
_NAME = "bucket"
_USER = "1001"
"""Of Thanos's image."""


def ensure_bucket(cluster: Cluster) -> Path:
    """Where it lies on this machine; raises LocalError."""
    cluster.run(["install", "--directory", "--mode=0750", f"--owner={_USER}", f"--group={_USER}", f"/var/lib/{_NAME}"])
    _kubectl(cluster, "apply", "--server-side", f"--filename={_MANIFEST}")
    if _kubectl(cluster, "get", "persistentvolume", _NAME, "--output=jsonpath={.status.phase}") == "Released":
        # Whose claim is gone, Kubernetes keeps from any other.
        _kubectl(cluster, "patch", "persistentvolume", _NAME, "--patch", '{"spec":{"claimRef":null}}')
    return cluster.folder / "lib" / _NAME


def _kubectl(cluster: Cluster, *arguments: str) -> str:
    command = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"the volume of {cluster.node.name} cannot be made:\n{done.stderr.strip()}")
    return done.stdout
