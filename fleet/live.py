"""The live fleet: what its stack says of it, and how its clusters are reached."""

import asyncio
import subprocess
from collections.abc import Sequence
from dataclasses import replace

from pydantic import ValidationError
from rich.console import Console

from fleet.clients import connected
from fleet.errors import FleetError, Problem
from fleet.evidence import faults
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


def run_to_its_end(command: Sequence[str], stdin: int | None = None) -> int:
    """Pulumi with the terminal as it is, or with another `stdin`; answers its exit status."""
    with subprocess.Popen(command, stdin=stdin) as running:
        try:
            return running.wait()
        except KeyboardInterrupt:
            # Pulumi has the signal as well, and cancels: killed instead, it would leave a lock and plugins.
            running.wait()
            raise


def _stack_output(stack: str) -> str:
    command = ["pulumi", "stack", "output", "fleet", "--json", "--stack", stack]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise FleetError(
            [Problem("pulumi", "is not on PATH; on the local fleet, `. .local/env` puts it there")]
        ) from None
    if done.returncode:
        message = f"its output `fleet` cannot be read: {done.stderr.strip()}"
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


def _unread(cluster: ClusterPlan) -> str:
    # Its contents would have to pass through a file or this process's memory in clear.
    raise Unreachable(f"the kubeconfig of {cluster.name} is a Pulumi secret, which this command does not read")
