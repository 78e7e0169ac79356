"""The gate before every change of keys: a step is small enough, and running processes have confirmed the last one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pulumi

from components.stack_config import UnreadableError, full_name, last_outputs, told_plainly
from fleet.errors import FleetError
from fleet.plan import ClusterPlan, Plan
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
    from fleet.evidence import faults  # noqa: PLC0415
    from fleet.prometheus import Unreachable  # noqa: PLC0415

    def secret(cluster: ClusterPlan) -> str:
        if cluster.name not in plan.clusters:
            stack = plan.stacks[cluster.name]
            raise Unreachable(f"stack {stack} deploys it, and its kubeconfig is a secret of that stack")
        return config.require(cast("str", cluster.kubeconfig_secret))

    # The program itself already runs inside of a loop.
    with ThreadPoolExecutor(1) as thread, told_plainly():
        found = thread.submit(asyncio.run, faults(plan, expected, secret)).result()
    if found:
        listed = "\n".join(f"- {fault}" for fault in found)
        raise pulumi.RunError(
            f"keys do not change yet: not every running process has confirmed what was deployed last\n{listed}\n"
            "A kubelet carries a changed Secret into its pods within two minutes or so: run `pulumi up` again then. "
            f"`python -m fleet rotate --stack {pulumi.get_stack()}` waits for it."
        )
