"""The gateway: a Caddy beside Prometheus, the only way in from outside of the cluster.

A sidecar, because the Prometheus CRD has no basic auth and `--web.config.file` belongs to the operator. Its whole
configuration is one JSON file in a Secret, for `--watch` compares the bytes of that file alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fleet import pods, versions
from fleet.names import GATEWAY, GATEWAY_CONTAINER, GATEWAY_PORT
from fleet.plan import Discovery, Edge, RemoteWriteEdge

CONFIG_KEY = "caddy.json"
ACCOUNTS_KEY = "auth"
_MOUNT = "/etc/gateway"


@dataclass(frozen=True, slots=True)
class Account:
    """One caller of a gateway. In the program the hash is an Output."""

    edge: Edge | Discovery
    bcrypt_hash: object


def caddy_config(accounts: Sequence[Account]) -> dict[str, object]:
    """Caddy's JSON: each planned path with the accounts that may call it, and 404 for everything else."""
    federate = [account for account in accounts if not isinstance(account.edge, RemoteWriteEdge)]
    write = [account for account in accounts if isinstance(account.edge, RemoteWriteEdge)]
    routes = [
        *_route("/federate", "GET", federate),
        *_route("/api/v1/write", "POST", write),
        {"handle": [{"handler": "static_response", "status_code": 404}]},
    ]
    server = {"listen": [f":{GATEWAY_PORT}"], "automatic_https": {"disable": True}, "routes": routes}
    return {
        # No admin endpoint: it could change the configuration without a credential.
        "admin": {"disabled": True, "config": {"persist": False}},
        "apps": {"http": {"servers": {"gateway": server}}},
    }


def _route(path: str, method: str, accounts: Sequence[Account]) -> list[dict[str, object]]:
    if not accounts:
        return []
    authentication = {
        "handler": "authentication",
        "providers": {
            "http_basic": {
                "accounts": [
                    {"username": account.edge.caller, "password": account.bcrypt_hash} for account in accounts
                ],
                "hash": {"algorithm": "bcrypt"},
                # bcrypt at cost 10 takes 50 ms of CPU: paid once per password, not once per request.
                "hash_cache": {},
            }
        },
    }
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": "127.0.0.1:9090"}],
        # Prometheus knows no users: the credential ends here.
        "headers": {"request": {"delete": ["Authorization"]}},
    }
    match = {"path": [path], "method": [method]}
    return [{"match": [match], "handle": [authentication, proxy], "terminal": True}]


def container(registry: str | None) -> dict[str, object]:
    """The sidecar for `prometheusSpec.containers`; `registry` is a mirror in place of the image's own."""
    host, _, repository = versions.CADDY_IMAGE.partition("/")
    return {
        "name": GATEWAY_CONTAINER,
        "image": f"{registry or host}/{repository}",
        "command": ["caddy", "run", "--config", f"{_MOUNT}/{CONFIG_KEY}", "--watch"],
        "env": [{"name": name, "value": "/tmp"} for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")],  # noqa: S108 (the pod's own)
        "ports": [{"name": GATEWAY_CONTAINER, "containerPort": GATEWAY_PORT}],
        "readinessProbe": {"tcpSocket": {"port": GATEWAY_PORT}, "periodSeconds": 5},
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi"},
        },
        "securityContext": {
            **pods.POD,
            **pods.CONTAINER,
            # The released image's binary has this as a file capability: without it in the bounding set the kernel
            # refuses to start it. It is the one that the restricted Pod Security Standard lets a container add.
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
        "volumeMounts": [{"name": GATEWAY_CONTAINER, "mountPath": _MOUNT, "readOnly": True}],
    }


def volume() -> dict[str, object]:
    """The sidecar's configuration for `prometheusSpec.volumes`; the htpasswd key stays outside of the pod."""
    items = [{"key": CONFIG_KEY, "path": CONFIG_KEY}]
    return {"name": GATEWAY_CONTAINER, "secret": {"secretName": GATEWAY, "items": items}}
