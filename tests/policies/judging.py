"""A policy asked as the engine asks it: nested proxies that are neither dict nor list, and unknowns that raise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fleet_policies import POLICIES
from fleet_policies.policy import FleetPolicy, ResourcePolicy
from pulumi_policy import PolicyResource, PolicyResourceOptions, ResourceValidationArgs, StackValidationArgs
from pulumi_policy.policy import PolicyCustomTimeouts, PolicyProviderResource
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy

UNKNOWN = UNKNOWN_STRING_VALUE
RELEASE = "kubernetes:helm.sh/v3:Release"
OPTIONS = PolicyResourceOptions(
    protect=False,
    ignore_changes=[],
    delete_before_replace=None,
    aliases=[],
    custom_timeouts=PolicyCustomTimeouts(0, 0, 0),
    additional_secret_outputs=[],
    parent=None,
)
BY_ID: Mapping[str, FleetPolicy] = {policy.id: policy for policy in POLICIES}


@dataclass(frozen=True)
class Made:
    """A resource of somebody's program."""

    type: str
    name: str
    props: dict[str, Any]


@dataclass
class Said:
    messages: list[str] = field(default_factory=list[str])
    unjudged: str | None = None
    """What the engine prints where a policy could not judge."""


def release(spec: Mapping[str, Any] = MappingProxyType({}), name: str = "here", **more: Any) -> Made:
    """Of kube-prometheus-stack; `more` are its other values."""
    prometheus = {**more.pop("prometheus", {}), "prometheusSpec": dict(spec)}
    values = {"prometheus": prometheus, **more}
    props = {"chart": "kube-prometheus-stack", "namespace": "monitoring", "values": values}
    return Made(RELEASE, name, props)


def made(kind: str, name: str = "here", api: str = "monitoring.coreos.com/v1", **body: Any) -> Made:
    """An object of Kubernetes."""
    metadata = {"name": name, "namespace": "monitoring"}
    return Made(f"kubernetes:{api}:{kind}", name, {"kind": kind, "metadata": metadata, **body})


def judged(policy: str, *resources: Made, **settings: Any) -> Said:
    said = Said()
    asked = BY_ID[policy]

    def report(message: str, _: str | None = None) -> None:
        said.messages.append(message)

    try:
        if isinstance(asked, ResourcePolicy):
            for each in resources:
                asked.pulumi().validate(_one(each, settings), report)
        else:
            asked.pulumi().validate(_stack(resources, settings), report)
    except UnknownValueError as error:
        said.unjudged = error.message
    return said


def _one(each: Made, settings: Mapping[str, Any]) -> ResourceValidationArgs:
    props = unknown_checking_proxy(each.props)
    return ResourceValidationArgs(each.type, props, f"urn:{each.name}", each.name, OPTIONS, None, settings)


def _stack(resources: Sequence[Made], settings: Mapping[str, Any]) -> StackValidationArgs:
    provider = PolicyProviderResource("pulumi:providers:kubernetes", {}, "urn:provider", "provider")
    found = [
        PolicyResource(
            each.type,
            unknown_checking_proxy(each.props),
            f"urn:{each.name}",
            each.name,
            OPTIONS,
            provider,
            None,
            [],
            {},
        )
        for each in resources
    ]
    return StackValidationArgs(found, settings)
