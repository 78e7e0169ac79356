"""How each called cluster is reached, from the fleet's `gateway` and its own."""

from collections.abc import Iterator
from typing import cast

from fleet.compiler.topology import Topology
from fleet.errors import Problem, at
from fleet.names import GATEWAY_PORT, Tier
from fleet.page import Gateway, Page
from fleet.plan import GatewayPlan

_NODE_PORTS = range(30000, 32768)
_PORTS = {"http": 80, "https": 443}


def gateway_plan(page: Page, name: str) -> GatewayPlan:
    gateway = _merged(page, name)
    scheme = gateway.scheme or ("https" if gateway.type in {"Host", "HTTPRoute"} else "http")
    default = {"LoadBalancer": GATEWAY_PORT, "NodePort": 30443}.get(gateway.type, _PORTS[scheme])
    return GatewayPlan(gateway.type, gateway.host, gateway.port or default, scheme, gateway.parent_ref)


def _merged(page: Page, name: str) -> Gateway:
    own = page.clusters[name].gateway
    if own is None:
        return page.gateway
    if "type" in own.model_fields_set and own.type != page.gateway.type:
        # What the fleet says of another type does not fit.
        return own
    return page.gateway.model_copy(
        update={field: cast("object", getattr(own, field)) for field in own.model_fields_set}
    )


def gateway_problems(page: Page, topology: Topology) -> Iterator[Problem]:
    for name, cluster in page.clusters.items():
        if name in topology.called:
            yield from _problems(_merged(page, name), ("clusters", name, "gateway"))
        elif cluster.gateway is not None and cluster.tier is Tier.LEAF:
            yield at(["clusters", name, "gateway"], "nobody calls a leaf that goes up by remote write alone")


def _problems(gateway: Gateway, where: tuple[str, ...]) -> Iterator[Problem]:
    match gateway.type:
        case "NodePort":
            if gateway.host is None:
                yield at((*where, "host"), "type NodePort needs an address of one of the cluster's nodes", "192.0.2.1")
            if gateway.port is not None and gateway.port not in _NODE_PORTS:
                message = f"type NodePort needs a port from {_NODE_PORTS[0]} to {_NODE_PORTS[-1]}, not {gateway.port}"
                yield at((*where, "port"), message, 30443)
        case "Host" | "HTTPRoute" if gateway.host is None:
            message = f"type {gateway.type} needs the name that others dial"
            yield at((*where, "host"), message, f"{where[1]}.example.com")
        case _:
            pass
    if gateway.type == "HTTPRoute" and gateway.parent_ref is None:
        message = "type HTTPRoute needs the Gateway that it attaches to"
        yield at((*where, "parentRef"), message, {"name": "public", "namespace": "gateways"})
    if gateway.type != "HTTPRoute" and gateway.parent_ref is not None:
        yield at((*where, "parentRef"), f"has no meaning for type {gateway.type}, only for HTTPRoute")
    if gateway.type in {"LoadBalancer", "NodePort"} and gateway.scheme is not None:
        yield at((*where, "scheme"), f"has no meaning for type {gateway.type}: the gateway itself speaks http")
