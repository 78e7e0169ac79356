"""`python -m fleet up`: `pulumi up` for all clusters that can be reached, whichever cannot."""

import asyncio
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.absence import Absence
from fleet.clients import connected
from fleet.events import Failures, deployed_names, failures
from fleet.live import run_to_its_end, stack_export, stack_secrets
from fleet.plan import Plan
from fleet.prometheus import Unreachable

DONE, FAILED, PARTIAL = 0, 1, 3
"""Exit codes."""
_AT_ONCE = 16
"""Clusters that are asked: of many more, answers would wait here until their time has run out."""

Say = Callable[[str], None]
Reasons = Mapping[str, str]
"""Why a cluster cannot be reached, by its name."""


@dataclass(frozen=True, slots=True)
class Update:
    plan: Plan
    stack: str
    is_asked: bool
    """Whether Pulumi asks before it updates."""
    say: Say
    policy_packs: tuple[Path, ...] = ()
    """Which the update has to pass."""

    def run(self) -> int:
        """Answers the exit code. Raises FleetError where pulumi, the stack or a kubeconfig is missing."""
        before = self._unreachable([*self.plan.clusters])
        absent = self._absence(before)
        for name, reason in before.items():
            what = "it is left out until it can be reached" if name in absent.left_out else "it stays as it is"
            self.say(f"{name} cannot be reached, {what}: {reason}")
        status, failed = self._pulumi(absent)
        reasons = {**before, **self._lost(failed, before)}
        return self._told(status, failed, reasons, absent)

    def _unreachable(self, names: Sequence[str]) -> Reasons:
        secret, slots = stack_secrets(self.stack), asyncio.Semaphore(_AT_ONCE)

        async def reach(name: str) -> object:
            async with slots:
                return await connected(self.plan.clusters[name], secret)

        async def ask() -> list[object]:
            return [*await asyncio.gather(*map(reach, names))]

        return {
            name: str(client)
            for name, client in zip(names, asyncio.run(ask()), strict=True)
            if isinstance(client, Unreachable)
        }

    def _absence(self, unreachable: Reasons) -> Absence:
        if not unreachable:
            return Absence()
        there = deployed_names(stack_export(self.stack))
        new = frozenset(name for name in unreachable if f"{name}-namespace" not in there)
        return Absence(frozenset(unreachable) - new, new)

    def _pulumi(self, absent: Absence) -> tuple[int, Failures]:
        command = ["pulumi", "up", "--continue-on-error", "--suppress-outputs", "--stack", self.stack]
        command += [f"--policy-pack={pack}" for pack in self.policy_packs]
        if not self.is_asked:
            command += ["--yes", "--skip-preview", "--non-interactive"]
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "events.jsonl")
            status = run_to_its_end(
                [*command, "--event-log", str(log)],
                environment={
                    **os.environ,
                    **absent.environment,
                    # Without it, the CLI has no event log.
                    "PULUMI_DEBUG_COMMANDS": "true",
                    "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE": str(bool(absent.kept)).lower(),
                    # Whatever the shell says: who wants a dead cluster forgotten tells Pulumi itself.
                    "PULUMI_K8S_DELETE_UNREACHABLE": "false",
                },
            )
            return status, failures(log.read_text().splitlines() if log.exists() else [])

    def _lost(self, failed: Failures, before: Reasons) -> Reasons:
        """Clusters that went while the update ran, and those that the page no longer has."""
        clusters = {cluster for cluster in failed.operations.values() if cluster} - before.keys()
        gone = {
            cluster: "no longer on the page; Pulumi cannot reach it either"
            for cluster in clusters - self.plan.clusters.keys()
            if all(_UNREACHABLE.search(failed.messages[urn]) for urn, of in failed.operations.items() if of == cluster)
        }
        return {**gone, **self._unreachable(sorted(clusters & self.plan.clusters.keys()))}

    def _told(self, status: int, failed: Failures, reasons: Reasons, absent: Absence) -> int:
        elsewhere = sorted({cluster or "what is in no cluster" for cluster in failed.operations.values()} - {*reasons})
        for cluster in elsewhere:
            self.say(f"{cluster}: failed, as it says above")
        for name, reason in reasons.items():
            left = "nothing of it is deployed yet" if name in absent.left_out else "nothing of it left the state"
            self.say(f"{name}: not reached ({reason}); {left}")
        others = failed.others or (status != 0 and not failed.operations)
        if elsewhere or others:
            return FAILED
        if not reasons:
            return DONE
        rest = len(self.plan.clusters.keys() - reasons.keys())
        self.say(f"{rest} of {len(self.plan.clusters)} clusters updated; run this again once the others can be reached")
        return PARTIAL


_UNREACHABLE = re.compile(r"cluster is unreachable|unreachable cluster")
"""As the provider says it."""
