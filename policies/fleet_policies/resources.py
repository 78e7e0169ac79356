"""What a policy judges: a resource of a program, whichever way it came here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from pulumi_policy import PolicyProviderResource, PolicyResource, ResourceValidationArgs

from fleet_policies.tree import Node, Path, tree

_KUBERNETES = "kubernetes:"


@dataclass(frozen=True)
class Resource:
    type: str
    """Pulumi's token, `kubernetes:core/v1:Secret`."""
    name: str
    urn: str
    given: object
    """Its inputs; for a policy over the whole stack its outputs, which hold them. As the engine or a state has them."""
    provider: str = ""
    """URN of the provider, which stands for a cluster."""
    doubts: dict[Path, None] = field(default_factory=dict[Path, None])

    @cached_property
    def props(self) -> Node:
        """Made when asked for: every policy is given every resource, and looks into few."""
        return tree(self.given, self.doubts)


@dataclass(frozen=True)
class KubernetesObject:
    """One that Pulumi makes, or that a chart is given to make."""

    kind: str
    holder: Resource | Node

    @property
    def body(self) -> Node:
        return self.holder.props if isinstance(self.holder, Resource) else self.holder

    @property
    def namespace(self) -> Node:
        return self.body.at("metadata.namespace")

    @property
    def spec(self) -> Node:
        return self.body / "spec"


def from_engine(args: ResourceValidationArgs | PolicyResource) -> Resource:
    provider: PolicyProviderResource | None = args.provider
    return Resource(
        args.resource_type,
        args.name,
        args.urn,
        args.props,
        provider=provider.urn if provider is not None else "",
    )


def kubernetes_object(resource: Resource) -> KubernetesObject | None:
    """The object that the resource is; a release is none."""
    if not resource.type.startswith(_KUBERNETES) or is_release(resource):
        return None
    return KubernetesObject(resource.type.rpartition(":")[2].removesuffix("Patch"), resource)


def is_release(resource: Resource) -> bool:
    """Of Helm, as a Release or as a Chart that Pulumi renders."""
    return resource.type.startswith("kubernetes:helm.sh/") and resource.type.endswith((":Release", ":Chart"))


def chart_values(resource: Resource) -> Iterator[Node]:
    """The values of each kube-prometheus-stack in a release: as the chart itself, or below its alias in another."""
    if not is_release(resource):
        return
    values = resource.props / "values"
    named = _is_kube_prometheus_stack((resource.props / "chart").text or "")
    files = resource.props / "valueYamlFiles"
    found = False
    for root in (values, *(each.parsed() for each in files.elements())):
        for below in _places(root):
            if (below is root and named) or (below / "prometheus" / "prometheusSpec").is_given:
                found = True
                yield below
    if not found:
        for each in values.values():
            if each.is_open:
                each.doubt()


def objects(resource: Resource) -> Iterator[KubernetesObject]:
    """The object that the resource is, or those that a release is given beside its own templates."""
    if (own := kubernetes_object(resource)) is not None:
        yield own
    for values in chart_values(resource):
        extra = values / "extraManifests"
        for each in (*extra.elements(), *extra.values()):
            body = each.parsed()
            if (kind := (body / "kind").text) is not None:
                yield KubernetesObject(kind, body)


def _places(root: Node) -> Iterator[Node]:
    """Where a chart's values may begin: at the top, or below the name of a dependency, or of a dependency's."""
    yield root
    for _, child in _mappings(root):
        yield child
        yield from (below for _, below in _mappings(child))


def _mappings(node: Node) -> Iterator[tuple[str, Node]]:
    return ((key, child) for key, child in node.items() if isinstance(child.value, dict))


def _is_kube_prometheus_stack(chart: str) -> bool:
    return "kube-prometheus-stack" in chart.rstrip("/").rpartition("/")[2]
