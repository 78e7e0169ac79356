"""A kubeconfig with its keys inside, so that a copy of the file is all that it takes."""

import base64
from collections.abc import Sequence
from pathlib import Path

import yaml


def kubeconfig(pki: Path, *, names: Sequence[str], server: str, identity: str = "admin") -> str:
    """For `identity` at `server`, with the keys that `local.pki` made.

    Each name has a cluster, a user and a context of its own, as if they were several; the first one is the current.
    """

    def encoded(file: str) -> str:
        return base64.b64encode((pki / file).read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": encoded("ca.crt")}
    keys = {
        "client-certificate-data": encoded(f"{identity}.crt"),
        "client-key-data": encoded(f"{identity}.key"),
    }
    users = {name: f"{name}-{identity}" for name in names}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": dict(cluster)} for name in names],
            "users": [{"name": user, "user": dict(keys)} for user in users.values()],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}} for name, user in users.items()],
            "current-context": names[0],
        },
        sort_keys=False,
    )
