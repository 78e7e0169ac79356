"""Whether a cluster's Prometheus has become what was deployed: asked until it has, or until that takes too long."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ValidationError

from fleet.clients import connect
from fleet.duration import format_duration
from fleet.names import Tier
from fleet.page import Waves
from fleet.plan import ClusterPlan
from fleet.prometheus import Prometheus, Unreachable

POLL_SECONDS = 2.0


class _Metadata(BaseModel):
    generation: int


class _Spec(BaseModel):
    replicas: int = 1
    shards: int = 1


class _Condition(BaseModel):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    observedGeneration: int = 0  # noqa: N815 (the operator's name)

    @property
    def text(self) -> str:
        return ": ".join(filter(None, (self.reason, " ".join(self.message.split()))))


class _Status(BaseModel):
    conditions: list[_Condition] = []
    replicas: int = 0
    updatedReplicas: int = 0  # noqa: N815 (the operator's name)
    availableReplicas: int = 0  # noqa: N815 (likewise)


class _Declared(BaseModel):
    """A Prometheus or PrometheusAgent object of monitoring.coreos.com: both have the same status."""

    metadata: _Metadata
    spec: _Spec
    status: _Status = _Status()


@dataclass(frozen=True, slots=True)
class Look:
    fault: str | None
    """Why the cluster is not healthy; None where it is."""
    deployed: datetime | None = None
    """When its release was last deployed; None where that is not known."""


class Unhealthy(Exception):  # noqa: N818 (a state of the cluster, which the caller tells)
    """It took too long. The text is what was seen last."""


@dataclass
class Observer:
    """Looks at one cluster through its API server; connects again where that went wrong."""

    cluster: ClusterPlan
    kubeconfig: str = field(repr=False)
    """Contents: they hold keys."""
    _client: Prometheus | None = None

    async def look(self) -> Look:
        try:
            self._client = self._client or await connect(self.cluster, self.kubeconfig)
            return await look(self._client, self.cluster.tier)
        except Unreachable as error:
            self._client = None
            return Look(str(error))
        except ValidationError as error:
            return Look(f"what its API server answers is not understood ({error.title})")


async def look(client: Prometheus, tier: Tier) -> Look:
    """Raises Unreachable."""
    declared, deployed = await asyncio.gather(client.declared(agent=tier is Tier.EDGE), client.deployed())
    return Look(declared_fault(declared) or reload_fault(await client.metrics()), deployed)


def declared_fault(document: str) -> str | None:
    """Of the object as JSON, judged by the status that the operator gave it."""
    declared = _Declared.model_validate_json(document)
    status, wished = declared.status, declared.spec.replicas * declared.spec.shards
    found = {each.type: each for each in status.conditions if each.observedGeneration == declared.metadata.generation}
    reconciled, available = found.get("Reconciled"), found.get("Available")
    if reconciled is None or available is None:
        return "the operator has not taken up the last change"
    if reconciled.status != "True":
        return f"the operator cannot carry out the last change: {reconciled.text}"
    why = f" ({available.text})" if available.text else ""
    if status.updatedReplicas < wished:
        return f"{status.updatedReplicas} of {wished} replicas updated{why}"
    if status.replicas > wished:
        return f"{status.replicas - wished} replicas too many are still there"
    if available.status != "True":
        return f"{status.availableReplicas} of {wished} replicas available{why}"
    return None


def reload_fault(metrics: Mapping[str, str]) -> str | None:
    """Of what each server tells of itself in Prometheus's text format, by pod."""
    for pod, text in metrics.items():
        found = re.search(r"^prometheus_config_last_reload_successful (\S+)$", text, re.MULTILINE)
        if found is None or float(found[1]) != 1:
            return f"{pod} refused its last configuration: its log says why"
    return None


async def until_healthy(observe: Callable[[], Awaitable[Look]], waves: Waves, say: Callable[[str], None]) -> None:
    """Returns once every look of `waves.healthy_for` was without a fault.

    The time since the release was deployed counts, so that one that nobody changed costs one look. `say` is told what
    is waited for, each time that it changes. Raises Unhealthy after `waves.timeout`.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    healthy_since: float | None = None
    said = ""
    while True:
        seen = await observe()
        now = clock()
        if seen.fault is not None:
            healthy_since = None
        elif healthy_since is None:
            # Right after a change the operator may not have begun, and a container that crashes is up for a moment.
            healthy_since = now if said else now - _seconds_since(seen.deployed)
        if healthy_since is not None and now - healthy_since >= waves.healthy_for.total_seconds():
            return
        if now - began >= waves.timeout.total_seconds():
            raise Unhealthy(seen.fault or f"healthy for less than {format_duration(waves.healthy_for)}")
        what = seen.fault or f"to be healthy for {format_duration(waves.healthy_for)}"
        if what != said:
            say(what)
            said = what
        await asyncio.sleep(POLL_SECONDS)


def _seconds_since(moment: datetime | None) -> float:
    age = datetime.now(UTC) - moment if moment is not None else timedelta()
    return max(age.total_seconds(), 0)
