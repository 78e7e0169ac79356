"""How each called cluster is reached, from the fleet's `gateway` and its own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

from pydantic.alias_generators import to_snake

from fleet.compiler.sizes import replicas
from fleet.compiler.topology import Topology, writes
from fleet.errors import Problem, at
from fleet.names import GATEWAY_PORT, Tier, server_name
from fleet.page import Gateway, OwnGateway, Page, Tls
from fleet.plan import FLEET, PUBLIC, Address, GatewayPlan, Identity

_NODE_PORTS = range(30000, 32768)
_PORTS = {"LoadBalancer": GATEWAY_PORT, "NodePort": 30443, "Host": 443, "HTTPRoute": 443}


def gateway_plan(page: Page, name: str) -> GatewayPlan:
    gateway, tls = _merged(page, name), tls_of(page, name)
    return GatewayPlan(
        type=gateway.type,
        host=gateway.host,
        port=gateway.port or _PORTS[gateway.type],
        parent_ref=gateway.parent_ref,
        passthrough=_passes_through(gateway),
        tls=tls,
        tls_path=("clusters", name, "tls") if page.clusters[name].tls is not None else ("tls",),
        certified=_certified(name, gateway, tls),
        server=_server(name, gateway, tls),
        replicas=tuple(_replicas(page, name, gateway)),
    )


def _replicas(page: Page, name: str, gateway: OwnGateway) -> Iterator[Address]:
    port = gateway.port or _PORTS[gateway.type]
    for number in range(_written_replicas(page, name)):
        if gateway.replicas is None:
            yield Address(None, port)
        elif number < len(gateway.replicas):
            own = gateway.replicas[number]
            yield Address(own.host or gateway.host, own.port or port)


def _written_replicas(page: Page, name: str) -> int:
    """How many replicas every sender writes to; 0 where it writes to the gateway's own address."""
    is_receiver = page.clusters[name].tier is Tier.GLOBAL and any(map(writes, page.clusters.values()))
    count = replicas(page, name) if is_receiver else 1
    return count if count > 1 else 0


def tls_of(page: Page, name: str) -> Tls:
    return page.clusters[name].tls or page.tls


def _passes_through(gateway: Gateway) -> bool:
    return gateway.type != "HTTPRoute" and gateway.passthrough is not False


def _server(name: str, gateway: Gateway, tls: Tls) -> Identity:
    if not _passes_through(gateway):
        return Identity(gateway.host or "", PUBLIC)
    return Identity(_certified(name, gateway, tls), FLEET if tls.mode == "generated" else tls.ca or PUBLIC)


def _certified(name: str, gateway: Gateway, tls: Tls) -> str:
    """One's own authority signs what it is asked to; a public one, and whoever made a Secret, real names alone."""
    is_own = tls.mode == "generated" or (tls.mode == "cert-manager" and tls.ca is not None)
    return server_name(name) if is_own else gateway.host or ""


def _merged(page: Page, name: str) -> OwnGateway:
    own = page.clusters[name].gateway or OwnGateway()
    if "type" in own.model_fields_set and own.type != page.gateway.type:
        # What the fleet says of another type does not fit.
        return own
    return OwnGateway().model_copy(update={**_said(page.gateway), **_said(own)})


def _said(gateway: Gateway) -> dict[str, object]:
    return {field: cast("object", getattr(gateway, field)) for field in gateway.model_fields_set}


def gateway_problems(page: Page, topology: Topology, stacks: Mapping[str, str]) -> Iterator[Problem]:
    called = (name for name in page.clusters if name in topology.called)
    # What is wrong with the fleet's own gateway is wrong once, not once per cluster.
    yield from dict.fromkeys(problem for name in called for problem in _problems(page, name))
    yield from _shared_addresses(page, topology)
    yield from _unknown_receiver(page, topology, stacks)
    for name, cluster in page.clusters.items():
        if name not in topology.called and cluster.gateway is not None and cluster.tier is Tier.LEAF:
            yield at(["clusters", name, "gateway"], "nobody calls a leaf that goes up by remote write alone")


def _shared_addresses(page: Page, topology: Topology) -> Iterator[Problem]:
    """Nobody would notice: one cluster would be taken for the other."""
    seen: dict[Address, str] = {}
    for name in page.clusters:
        if name not in topology.called:
            continue
        plan, gateway = gateway_plan(page, name), ("clusters", name, "gateway")
        places: list[tuple[str, Address, Sequence[object], object]] = [
            (name, plan.address, (*gateway, "host"), f"{name}.example.com")
        ]
        for number, address in enumerate(plan.replicas):
            right = {"host": f"{name}-{number}.example.com"}
            places.append((f"replica {number} of {name}", address, (*gateway, "replicas", number), right))
        for whose, address, path, right in places:
            if address.host is not None and (other := seen.setdefault(address, whose)) != whose:
                message = f"{other} is dialled at {address} as well: one would be taken for the other"
                yield at(path, message, right)


def _unknown_receiver(page: Page, topology: Topology, stacks: Mapping[str, str]) -> Iterator[Problem]:
    """A stack below is deployed first, so it must know what it writes to without asking."""
    top = topology.top
    ways = (("writes", topology.writers), ("writes", topology.storing), ("sends alerts", topology.alerting))
    crossing = ((name, sends) for sends, names in ways for name in names if stacks.get(name) != stacks.get(top))
    sender, sends = next(crossing, (None, None))
    if sender is not None and _merged(page, top).type == "LoadBalancer" and _merged(page, top).host is None:
        message = f"{sender} of stack {stacks[sender]} {sends} to {top}, so its address must stand on the page"
        yield at(["clusters", top, "gateway", "host"], message, f"{top}.example.com")


def _problems(page: Page, name: str) -> Iterator[Problem]:
    gateway, own = _merged(page, name), page.clusters[name].gateway

    def where(field: str) -> tuple[str, ...]:
        is_own = own is not None and to_snake(field) in own.model_fields_set
        return ("clusters", name, "gateway", field) if is_own or _merged(page, name) is own else ("gateway", field)

    own_host = ("clusters", name, "gateway", "host")
    if gateway.type == "NodePort":
        if gateway.host is None:
            yield at(own_host, "type NodePort needs an address of one of the cluster's nodes", "192.0.2.1")
        yield from _node_port_problems(gateway.port, where("port"), 30443)
    elif gateway.type != "LoadBalancer" and gateway.host is None:
        yield at(own_host, f"type {gateway.type} needs the name that others dial", f"{name}.example.com")
    elif not _certified(name, gateway, tls_of(page, name)):
        mode = tls_of(page, name).mode
        yield at(own_host, f"a certificate of mode {mode} is for the name that others dial", f"{name}.example.com")
    yield from _route_problems(gateway, where)
    yield from _replica_problems(page, name, gateway)


def _replica_problems(page: Page, name: str, gateway: OwnGateway) -> Iterator[Problem]:
    path, count = ("clusters", name, "gateway", "replicas"), _written_replicas(page, name)
    is_known_later = gateway.type == "LoadBalancer" and gateway.host is None
    by_port = gateway.type == "NodePort"
    right = [
        {"port": (gateway.port or _PORTS["NodePort"]) + 1 + number}
        if by_port
        else {"host": f"{name}-{number}.example.com"}
        for number in range(count)
    ]
    given = gateway.replicas
    if given is None:
        if count and not is_known_later:
            message = f"{name} has {count} replicas, and who writes to it must reach each of them: say where"
            yield at(path, message, right)
        return
    if not count:
        yield at(path, f"has no meaning: nobody writes to several replicas of {name}")
    elif is_known_later:
        yield at(path, "has no meaning without host: the Service of each replica has an address of its own")
    elif len(given) != count:
        yield at(path, f"{name} has {count} replicas, and this names {len(given)}", right)
    for number, each in enumerate(given):
        if by_port:
            yield from _node_port_problems(each.port, (*path, number), {"port": 30444 + number})
        if each.port is not None and gateway.type == "HTTPRoute":
            yield at(
                (*path, number), "has its port from its Gateway: a replica has a host of its own", right[:1] or None
            )


def _node_port_problems(port: int | None, path: Sequence[object], right: object) -> Iterator[Problem]:
    if port is not None and port not in _NODE_PORTS:
        yield at(path, f"type NodePort needs a port from {_NODE_PORTS[0]} to {_NODE_PORTS[-1]}, not {port}", right)


def _route_problems(gateway: Gateway, where: Callable[[str], tuple[str, ...]]) -> Iterator[Problem]:
    is_route = gateway.type == "HTTPRoute"
    if is_route and gateway.parent_ref is None:
        message = "type HTTPRoute needs the Gateway that it attaches to"
        yield at((*where("type")[:-1], "parentRef"), message, {"name": "public", "namespace": "gateways"})
    if not is_route and gateway.parent_ref is not None:
        yield at(where("parentRef"), f"has no meaning for type {gateway.type}, only for HTTPRoute")
    if gateway.type != "Host" and gateway.passthrough is not None:
        reason = "the cluster's Gateway ends TLS" if is_route else "callers reach the gateway itself"
        yield at(where("passthrough"), f"has no meaning for type {gateway.type}: {reason}")
