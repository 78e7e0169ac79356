"""The live fleet: what its stack says of it, and how its clusters are reached."""

import asyncio
import subprocess
from collections.abc import Sequence

from pydantic import ValidationError
from rich.console import Console

from fleet.errors import FleetError, Problem
from fleet.evidence import evidence
from fleet.kubeconfig import read_kubeconfig
from fleet.plan import Plan
from fleet.price import Price, price
from fleet.prometheus import Prometheus, Unreachable, reached
from fleet.rotation import Expected, KeyState, asked_clusters, unconfirmed
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
        *(_connect(plan, name, cluster.namespace) for name, cluster in fleet.clusters.items())
    )
    return [*await edge_statuses(fleet, dict(zip(fleet.clusters, clients, strict=True)))]


async def watch(plan: Plan, stack: str, every: float, console: Console) -> None:
    """Shows the live fleet until it is cancelled. Raises FleetError where pulumi or the stack's output is missing."""
    # Not in this thread, which has to hear of an interruption.
    fleet = await asyncio.to_thread(stack_output, stack)

    async def connect(name: str) -> Prometheus | Unreachable:
        try:
            return await _connect(plan, name, fleet.clusters[name].namespace)
        except FleetError as error:
            return Unreachable(str(error))

    watched = Watch(plan, fleet, every, connect)
    async with asyncio.TaskGroup() as group:
        group.create_task(watched.ask())
        group.create_task(show(watched.picture, every, console))


async def live_evidence(plan: Plan, expected: Expected) -> list[str]:
    """What of the expected is not confirmed, or why that is not known. Raises FleetError as `live_statuses` does."""
    names = asked_clusters(plan, expected)
    clients = await asyncio.gather(*(_connect(plan, name, plan.cluster(name).namespace) for name in names))
    return [*unconfirmed(plan, expected, await evidence(plan, dict(zip(names, clients, strict=True))))]


async def live_price(plan: Plan, name: str, match: str) -> Price:
    """What `match` would bring from the cluster `name` of the plan. Raises FleetError where it does not answer."""
    try:
        client = await _connect(plan, name, plan.clusters[name].namespace)
        return await price(reached(client), match)
    except Unreachable as error:
        raise FleetError([Problem(f"clusters.{name}", f"does not answer: {error}")]) from None


async def _connect(plan: Plan, name: str, namespace: str) -> Prometheus | Unreachable:
    cluster = plan.clusters.get(name)
    if cluster is None:
        return Unreachable(f"{name} is deployed, but no longer on the page: `pulumi up` takes it away")
    if cluster.kubeconfig_secret is not None:
        # Its contents would have to pass through a file or this process's memory in clear.
        return Unreachable(f"the kubeconfig of {name} is a Pulumi secret, which this command does not read")
    try:
        return await Prometheus.connect(name, namespace, read_kubeconfig(cluster).path, cluster.context)
    except Unreachable as error:
        return error
