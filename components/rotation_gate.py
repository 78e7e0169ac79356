"""The gate before every change of keys: a step is small enough, and running processes have confirmed the last one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pulumi

from components.stack_config import UnreadableError, full_name, last_outputs, told_plainly
from fleet.errors import FleetError
from fleet.kubeconfig import read_kubeconfig
from fleet.plan import Plan
from fleet.rotation import Expected, before_step, planned_keys, recorded_keys, step_problems


def refuse_gaps(plan: Plan, config: pulumi.Config) -> None:
    """Raises RunError where this update would change keys so that some call is refused. Nothing is made by then.

    What no key changes asks no cluster.
    """
    if (old := recorded_keys(_own_outputs())) is None:
        return
    new = planned_keys(plan)
    with told_plainly():
        if problems := [*step_problems(old, new)]:
            raise FleetError(problems)
    expected = before_step(old, new)
    if expected and not pulumi.runtime.is_dry_run():
        _refuse_unconfirmed(plan, expected, config)


def _own_outputs() -> object:
    """As the last update left them; of a stack that is new, none."""
    stack = pulumi.get_stack()
    try:
        return last_outputs(stack)
    except UnreadableError as error:
        raise pulumi.RunError(f"what stack {full_name(stack)} deployed last cannot be read: {error}") from None


def _refuse_unconfirmed(plan: Plan, expected: Expected, config: pulumi.Config) -> None:
    # These take half a second to load, which an update that changes no key does not have to spend.
    from fleet.evidence import evidence  # noqa: PLC0415
    from fleet.health import connect  # noqa: PLC0415
    from fleet.prometheus import Prometheus, Unreachable  # noqa: PLC0415
    from fleet.rotation import asked_clusters, unconfirmed  # noqa: PLC0415

    async def client(name: str) -> Prometheus | Unreachable:
        cluster = plan.cluster(name)
        try:
            if cluster.kubeconfig_secret is None:
                return await connect(cluster, read_kubeconfig(cluster).text)
            if name in plan.clusters:
                return await connect(cluster, config.require(cluster.kubeconfig_secret))
        except Unreachable as error:
            return error
        return Unreachable(f"stack {plan.stacks[name]} deploys it, and its kubeconfig is a secret of that stack")

    async def ask() -> list[str]:
        names = asked_clusters(plan, expected)
        clients = await asyncio.gather(*map(client, names))
        return [*unconfirmed(plan, expected, await evidence(plan, dict(zip(names, clients, strict=True))))]

    # The program itself already runs inside of a loop.
    with ThreadPoolExecutor(1) as thread, told_plainly():
        faults = thread.submit(asyncio.run, ask()).result()
    if faults:
        listed = "\n".join(f"- {fault}" for fault in faults)
        raise pulumi.RunError(
            f"keys do not change yet: not every running process has confirmed what was deployed last\n{listed}\n"
            "A kubelet carries a changed Secret into its pods within two minutes or so: run `pulumi up` again then. "
            f"`python -m fleet rotate --stack {pulumi.get_stack()}` waits for it."
        )
