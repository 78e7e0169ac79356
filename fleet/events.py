"""What the engine noted of an update, of which Pulumi's exit status says only whether all of it went well."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

_PROVIDERS = "::pulumi:providers:kubernetes::"
_SUMMARY = "update failed"
"""What it says at the end of every update in which something failed."""


class _Step(BaseModel):
    urn: str
    provider: str = ""


class _Failed(BaseModel):
    metadata: _Step


class _Diagnostic(BaseModel):
    urn: str = ""
    severity: str
    message: str


class _Policy(BaseModel):
    enforcementLevel: str  # noqa: N815 (Pulumi's name)


class _Event(BaseModel):
    resOpFailedEvent: _Failed | None = None  # noqa: N815 (Pulumi's name)
    diagnosticEvent: _Diagnostic | None = None  # noqa: N815 (likewise)
    policyEvent: _Policy | None = None  # noqa: N815 (likewise)


@dataclass(frozen=True, slots=True)
class Failures:
    operations: Mapping[str, str]
    """Cluster by URN, of what could not be created, updated or deleted; empty for what is in no cluster."""
    messages: Mapping[str, str]
    """What was said of each of those."""
    others: bool
    """Whether anything else went wrong: the program, or a policy."""


def failures(log: Iterable[str]) -> Failures:
    """Of the lines of an event log."""
    events = [_Event.model_validate_json(line) for line in log]
    failed = [event.resOpFailedEvent.metadata for event in events if event.resOpFailedEvent is not None]
    operations = {step.urn: _cluster(step.provider) for step in failed}
    errors = [each for event in events if (each := event.diagnosticEvent) is not None and each.severity == "error"]
    refused = any(
        event.policyEvent is not None and event.policyEvent.enforcementLevel == "mandatory" for event in events
    )
    return Failures(
        operations,
        {urn: " ".join(each.message for each in errors if each.urn == urn) for urn in operations},
        refused or any(each.urn not in operations and each.message.strip() != _SUMMARY for each in errors),
    )


def _cluster(provider: str) -> str:
    """A reference is the URN of a provider, named after its cluster, and an id."""
    return provider.partition(_PROVIDERS)[2].partition("::")[0]


class _Resource(BaseModel):
    urn: str


class _Deployment(BaseModel):
    resources: list[_Resource] = []


class _Export(BaseModel):
    deployment: _Deployment


def deployed_names(export: str) -> frozenset[str]:
    """Names of what `pulumi stack export` shows."""
    resources = _Export.model_validate_json(export).deployment.resources
    return frozenset(each.urn.rpartition("::")[2] for each in resources)
