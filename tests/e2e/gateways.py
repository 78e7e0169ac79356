"""Gateways of the live fleet, called from outside as their callers do."""

import base64
import functools
import json
import ssl
from collections.abc import Mapping

import httpx
from kubectl import kubectl

from fleet.names import server_name

ADDRESSES = {"eu-1": "172.30.1.2", "eu-2": "172.30.2.2", "eu": "172.30.3.2", "hub": "172.30.4.2"}


def call(
    cluster: str,
    method: str,
    path: str,
    auth: tuple[str, str] | None = None,
    *,
    name: str | None = None,
    trusting: ssl.SSLContext | None = None,
) -> httpx.Response:
    """Raises httpx.TransportError where the gateway's certificate is not of the fleet and of that cluster."""
    with httpx.Client(verify=trusting or _trusting()) as client:
        return client.request(
            method,
            f"https://{ADDRESSES[cluster]}:30443{path}",
            **({"auth": auth} if auth is not None else {}),
            extensions={"sni_hostname": name or server_name(cluster)},
        )


def held(parent: str) -> Mapping[str, str]:
    """What `parent` holds to call its children."""
    secret = kubectl(parent, "--namespace=monitoring", "get", "secret", "federation-credentials", "-o=json")
    return {key: base64.b64decode(value).decode() for key, value in json.loads(secret)["data"].items()}


@functools.cache
def _trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=held("hub")["eu.ca"])
