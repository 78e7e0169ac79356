"""Ways into a cluster: what is published beyond it, and whom its NetworkPolicies let in. Each in words."""

from collections.abc import Iterator

from pydantic import JsonValue

from fleet.review.description import Object
from fleet.review.differences import ClusterState, ObjectName, Objects
from fleet.review.markdown import code
from fleet.review.nodes import mapping, sequence

_ROUTES = {"GRPCRoute", "HTTPRoute", "Ingress", "TCPRoute", "TLSRoute", "UDPRoute"}
_PODS = {"CronJob", "DaemonSet", "Deployment", "Job", "Pod", "Prometheus", "PrometheusAgent", "StatefulSet"}


def published(objects: Objects) -> dict[str, None]:
    """To others than pods of the same cluster."""
    return dict.fromkeys(each for name, made in objects.items() for each in _published(name, made))


def admitted(objects: Objects) -> dict[str, None]:
    policies = ((name, made) for name, made in objects.items() if name.kind == "NetworkPolicy")
    return dict.fromkeys(each for name, made in policies for each in _admitted(name, mapping(made.get("spec"))))


def selects(policy: Object, state: ClusterState) -> bool:
    """Whether pods for which it is are there; where what the chart makes is not known, they are."""
    wanted = mapping(mapping(mapping(policy.get("spec")).get("podSelector")).get("matchLabels"))
    pods = (labels for name, made in state.objects.items() for labels in _pod_labels(name, made))
    return not state.is_rendered or any(wanted.items() <= labels.items() for labels in pods)


def _pod_labels(name: ObjectName, made: Object) -> Iterator[Object]:
    """As the object has them, or as the operator gives them."""
    if name.kind in _OPERATED:
        yield {"app.kubernetes.io/name": _OPERATED[name.kind], "operator.prometheus.io/name": name.name}
        yield {"app.kubernetes.io/name": _OPERATED[name.kind], _OPERATED[name.kind]: name.name}
    template = mapping(mapping(made.get("spec")).get("template"))
    labels = mapping(mapping(template.get("metadata")).get("labels"))
    if labels:
        yield labels


_OPERATED = {"Alertmanager": "alertmanager", "Prometheus": "prometheus", "PrometheusAgent": "prometheus-agent"}


def _published(name: ObjectName, made: Object) -> Iterator[str]:
    spec = mapping(made.get("spec"))
    if name.kind == "Service":
        yield from _service(name, spec)
    elif name.kind in _ROUTES:
        hosts = [*sequence(spec.get("hostnames")), *(mapping(each).get("host") for each in sequence(spec.get("rules")))]
        for host in [each for each in hosts if each is not None] or ["every host"]:
            yield f"{name.kind} {code(str(name))} answers for {code(str(host))}"
    elif name.kind in _PODS:
        yield from _host_ports(name, made)


def _admitted(name: ObjectName, spec: Object) -> Iterator[str]:
    for rule in map(mapping, sequence(spec.get("ingress"))):
        # No list at all, or an empty one, is everybody and every port.
        for peer in sequence(rule.get("from")) or ["everybody"]:
            for port in sequence(rule.get("ports")) or ["every port"]:
                yield f"NetworkPolicy {code(str(name))} lets {_peer(peer)} call {_port(port)}"


def _service(name: ObjectName, spec: Object) -> Iterator[str]:
    kind = spec.get("type", "ClusterIP")
    for port in map(mapping, sequence(spec.get("ports"))):
        if kind in {"LoadBalancer", "NodePort"}:
            node = f", {code(str(port['nodePort']))} of every node" if "nodePort" in port else ""
            yield f"Service {code(str(name))} ({kind}) publishes port {code(str(port.get('port')))}{node}"
        for address in sequence(spec.get("externalIPs")):
            yield f"Service {code(str(name))} publishes port {code(str(port.get('port')))} at {code(str(address))}"


def _host_ports(name: ObjectName, node: JsonValue) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("hostNetwork") is True:
            yield f"{name.kind} {code(str(name))} is on its nodes' own network"
        if node.get("hostPort"):
            yield f"{name.kind} {code(str(name))} listens on port {code(str(node['hostPort']))} of its nodes"
    for each in node.values() if isinstance(node, dict) else sequence(node):
        yield from _host_ports(name, each)


def _peer(peer: JsonValue) -> str:
    if isinstance(peer, str):
        return peer
    words = [
        *_words("pods", mapping(peer).get("podSelector")),
        *_words("all of", mapping(peer).get("namespaceSelector")),
    ]
    block = mapping(mapping(peer).get("ipBlock"))
    words += [code(str(block["cidr"]))] if block else []
    return " in ".join(words) or "everybody"


def _words(what: str, selector: JsonValue) -> Iterator[str]:
    if selector is None:
        return
    labels = mapping(mapping(selector).get("matchLabels"))
    shown = ", ".join(f"{key}={value}" for key, value in labels.items())
    more = sequence(mapping(selector).get("matchExpressions"))
    shown = ", ".join([*([shown] if shown else []), *map(str, more)])
    yield f"{what} {code(shown)}" if shown else f"{what} any namespace" if what == "all of" else "any pod"


def _port(port: JsonValue) -> str:
    if isinstance(port, str):
        return port
    fields = mapping(port)
    last = f" to {code(str(fields['endPort']))}" if "endPort" in fields else ""
    return f"port {code(str(fields['port']))}{last}" if "port" in fields else "every port"
