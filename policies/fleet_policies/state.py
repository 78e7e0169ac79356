"""The policies over what is deployed: a stack's state, in which everything is known that a preview could not know."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from fleet_policies import POLICIES
from fleet_policies.config import Settings
from fleet_policies.policy import FleetPolicy, ResourcePolicy, Verdict, unjudged_message
from fleet_policies.resources import Resource


@dataclass(frozen=True)
class Finding:
    policy: FleetPolicy
    where: str
    """A resource's name; empty for the whole stack."""
    verdict: Verdict
    is_advice: bool

    @property
    def messages(self) -> Iterator[str]:
        at = f"{self.where}: " if self.where else ""
        kind = "advisory" if self.is_advice else "mandatory"
        for violation in self.verdict.violations:
            yield f"{self.policy.id} ({kind}, {self.policy.severity.value}): {at}{violation.message}"
        if self.verdict.unjudged:
            yield f"{self.policy.id}: {at}{unjudged_message(self.verdict.unjudged)}"


class State:
    """What `pulumi stack export` wrote. Raises ValueError where it is something else."""

    def __init__(self, exported: str) -> None:
        document: object = json.loads(exported)
        if not isinstance(document, dict) or "deployment" not in document:
            raise ValueError("no state: pipe `pulumi stack export --show-secrets` into this")
        deployment = cast("Mapping[str, object]", document["deployment"])
        listed = cast("Sequence[Mapping[str, object]]", deployment.get("resources") or [])
        # What waits for its deletion belongs to the stack of before.
        self._resources = [each for each in listed if not each.get("delete")]

    @property
    def stack(self) -> tuple[str, str]:
        """Project and stack; empty where nothing is deployed."""
        for each in self._resources:
            stack, project, *_ = str(each["urn"]).removeprefix("urn:pulumi:").split("::")
            return project, stack
        return "", ""

    def inputs(self) -> Iterator[Resource]:
        return (_resource(each, "inputs") for each in self._resources)

    def outputs(self) -> Iterator[Resource]:
        return (_resource(each, "outputs") for each in self._resources)


def judged(state: State, settings: Settings) -> Iterator[Finding]:
    """What is wrong, and what cannot be judged."""
    for policy in POLICIES:
        own = dict(settings.get(policy.id, {}))
        level = own.pop("enforcementLevel", settings.get("all", {}).get("enforcementLevel"))
        if level == "disabled":
            continue
        # Anew for each policy: what one of them asked for in vain is not for the next to answer.
        if isinstance(policy, ResourcePolicy):
            verdicts = [(each.name, policy.verdict(each, own)) for each in state.inputs()]
        else:
            verdicts = [("", policy.verdict([*state.outputs()], own))]
        for where, verdict in verdicts:
            if verdict.violations or verdict.unjudged:
                yield Finding(policy, where, verdict, is_advice=level == "advisory")


def _resource(kept: Mapping[str, object], side: str) -> Resource:
    urn = str(kept["urn"])
    return Resource(
        str(kept["type"]),
        urn.rpartition("::")[2],
        urn,
        kept.get(side) or kept.get("inputs") or {},
        provider=str(kept.get("provider", "")).rpartition("::")[0],
    )
