"""When an object counts as ready, and waiting for that, as the official plugin does."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Final, TypeAlias, cast

from local.standins.host import CancelledByUserError, Host, StandInError
from local.standins.kubernetes.client import Client, Resource
from local.standins.kubernetes.diagnosis import diagnose
from local.standins.properties import Json, JsonObject, pluck, pluck_int, pluck_list, pluck_map, pluck_str

DEFAULT_SECONDS: Final = 600.0
SETTLE_SECONDS: Final = 3.0
"""Endpoints come one by one: a Service counts as ready only when none has come for so long."""

SKIP_AWAIT: Final = "pulumi.com/skipAwait"
TIMEOUT_SECONDS: Final = "pulumi.com/timeoutSeconds"
WAIT_FOR: Final = "pulumi.com/waitFor"
SKIPS_ON_DELETE: Final = {
    "Namespace",
    "Pod",
    "ReplicationController",
    "DaemonSet",
    "Deployment",
    "StatefulSet",
    "Job",
}
"""Kinds for which skipAwait also skips waiting for their end."""


class NotReadyError(StandInError):
    """The object exists but did not become ready; `details` say why."""

    def __init__(self, message: str, live: JsonObject, details: list[str]) -> None:
        super().__init__(message)
        self.live = live
        self.details = details


class NeverReadyError(StandInError):
    """Waiting longer is no use."""


Rule: TypeAlias = Callable[[JsonObject], str]
"""What an object still waits for, empty where it is ready. Raises NeverReadyError."""


def annotation(inputs: JsonObject, name: str) -> str:
    return pluck_str(inputs, "metadata", "annotations", name)


def timeout_of(inputs: JsonObject, custom: float) -> float:
    """Seconds: the resource option's, else the annotation's, else ten minutes."""
    text = annotation(inputs, TIMEOUT_SECONDS)
    return custom or (float(text) if text.isdigit() else DEFAULT_SECONDS)


def _condition(obj: JsonObject, kind: str) -> JsonObject:
    for condition in pluck_list(obj, "status", "conditions"):
        if isinstance(condition, dict) and condition.get("type") == kind:
            return condition
    return {}


def _true(obj: JsonObject, kind: str) -> bool:
    return _condition(obj, kind).get("status") == "True"


def _observed(obj: JsonObject) -> bool:
    return pluck_int(obj, "status", "observedGeneration") >= pluck_int(obj, "metadata", "generation")


def _deployment(obj: JsonObject) -> str:
    wanted = pluck_int(obj, "spec", "replicas", default=1)
    updated = pluck_int(obj, "status", "updatedReplicas")
    available = pluck_int(obj, "status", "availableReplicas")
    if not _observed(obj) or not pluck_str(obj, "metadata", "annotations", "deployment.kubernetes.io/revision"):
        return "waiting for the Deployment controller"
    # As long as old pods serve, the Deployment is available; only updated ones count.
    done = min(updated, available)
    progressed = pluck_str(_condition(obj, "Progressing"), "reason") == "NewReplicaSetAvailable"
    if done >= wanted and _true(obj, "Available") and (progressed or wanted == 0):
        return ""
    return f"{done}/{wanted} pods available"


def _stateful_set(obj: JsonObject) -> str:
    wanted = pluck_int(obj, "spec", "replicas", default=1)
    ready = pluck_int(obj, "status", "readyReplicas")
    status = pluck_map(obj, "status")
    if not _observed(obj) or not pluck_str(status, "updateRevision"):
        return "waiting for the StatefulSet controller"
    by_hand = pluck_str(obj, "spec", "updateStrategy", "type") == "OnDelete"
    if by_hand and pluck_int(obj, "metadata", "generation") > 1:
        current = pluck_int(status, "replicas") == wanted
    else:
        current = (
            pluck_str(status, "currentRevision") == pluck_str(status, "updateRevision")
            and pluck_int(status, "replicas") == wanted
            and pluck_int(status, "currentReplicas") == wanted
        )
    return "" if current and ready == wanted else f"{ready}/{wanted} pods ready"


def _daemon_set(obj: JsonObject) -> str:
    status = pluck_map(obj, "status")
    if not _observed(obj) or "desiredNumberScheduled" not in status:
        return "waiting for the DaemonSet controller"
    wanted = pluck_int(status, "desiredNumberScheduled")
    done = min(pluck_int(status, name) for name in ("updatedNumberScheduled", "numberAvailable", "numberReady"))
    return "" if done >= wanted else f"{done}/{wanted} pods available"


def _pod(obj: JsonObject) -> str:
    if pluck_str(obj, "status", "phase") == "Succeeded" or _true(obj, "Ready"):
        return ""
    for step, text in (("PodScheduled", "scheduled"), ("Initialized", "initialized")):
        if not _true(obj, step):
            return f"not {text} yet"
    return "not ready yet"


def _job(obj: JsonObject) -> str:
    if _true(obj, "Failed"):
        failed = _condition(obj, "Failed")
        raise NeverReadyError(f"the Job failed: [{pluck_str(failed, 'reason')}] {pluck_str(failed, 'message')}")
    if _true(obj, "Complete"):
        return ""
    return f"{pluck_int(obj, 'status', 'succeeded')}/{pluck_int(obj, 'spec', 'completions', default=1)} completed"


def _replication_controller(obj: JsonObject) -> str:
    wanted = pluck_int(obj, "spec", "replicas", default=1)
    available = pluck_int(obj, "status", "availableReplicas")
    return "" if available >= wanted else f"{available}/{wanted} pods available"


def _ingress(obj: JsonObject) -> str:
    return "" if pluck_list(obj, "status", "loadBalancer", "ingress") else "waiting for an address"


def _volume(obj: JsonObject) -> str:
    phase = pluck_str(obj, "status", "phase")
    return "" if phase in {"Available", "Bound"} else f"phase {phase or 'unknown'}"


def _quota(obj: JsonObject) -> str:
    same = pluck_map(obj, "spec", "hard") == pluck_map(obj, "status", "hard")
    return "" if same else "waiting for the quota controller"


def _secret(obj: JsonObject) -> str:
    token = pluck_str(obj, "type") == "kubernetes.io/service-account-token"
    return "waiting for its token" if token and not pluck_map(obj, "data") else ""


def _definition(obj: JsonObject) -> str:
    refused = _condition(obj, "NamesAccepted")
    if refused.get("status") == "False":
        raise NeverReadyError(f"its names are not accepted: {pluck_str(refused, 'message')}")
    return "" if _true(obj, "Established") else "not established yet"


RULES: Final[dict[str, Rule]] = {
    "apps/v1/Deployment": _deployment,
    "apps/v1/StatefulSet": _stateful_set,
    "apps/v1/DaemonSet": _daemon_set,
    "batch/v1/Job": _job,
    "networking.k8s.io/v1/Ingress": _ingress,
    "apiextensions.k8s.io/v1/CustomResourceDefinition": _definition,
    "v1/Pod": _pod,
    "v1/ReplicationController": _replication_controller,
    "v1/PersistentVolume": _volume,
    "v1/ResourceQuota": _quota,
    "v1/Secret": _secret,
}


def rule_for(obj: JsonObject, inputs: JsonObject) -> Rule | None:
    """None where existing is enough. Raises StandInError for a waitFor that the stand-in cannot evaluate."""
    if annotation(inputs, SKIP_AWAIT) == "true":
        return None
    expressions = _wait_for(annotation(inputs, WAIT_FOR))
    if expressions:
        return lambda live: _conditions(live, expressions)
    return RULES.get(f"{pluck_str(obj, 'apiVersion')}/{pluck_str(obj, 'kind')}")


def _wait_for(text: str) -> list[str]:
    if not text:
        return []
    values: list[str] = [text]
    if text.startswith("["):
        parsed = cast("Json", json.loads(text))
        values = [value for value in parsed if isinstance(value, str)] if isinstance(parsed, list) else []
    for value in values:
        if not value.startswith("condition="):
            raise StandInError(f"{WAIT_FOR}: the stand-in evaluates condition=TYPE[=STATUS] only, not {value!r}")
    return values


def _conditions(live: JsonObject, expressions: list[str]) -> str:
    for expression in expressions:
        kind, _, status = expression.removeprefix("condition=").partition("=")
        if pluck_str(_condition(live, kind), "status").lower() != (status or "True").lower():
            return f"waiting for the condition {kind}"
    return ""


class Waiter:
    """Waits on behalf of one resource of the program."""

    def __init__(self, host: Host, client: Client, urn: str) -> None:
        self.host = host
        self.client = client
        self.urn = urn

    async def until_ready(
        self, resource: Resource, live: JsonObject, inputs: JsonObject, seconds: float, *, created: bool
    ) -> JsonObject:
        """The live object once it is ready. Raises NotReadyError after so many seconds, or when cancelled."""
        if annotation(inputs, SKIP_AWAIT) == "true":
            return live
        rule = rule_for(live, inputs)
        if resource.api_version == "v1" and resource.kind == "PersistentVolumeClaim":
            rule = await self._claim_rule(live, created=created)
        last = [live]
        try:
            async with asyncio.timeout(seconds):
                if rule:
                    await self.host.unless_cancelled(self._until(resource, last, rule), resource.kind)
                if resource.api_version == "v1" and resource.kind == "Service":
                    await self.host.unless_cancelled(self._endpoints(resource, last), resource.kind)
        except TimeoutError:
            raise await self._not_ready(last[0], f"timed out after {seconds:g} s waiting to be ready") from None
        except CancelledByUserError:
            raise await self._not_ready(last[0], "was cancelled before it was ready") from None
        except NeverReadyError as error:
            raise await self._not_ready(last[0], f"cannot become ready: {error}") from None
        await self.host.progress(self.urn, "")
        return last[0]

    async def _until(self, resource: Resource, last: list[JsonObject], rule: Rule) -> None:
        name, namespace = pluck_str(last[0], "metadata", "name"), pluck_str(last[0], "metadata", "namespace")
        generation = pluck_int(last[0], "metadata", "generation")
        async with aclosing(self.client.watch(resource, namespace, name)) as objects:
            async for live in objects:
                if live is None:
                    raise NeverReadyError("it was deleted")
                last[0] = live
                if pluck_int(live, "metadata", "generation") < generation:
                    continue
                missing = rule(live)
                if not missing:
                    return
                await self.host.progress(self.urn, f"waiting for {resource.kind} {name} ({missing})")

    async def _claim_rule(self, live: JsonObject, *, created: bool) -> Rule:
        class_name = pluck_str(live, "spec", "storageClassName")
        found = await self.client.find(f"/apis/storage.k8s.io/v1/storageclasses/{class_name}") if class_name else None
        late = created and pluck_str(found, "volumeBindingMode") == "WaitForFirstConsumer"
        wanted = {"Bound", "Pending"} if late else {"Bound"}
        return lambda claim: (
            "" if pluck_str(claim, "status", "phase") in wanted else f"phase {pluck_str(claim, 'status', 'phase')}"
        )

    async def _endpoints(self, resource: Resource, last: list[JsonObject]) -> None:
        spec = pluck_map(last[0], "spec")
        name = pluck_str(last[0], "metadata", "name")
        if spec.get("type") == "LoadBalancer":
            await self._until(resource, last, _ingress)
        if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
            return
        slices = await self.client.resource("discovery.k8s.io/v1", "EndpointSlice")
        path = slices.path(pluck_str(last[0], "metadata", "namespace"))
        selector = {"labelSelector": f"kubernetes.io/service-name={name}"}
        seen, quiet = "", 0.0
        while quiet < SETTLE_SECONDS:
            found = await self.client.get(path, selector)
            endpoints = [end for item in pluck_list(found, "items") for end in pluck_list(item, "endpoints")]
            pending = sum(pluck(end, "conditions", "ready") is not True for end in endpoints)
            state = json.dumps(endpoints, sort_keys=True)
            settled = state == seen and not pending and bool(pluck_list(found, "items"))
            quiet = quiet + 1.0 if settled else 0.0
            seen = state
            await self.host.progress(self.urn, f"waiting for the endpoints of Service {name} ({pending} not ready)")
            await asyncio.sleep(1.0)

    async def _not_ready(self, live: JsonObject, what: str) -> NotReadyError:
        await self.host.progress(self.urn, "")
        name = pluck_str(live, "metadata", "name")
        return NotReadyError(f"{name!r} {what}", live, await diagnose(self.client, live))

    async def until_gone(self, resource: Resource, live: JsonObject, seconds: float) -> None:
        """Raises NotReadyError after so many seconds, or when cancelled."""
        last = [live]
        try:
            async with asyncio.timeout(seconds):
                await self.host.unless_cancelled(self._until_gone(resource, last), "its end")
        except TimeoutError:
            raise NotReadyError(self._stuck(last[0], f"is still there after {seconds:g} s"), last[0], []) from None
        except CancelledByUserError:
            raise NotReadyError(self._stuck(last[0], "was still there when cancelled"), last[0], []) from None
        await self.host.progress(self.urn, "")

    async def _until_gone(self, resource: Resource, last: list[JsonObject]) -> None:
        name, namespace = pluck_str(last[0], "metadata", "name"), pluck_str(last[0], "metadata", "namespace")
        uid = pluck_str(last[0], "metadata", "uid")
        async with aclosing(self.client.watch(resource, namespace, name)) as objects:
            async for live in objects:
                if live is None or pluck_str(live, "metadata", "uid") != uid:
                    return
                last[0] = live
                await self.host.progress(self.urn, f"waiting for {resource.kind} {name} to be gone")

    def _stuck(self, live: JsonObject, what: str) -> str:
        finalizers = ", ".join(str(item) for item in pluck_list(live, "metadata", "finalizers"))
        held = f"; finalizers hold it: {finalizers}" if finalizers else ""
        return f"{pluck_str(live, 'kind')} {pluck_str(live, 'metadata', 'name')!r} {what}{held}"


async def problem_now(client: Client, live: JsonObject, inputs: JsonObject) -> list[str]:
    """Why a live object is not ready, for a refresh; empty where it is, or where its kind is not judged by reads."""
    rule = rule_for(live, inputs)
    kind = pluck_str(live, "kind")
    if rule is None or kind not in {"Deployment", "StatefulSet", "DaemonSet", "Ingress", "Job", "Pod"}:
        return []
    try:
        missing = rule(live)
    except NeverReadyError as error:
        missing = str(error)
    if not missing:
        return []
    name = pluck_str(live, "metadata", "name")
    return [f"{kind} {name!r} exists but is not ready: {missing}", *await diagnose(client, live)]
