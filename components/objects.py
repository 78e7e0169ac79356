"""The one place that turns a manifest of `fleet.manifests` into a resource."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import pulumi
import pulumi_kubernetes as k8s

from components.authorities import made
from fleet import manifests
from fleet.alerts import AlertGroup
from fleet.manifests import Manifest
from fleet.plan import ClusterPlan
from fleet.rules import RuleGroup, rule_groups

if TYPE_CHECKING:
    from pulumi_kubernetes.apps.v1 import DeploymentSpecArgsDict, StatefulSetSpecArgsDict
    from pulumi_kubernetes.core.v1 import PersistentVolumeClaimSpecArgsDict, ServiceSpecArgsDict
    from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
    from pulumi_kubernetes.networking.v1 import NetworkPolicySpecArgsDict
    from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict


def create(name: str, manifest: Manifest, opts: pulumi.ResourceOptions) -> pulumi.CustomResource:
    metadata = cast("ObjectMetaArgsDict", manifest["metadata"])
    created: pulumi.CustomResource
    match manifest["kind"]:
        case "Namespace":
            created = k8s.core.v1.Namespace(name, metadata=metadata, opts=opts)
        case "ConfigMap":
            text = cast("Mapping[str, pulumi.Input[str]]", manifest.get("data"))
            created = k8s.core.v1.ConfigMap(name, metadata=metadata, data=text, opts=opts)
        case "Secret":
            # Data that is not secret on its way here would lie in state in clear.
            given = cast("dict[str, pulumi.Input[str]]", manifest.get("stringData", {}))
            data = {key: pulumi.Output.secret(value) for key, value in given.items()}
            created = k8s.core.v1.Secret(name, metadata=metadata, string_data=data, opts=opts)
        case "Role":
            rules = cast("Sequence[PolicyRuleArgsDict]", manifest.get("rules"))
            created = k8s.rbac.v1.Role(name, metadata=metadata, rules=rules, opts=opts)
        case "Service":
            spec = cast("ServiceSpecArgsDict", manifest.get("spec"))
            created = k8s.core.v1.Service(name, metadata=metadata, spec=spec, opts=opts)
        case "PersistentVolumeClaim":
            spec = cast("PersistentVolumeClaimSpecArgsDict", manifest.get("spec"))
            created = k8s.core.v1.PersistentVolumeClaim(name, metadata=metadata, spec=spec, opts=opts)
        case "Deployment":
            spec = cast("DeploymentSpecArgsDict", manifest.get("spec"))
            created = k8s.apps.v1.Deployment(name, metadata=metadata, spec=spec, opts=opts)
        case "StatefulSet":
            spec = cast("StatefulSetSpecArgsDict", manifest.get("spec"))
            created = k8s.apps.v1.StatefulSet(name, metadata=metadata, spec=spec, opts=opts)
        case "NetworkPolicy":
            spec = cast("NetworkPolicySpecArgsDict", manifest.get("spec"))
            created = k8s.networking.v1.NetworkPolicy(name, metadata=metadata, spec=spec, opts=opts)
        case kind:
            created = k8s.apiextensions.CustomResource(
                name,
                api_version=manifest["apiVersion"],
                kind=kind,
                metadata=metadata,
                spec=manifest.get("spec"),
                opts=opts,
            )
    return created


def service_address(service: pulumi.CustomResource, port: int) -> pulumi.Output[str]:
    """`host:port` inside of the cluster."""
    address = cast("k8s.core.v1.Service", service).spec.cluster_ip
    return made(address).apply(lambda host: f"{bracketed(host)}:{port}")


def bracketed(host: str) -> str:
    """As it stands before a port."""
    return f"[{host}]" if ":" in host else host


def monitoring_namespace(cluster: ClusterPlan, provider: pulumi.ProviderResource) -> pulumi.CustomResource:
    opts = pulumi.ResourceOptions(provider=provider, protect=cluster.protect)
    return create(f"{cluster.name}-namespace", manifests.namespace(cluster), opts)


def recording_rules(
    cluster: ClusterPlan, parent: pulumi.Resource, release: pulumi.Resource
) -> pulumi.Output[list[str]]:
    """Creates the cluster's rule groups, after the release that brings their CRD; answers the series they record."""
    groups = rule_groups(cluster)
    created = [_prometheus_rule(cluster, group, parent, release).urn for group in groups]
    return pulumi.Output.all(*created).apply(lambda _: [record for group in groups for record in group.records])


def alerting_rules(
    cluster: ClusterPlan, groups: Sequence[AlertGroup], parent: pulumi.Resource, release: pulumi.Resource
) -> None:
    """Creates the cluster's alerts, after the release that brings their CRD."""
    for group in groups:
        _prometheus_rule(cluster, group, parent, release)


def _prometheus_rule(
    cluster: ClusterPlan, group: RuleGroup | AlertGroup, parent: pulumi.Resource, release: pulumi.Resource
) -> pulumi.CustomResource:
    opts = pulumi.ResourceOptions(parent=parent, depends_on=[release])
    return create(f"{cluster.name}-{group.name}", manifests.prometheus_rule(cluster, group), opts)
