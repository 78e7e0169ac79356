"""What a user needs to see of workloads that do not become ready: pods, events, the last log lines."""

from collections.abc import Iterator
from typing import Final

from local.standins.host import StandInError
from local.standins.kubernetes.client import Client
from local.standins.properties import Json, JsonObject, pluck, pluck_int, pluck_list, pluck_map, pluck_str

LOG_LINES: Final = 10
EVENTS: Final = 5
PODS: Final = 3
"""Replicas of one workload fail alike; more of them would only bury the rest."""

HARMLESS_WAITS: Final = {"ContainerCreating", "PodInitializing"}


async def diagnose(client: Client, workload: JsonObject) -> list[str]:
    """Lines for an error message; empty where nothing is known to be wrong. Never raises StandInError."""
    namespace, name = pluck_str(workload, "metadata", "namespace"), pluck_str(workload, "metadata", "name")
    lines = [
        f"{pluck_str(workload, 'kind')} {name}: [{pluck_str(condition, 'reason')}] {pluck_str(condition, 'message')}"
        for condition in pluck_list(workload, "status", "conditions")
        if _bad(condition)
    ]
    try:
        lines += await _events(client, namespace, name)
        for pod in (await unready_pods(client, workload))[:PODS]:
            lines += pod_problems(pod)
            lines += await _logs(client, pod)
    except StandInError as error:
        lines.append(f"more could not be found out: {error}")
    return lines


def _bad(condition: Json) -> bool:
    kind, status = pluck_str(condition, "type"), pluck_str(condition, "status")
    failing = kind in {"ReplicaFailure", "Failed"}
    return bool(pluck_str(condition, "message")) and (status == "True") is failing


async def unready_pods(client: Client, workload: JsonObject) -> list[JsonObject]:
    """The workload's pods that are not Ready, and the workload itself if it is such a pod."""
    if pluck_str(workload, "kind") == "Pod":
        return [workload]
    labels = pluck_map(workload, "spec", "selector", "matchLabels")
    if not labels:
        return []
    namespace = pluck_str(workload, "metadata", "namespace")
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    found = await client.get(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": selector})
    return [pod for pod in pluck_list(found, "items") if isinstance(pod, dict) and not _pod_ready(pod)]


def _pod_ready(pod: JsonObject) -> bool:
    if pluck_str(pod, "status", "phase") == "Succeeded":
        return True
    conditions = pluck_list(pod, "status", "conditions")
    return any(pluck(c, "type") == "Ready" and pluck(c, "status") == "True" for c in conditions)


def pod_problems(pod: JsonObject) -> list[str]:
    return [f"Pod {pluck_str(pod, 'metadata', 'name')}: {problem}" for problem in _pod_problems(pod)]


def _pod_problems(pod: JsonObject) -> Iterator[str]:
    for condition in pluck_list(pod, "status", "conditions"):
        if pluck(condition, "type") == "PodScheduled" and pluck(condition, "status") == "False":
            yield f"not scheduled: {pluck_str(condition, 'message')}"
    for status in _container_statuses(pod):
        if pluck(status, "ready") is True:
            continue
        name = pluck_str(status, "name")
        reason = pluck_str(status, "state", "waiting", "reason")
        if reason and reason not in HARMLESS_WAITS:
            yield f"container {name}: [{reason}] {pluck_str(status, 'state', 'waiting', 'message')}"
        for state in ("state", "lastState"):
            ended = pluck_map(status, state, "terminated")
            if ended:
                restarts = pluck_int(status, "restartCount")
                why = f"{pluck_str(ended, 'reason')} {pluck_str(ended, 'message')}".strip()
                code = pluck_int(ended, "exitCode")
                yield f"container {name} ended with exit code {code} ({why}), {restarts} restarts"
                break
        else:
            if not reason and pluck_map(status, "state", "running"):
                yield f"container {name} runs but is not ready"


def _container_statuses(pod: JsonObject) -> list[Json]:
    status = pluck_map(pod, "status")
    return pluck_list(status, "initContainerStatuses") + pluck_list(status, "containerStatuses")


async def _events(client: Client, namespace: str, name: str) -> list[str]:
    """The last warnings about an object and what its controllers made of it: their names begin with its own."""
    found = await client.get(f"/api/v1/namespaces/{namespace}/events", {"fieldSelector": "type=Warning"})
    own = [event for event in pluck_list(found, "items") if f"{_subject(event)}-".startswith(f"{name}-")]
    lines = [
        f"event {pluck_str(event, 'involvedObject', 'kind')} {_subject(event)}: "
        f"[{pluck_str(event, 'reason')}] {pluck_str(event, 'message').strip()}"
        for event in sorted(own, key=_when)
    ]
    return list(dict.fromkeys(lines))[-EVENTS:]


def _subject(event: Json) -> str:
    return pluck_str(event, "involvedObject", "name")


def _when(event: Json) -> str:
    return pluck_str(event, "lastTimestamp") or pluck_str(event, "eventTime")


async def _logs(client: Client, pod: JsonObject) -> list[str]:
    namespace, name = pluck_str(pod, "metadata", "namespace"), pluck_str(pod, "metadata", "name")
    lines: list[str] = []
    for status in _container_statuses(pod):
        if pluck(status, "ready") is True or not pluck_str(status, "containerID"):
            continue
        # While the next attempt has not said anything yet, the last one's words are what matters.
        waiting = bool(pluck_map(status, "state", "waiting")) and pluck_int(status, "restartCount") > 0
        container = pluck_str(status, "name")
        params = {"container": container, "tailLines": str(LOG_LINES), "previous": str(waiting).lower()}
        try:
            answer = await client.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}/log", params=params)
        except StandInError as error:
            lines.append(f"log of {name}/{container} cannot be read: {error}")
            continue
        lines += [f"log {name}/{container}: {line}" for line in answer.text.splitlines()]
    return lines
