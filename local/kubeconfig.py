"""A kubeconfig with its keys inside, so that a copy of the file is all that it takes."""

import base64
from collections.abc import Sequence
from pathlib import Path

import yaml


def kubeconfig(pki: Path, *, name: str, server: str, contexts: Sequence[str], identity: str = "admin") -> str:
    """For `identity` at `server`, with the keys that `local.pki` made; the first context is the current one."""

    def encoded(file: str) -> str:
        return base64.b64encode((pki / file).read_bytes()).decode()

    user = f"{name}-{identity}"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": name, "cluster": {"server": server, "certificate-authority-data": encoded("ca.crt")}}
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": encoded(f"{identity}.crt"),
                        "client-key-data": encoded(f"{identity}.key"),
                    },
                }
            ],
            "contexts": [{"name": context, "context": {"cluster": name, "user": user}} for context in contexts],
            "current-context": contexts[0],
        },
        sort_keys=False,
    )
