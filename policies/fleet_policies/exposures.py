"""Ways to Prometheus's own port, which answers everybody, from outside of its cluster."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fleet_policies.model import servers
from fleet_policies.resources import KubernetesObject, Resource, objects
from fleet_policies.tree import Node

PROMETHEUS_PORT = 9090


@dataclass(frozen=True)
class Exposure:
    node: Node
    what: str


def exposures(resource: Resource) -> Iterator[Exposure]:
    for server in servers(resource):
        if server.values is not None:
            yield from _of_chart(server.values / "prometheus")
        if (server.spec / "hostNetwork").is_on:
            yield Exposure(server.spec / "hostNetwork", "Prometheus listens on its node")
    for each in objects(resource):
        yield from _of_object(each)


def _of_chart(prometheus: Node) -> Iterator[Exposure]:
    for service in (prometheus / "service", prometheus / "servicePerReplica"):
        is_made = service.path[-1] == "service" or (service / "enabled").is_on
        if is_made and (service / "type").text in _OUTSIDE:
            yield Exposure(service / "type", f"a Service publishes port {PROMETHEUS_PORT}")
        if is_made and (service / "externalIPs").is_given:
            yield Exposure(service / "externalIPs", f"a Service publishes port {PROMETHEUS_PORT}")
    for ingress in (prometheus / "ingress", prometheus / "ingressPerReplica"):
        if (ingress / "enabled").is_on:
            yield Exposure(ingress / "enabled", f"an Ingress leads to port {PROMETHEUS_PORT}")
    for route in (prometheus / "route").values():
        if (route / "enabled").is_on:
            yield Exposure(route / "enabled", f"a route leads to port {PROMETHEUS_PORT}")


_OUTSIDE = {"NodePort", "LoadBalancer"}
_PORT_NAMES = {"web", "http-web"}
_ROUTES = {"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"}


def _of_object(each: KubernetesObject) -> Iterator[Exposure]:
    match each.kind:
        case "Service":
            if (each.spec / "type").text in _OUTSIDE or (each.spec / "externalIPs").is_given:
                yield from _published(each.spec)
        case "Ingress":
            yield from _by_ingress(each.spec)
        case kind if kind in _ROUTES:
            for rule in (each.spec / "rules").elements():
                for backend in (rule / "backendRefs").elements():
                    if (backend / "port").number == PROMETHEUS_PORT:
                        yield Exposure(backend, f"a route leads to port {PROMETHEUS_PORT}")
        case _:
            pass


def _by_ingress(spec: Node) -> Iterator[Exposure]:
    backends = [spec / "defaultBackend"]
    for rule in (spec / "rules").elements():
        backends += [path / "backend" for path in (rule / "http" / "paths").elements()]
    for service in (backend / "service" for backend in backends):
        if _is_prometheus(service / "port" / "number", service / "port" / "name", [service / "name"]):
            yield Exposure(service, f"an Ingress leads to port {PROMETHEUS_PORT}")


def _published(spec: Node) -> Iterator[Exposure]:
    selected = [*(spec / "selector").values()]
    for port in (spec / "ports").elements():
        target = port / "targetPort"
        number = target if target.is_given else port / "port"
        if _is_prometheus(number, target, selected):
            yield Exposure(port, f"a Service publishes port {PROMETHEUS_PORT}")


def _is_prometheus(number: Node, name: Node, named: Iterable[Node]) -> bool:
    """By its port; names of ports are everybody's, so what has one must be called Prometheus as well."""
    if number.number == PROMETHEUS_PORT:
        return True
    return name.text in _PORT_NAMES and any("prometheus" in (each.text or "") for each in named)
