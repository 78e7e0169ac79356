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
    command = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), "apply", "--server-side", f"--filename={_MANIFEST}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"{_MANIFEST.name} cannot be applied to {cluster.node.name}:\n{done.stderr.strip()}")
    return cluster.folder / "lib" / _NAME
