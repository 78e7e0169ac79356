"""What a stack's config says, with a user's mistakes told as Pulumi tells its own: no traceback."""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import pulumi

from fleet.absence import absence
from fleet.budgets import budget_summary
from fleet.compiler import compile_fleet
from fleet.errors import FleetError
from fleet.kubeconfig import read_kubeconfigs
from fleet.names import PAGE_KEY
from fleet.page import read_page, whole_fleet
from fleet.plan import Plan


def read_plan(config: pulumi.Config) -> Plan:
    """What this stack deploys of the fleet under key `fleet`; raises RunError with every mistake of its pages.

    Says its warnings, and in a preview how its series budgets stand.
    """
    with told_plainly():
        stack = pulumi.get_stack()
        plan = compile_fleet(whole_fleet(stack, read_page(config.get_object("fleet")))).part(stack)
    plan = plan.without(absence().left_out)
    for warning in plan.warnings:
        pulumi.log.warn(warning)
    if pulumi.runtime.is_dry_run() and (summary := budget_summary(plan)):
        pulumi.log.info(summary)
    return plan


def kubeconfigs(plan: Plan, config: pulumi.Config) -> Mapping[str, pulumi.Input[str]]:
    """Contents by cluster name, from files or from the config's secrets; raises RunError with all that fail."""
    with told_plainly():
        files = read_kubeconfigs(plan)
    return {
        name: config.require_secret(cluster.kubeconfig_secret) if cluster.kubeconfig_secret else files[name].text
        for name, cluster in plan.clusters.items()
    }


@contextmanager
def told_plainly() -> Generator[None]:
    try:
        yield
    except FleetError as error:
        raise pulumi.RunError(f"{PAGE_KEY}\n{error}") from None


class UnreadableError(Exception):
    """Why the engine cannot read a stack."""


def full_name(stack: str) -> str:
    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"


_BEING_WRITTEN = "failed to load checkpoint: EOF"
"""A backend of files writes a stack's attributes in place, and so the engine does for the stack that it updates."""
_PATIENCE = (0.05, 0.1, 0.2, 0.4)
"""Seconds before it is read again."""


def last_outputs(stack: str, patience: Sequence[float] = _PATIENCE) -> object:
    """Outputs of a stack of this project, as its last update left them. Raises UnreadableError."""
    try:
        answer = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": full_name(stack)})
    except Exception as error:  # noqa: BLE001 (what the engine answers is no more than that)
        if not patience or not str(error).endswith(_BEING_WRITTEN):
            raise UnreadableError(str(error)) from None
        time.sleep(patience[0])
        return last_outputs(stack, patience[1:])
    return cast("Mapping[str, object]", answer.value or {}).get("outputs")
