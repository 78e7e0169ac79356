"""The live fleet: what its stack says of it, and how its clusters are reached."""

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.console import Console

from fleet.clients import SecretKubeconfig, connected
from fleet.drift import ClusterDrift, fleet_drift
from fleet.errors import FleetError, Problem
from fleet.evidence import faults
from fleet.missing_secrets import missing_secrets
from fleet.names import PROJECT, replica_name
from fleet.plan import ClusterPlan, Plan
from fleet.price import Price, price
from fleet.prometheus import Prometheus, Unreachable, reached
from fleet.rotation import Expected, KeyState
from fleet.screen import show
from fleet.status import EdgeStatus, FleetOutput, edge_statuses
from fleet.watch import Watch


def stack_output(stack: str) -> FleetOutput:
    """Raises FleetError where pulumi or the output is missing."""
    return FleetOutput.model_validate_json(_stack_output(stack))


def stack_keys(stack: str) -> KeyState | None:
    """None where what is deployed knows no generations. Raises FleetError where pulumi or the output is missing."""
    try:
        return KeyState.model_validate_json(_stack_output(stack))
    except ValidationError:
        return None


def run_to_its_end(
    command: Sequence[str], stdin: int | None = None, environment: Mapping[str, str] | None = None
) -> int:
    """Pulumi with the terminal as it is, or with another `stdin`; answers its exit status."""
    with subprocess.Popen(command, stdin=stdin, env=environment) as running:
        try:
            return running.wait()
        except KeyboardInterrupt:
            # Pulumi has the signal as well, and cancels: killed instead, it would leave a lock and plugins.
            running.wait()
            raise


def stack_export(stack: str) -> str:
    """Its state as JSON, with its secrets encrypted. Raises FleetError where pulumi or the stack is missing."""
    return _pulumi(stack, "its state cannot be read", "stack", "export")


def _stack_output(stack: str) -> str:
    return _pulumi(stack, "its output `fleet` cannot be read", "stack", "output", "fleet", "--json")


def _pulumi(stack: str, failure: str, *arguments: str) -> str:
    command = ["pulumi", *arguments, "--stack", stack]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise FleetError(
            [Problem("pulumi", "is not on PATH; on the local fleet, `. .local/env` puts it there")]
        ) from None
    if done.returncode:
        message = f"{failure}: {done.stderr.strip()}"
        raise FleetError([Problem(f"stack {stack}", message)])
    return done.stdout


async def live_statuses(plan: Plan, fleet: FleetOutput) -> list[EdgeStatus]:
    """Raises FleetError where a kubeconfig cannot be read; what does not answer is a status, not an error."""
    clients = await asyncio.gather(
        *(_deployed(plan, name, cluster.namespace) for name, cluster in fleet.clusters.items())
    )
    return [*await edge_statuses(fleet, dict(zip(fleet.clusters, clients, strict=True)))]


async def watch(plan: Plan, stack: str, every: float, console: Console) -> None:
    """Shows the live fleet until it is cancelled. Raises FleetError where pulumi or the stack's output is missing."""
    # Not in this thread, which has to hear of an interruption.
    fleet = await asyncio.to_thread(stack_output, stack)

    async def connect(name: str) -> Prometheus | Unreachable:
        try:
            return await _deployed(plan, name, fleet.clusters[name].namespace)
        except FleetError as error:
            return Unreachable(str(error))

    watched = Watch(plan, fleet, every, connect)
    async with asyncio.TaskGroup() as group:
        group.create_task(watched.ask())
        group.create_task(show(watched.picture, every, console))


async def live_drift(plan: Plan, stack: str) -> list[ClusterDrift]:
    """Of what the plan deploys. Raises FleetError where pulumi or an address that only its outputs have is missing."""
    return await fleet_drift(plan, _addresses(plan, stack), stack_secrets(stack))


async def live_secrets(plan: Plan, stack: str) -> list[Problem]:
    """Secrets that the page names and a cluster lacks, of what the plan deploys, and what cannot be asked."""
    return await missing_secrets(plan, stack, stack_secrets(stack))


def _addresses(plan: Plan, stack: str) -> Mapping[str, str]:
    """Of gateways whose addresses the page does not say, by cluster, and of replicas as `Replica` names them."""
    called = {edge.callee for edge in plan.edges if edge.caller in plan.clusters}
    unsaid = {name: plan.stacks.get(name, stack) for name in sorted(called) if _is_unsaid(plan.cluster(name))}
    outputs = {each: stack_output(each) for each in sorted({*unsaid.values()})}
    deployed = {name: outputs[of].clusters.get(name) for name, of in unsaid.items()}
    urls: dict[str, str] = {}
    for name, each in deployed.items():
        if each is not None and each.gateway is not None:
            urls |= {name: each.gateway.url}
            urls |= {replica_name(name, number): url for number, url in enumerate(each.gateway.replicas)}
    return {name: url.removeprefix("https://") for name, url in urls.items()}


def _is_unsaid(cluster: ClusterPlan) -> bool:
    return cluster.gateway is not None and cluster.gateway.host is None


async def live_evidence(plan: Plan, expected: Expected) -> list[str]:
    """What of the expected is not confirmed, or why that is not known. Raises FleetError as `live_statuses` does."""
    return await faults(plan, expected, _unread)


async def live_price(plan: Plan, name: str, match: str) -> Price:
    """What `match` would bring from the cluster `name` of the plan. Raises FleetError where it does not answer."""
    try:
        return await price(reached(await connected(plan.clusters[name], _unread)), match)
    except Unreachable as error:
        raise FleetError([Problem(f"clusters.{name}", f"does not answer: {error}")]) from None


async def _deployed(plan: Plan, name: str, namespace: str) -> Prometheus | Unreachable:
    """In the `namespace` where it was deployed, whatever the page says by now."""
    if (cluster := plan.clusters.get(name)) is None:
        return Unreachable(f"{name} is deployed, but no longer on the page: `pulumi up` takes it away")
    return await connected(replace(cluster, namespace=namespace), _unread)


def stack_secrets(stack: str) -> SecretKubeconfig:
    """Kubeconfigs that are secrets of the stack's config: through a pipe, into this process's memory alone.

    What reads them raises FleetError as well, where pulumi or the stack is missing.
    """

    @cache
    def settings() -> Mapping[str, _Setting]:
        shown = _pulumi(stack, "its config cannot be read", "config", "--show-secrets", "--json")
        return _SETTINGS.validate_json(shown)

    def read(cluster: ClusterPlan) -> str:
        setting = settings().get(f"{PROJECT}:{cluster.kubeconfig_secret}")
        if setting is None or setting.value is None:
            raise Unreachable(f"stack {stack} has no config key {cluster.kubeconfig_secret}")
        return setting.value

    return read


class _Setting(BaseModel):
    value: str | None = None


_SETTINGS = TypeAdapter(dict[str, _Setting])


def _unread(cluster: ClusterPlan) -> str:
    # Its contents would have to pass through a file or this process's memory in clear.
    raise Unreachable(f"the kubeconfig of {cluster.name} is a Pulumi secret, which this command does not read")
