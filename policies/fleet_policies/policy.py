"""What a policy is here, and how the engine runs it.

A policy is a function from a resource, or from all of a stack, to violations. What it asked for and could not know is
no pass: after its violations it says that it could not judge, which the engine shows as such.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_OBJECT_VALUE, UnknownValueError

from fleet_policies.resources import Resource, from_engine
from fleet_policies.tree import Node, tree

PAGE = "docs/policies.md"
"""Of this repository, wherever that is kept."""

_SHOWN = 5
"""Places that could not be judged, beyond which the others are counted."""


@dataclass(frozen=True)
class Violation:
    where: str
    """A path in the resource; never a value of it, which may be secret."""
    what: str
    """What is wrong; what is right follows after a semicolon."""
    urn: str | None = None
    """Of the resource, from a policy over the whole stack."""

    @property
    def message(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Verdict:
    violations: Sequence[Violation]
    unjudged: Sequence[str]
    """Paths of what would have to be known."""


@dataclass(frozen=True, kw_only=True)
class About:
    id: str
    description: str
    """In one sentence, what holds where it is kept."""
    severity: Severity
    why: str
    remedy: str
    """The YAML to write."""
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict[str, Mapping[str, object]])
    """JSON Schema of each, with a default."""

    @property
    def url(self) -> str:
        return f"{PAGE}#{self.id}"

    @property
    def schema(self) -> PolicyConfigSchema | None:
        return PolicyConfigSchema({name: {**of} for name, of in self.settings.items()}) if self.settings else None

    def configured(self, given: Mapping[str, object]) -> Node:
        return tree({**{name: of["default"] for name, of in self.settings.items()}, **given}, {})


@dataclass(frozen=True, kw_only=True)
class ResourcePolicy(About):
    judge: Callable[[Resource, Node], Iterator[Violation]]

    def verdict(self, resource: Resource, settings: Mapping[str, object]) -> Verdict:
        violations = [*self.judge(resource, self.configured(settings))]
        return Verdict(violations, [".".join(path) for path in resource.doubts])

    def pulumi(self) -> ResourceValidationPolicy:
        def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
            verdict = self.verdict(from_engine(args), args.get_config() or {})
            _report(verdict, report)

        return ResourceValidationPolicy(
            name=self.id,
            description=self.description,
            validate=validate,
            enforcement_level=EnforcementLevel.MANDATORY,
            config_schema=self.schema,
            severity=self.severity,
            remediation_steps=self.remedy,
            url=self.url,
        )


@dataclass(frozen=True, kw_only=True)
class StackPolicy(About):
    judge: Callable[[Sequence[Resource], Node], Iterator[Violation]]

    def verdict(self, resources: Sequence[Resource], settings: Mapping[str, object]) -> Verdict:
        violations = [*self.judge(resources, self.configured(settings))]
        unjudged = [f"{each.name}: {'.'.join(path)}" for each in resources for path in each.doubts]
        return Verdict(violations, unjudged)

    def pulumi(self) -> StackValidationPolicy:
        def validate(args: StackValidationArgs, report: ReportViolation) -> None:
            verdict = self.verdict([from_engine(each) for each in args.resources], args.get_config() or {})
            _report(verdict, report)

        return StackValidationPolicy(
            name=self.id,
            description=self.description,
            validate=validate,
            enforcement_level=EnforcementLevel.MANDATORY,
            config_schema=self.schema,
            severity=self.severity,
            remediation_steps=self.remedy,
            url=self.url,
        )


FleetPolicy = ResourcePolicy | StackPolicy


def unjudged_message(places: Sequence[str]) -> str:
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return f"not judged, because not known yet: {', '.join(places[:_SHOWN])}{more}"


def _report(verdict: Verdict, report: ReportViolation) -> None:
    for violation in verdict.violations:
        report(violation.message, violation.urn)
    if verdict.unjudged:
        error = UnknownValueError(UNKNOWN_OBJECT_VALUE, [])
        # The engine prints this text; a policy has no other way to say that it did not judge.
        error.message = unjudged_message(verdict.unjudged)
        raise error
