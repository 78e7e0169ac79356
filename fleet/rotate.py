"""`python -m fleet rotate`: the steps of a rotation one after another, each confirmed before the next.

What is done is seen from the page, the stack's outputs and the clusters alone, so that a run goes on where any other
one was stopped.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from fleet.compiler import compile_fleet
from fleet.duration import format_duration
from fleet.errors import FleetError, Problem, dotted
from fleet.live import live_evidence, run_to_its_end, stack_keys
from fleet.page import FleetPage, read_fleet
from fleet.page.editing import Values, edit_page
from fleet.page.problems import did_you_mean
from fleet.plan import Plan
from fleet.rotation import (
    AuthorityState,
    Expected,
    KeyState,
    after_step,
    asked_clusters,
    before_step,
    next_authority,
    of_authority,
    of_keys,
    planned_keys,
    step_problems,
)

PATIENCE = timedelta(minutes=10)
"""Kubelets carry a changed Secret into pods within about two minutes; gateways are scraped once a minute at most."""
_POLL_SECONDS = 2.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Rotation:
    """Of one stack, whose page is `Pulumi.STACK.yaml` in the working directory. Everything raises FleetError."""

    stack: str
    is_asked: bool
    """Whether Pulumi asks before each update."""
    say: Say
    policy_packs: tuple[Path, ...] = ()
    """Which every update has to pass."""

    def keys(self, edges: Sequence[str], *, revoke: bool) -> None:
        """Brings the keys of `edges`, or all, one generation on; two to `revoke`, after which the first is refused."""
        plan, old = _plan(self._read()), self._deployed()
        page = planned_keys(plan)
        _refuse_unknown(edges, plan, page)
        wanted = [*edges] or [*page.keys]
        about = partial(of_keys, edges=wanted)
        _refuse_unasked(plan, about(page))
        ahead = min((page.keys[edge] - old.keys.get(edge, page.keys[edge]) for edge in wanted), default=0)
        # An authority that was begun is finished on the way, and no rotation of keys.
        begun = self._finish(about) and (ahead > 0 or page == old)
        steps = 2 - max(ahead, 0) if revoke else int(not begun)
        for _ in range(steps):
            self._edit(_next_generation(self._read(), edges))
            self._finish(about)

    def authority(self) -> None:
        """Replaces the authority that signs: all trust both, the new one signs, all distrust the old one."""
        plan, old = _plan(self._read()), self._deployed()
        page = planned_keys(plan)
        now = page.authority
        _refuse_unasked(plan, of_authority(page))
        begun = self._finish(of_authority) and (now != old.authority or page == old)
        if begun and len(now.trust) == 1:
            return
        # Of two the higher one is the new one, whichever of them signs by now.
        new = max(now.trust) if len(now.trust) > 1 else now.issue + 1
        goal = AuthorityState(trust=(new,), issue=new)
        while now != goal:
            now = next_authority(now, goal)
            self._edit({("authority", "trust"): list(now.trust), ("authority", "issue"): now.issue})
            self._finish(of_authority)

    def _finish(self, about: Callable[[KeyState], Expected]) -> bool:
        """Deploys the page and waits until that is confirmed; says whether any of it was still to be done.

        Where nothing is left to deploy, it is `about` what a step that was stopped may have changed.
        """
        plan, old = _plan(self._read()), self._deployed()
        new = planned_keys(plan)
        after = after_step(old, new) or about(new)
        if old == new and not self._faults(plan, after):
            return False
        if problems := [*step_problems(old, new)]:
            raise FleetError(problems)
        if expected := before_step(old, new):
            self._wait(plan, expected, "before the next step")
        self.say(_described(old, new))
        self._up()
        self._wait(plan, after, "for the step to arrive")
        return True

    def _read(self) -> FleetPage:
        fleet = read_fleet(self.stack, Path())
        if len(set(fleet.stacks.values())) > 1:
            raise FleetError([Problem(f"stack {self.stack}", _SEVERAL_STACKS.format(parent=fleet.parent))])
        return fleet

    def _deployed(self) -> KeyState:
        if (keys := stack_keys(self.stack)) is None:
            message = f"was deployed by a program that knew no generations; first `pulumi up --stack {self.stack}`"
            raise FleetError([Problem(f"stack {self.stack}", message)])
        return keys

    def _edit(self, values: Values) -> None:
        path = Path(f"Pulumi.{self.stack}.yaml")
        edit_page(path, values)
        for where, value in values.items():
            self.say(f"{path.name}: {dotted(where)}: {value}")

    def _up(self) -> None:
        command = ["pulumi", "up", "--suppress-outputs", "--stack", self.stack]
        command += [f"--policy-pack={pack}" for pack in self.policy_packs]
        if not self.is_asked:
            command += ["--yes", "--skip-preview", "--non-interactive"]
        if run_to_its_end(command):
            message = (
                "failed or was declined, as it says above; once that is mended, the same command goes on from here"
            )
            raise FleetError([Problem("pulumi up", message)])

    def _faults(self, plan: Plan, expected: Expected) -> list[str]:
        return asyncio.run(live_evidence(plan, expected))

    def _wait(self, plan: Plan, expected: Expected, what: str) -> None:
        began, said = time.monotonic(), None
        while faults := self._faults(plan, expected):
            if time.monotonic() - began > PATIENCE.total_seconds():
                message = f"not confirmed within {format_duration(PATIENCE)}; the same command goes on from here"
                raise FleetError([Problem(fault, message) for fault in faults])
            if faults != said:
                more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
                self.say(f"waiting {what}: {faults[0]}{more}")
                said = faults
            time.sleep(_POLL_SECONDS)
        if said is not None:
            self.say(f"confirmed by every running process after {time.monotonic() - began:.0f} s")


_SEVERAL_STACKS = """is one of a fleet in several stacks, which this command does not walk. By hand: make one step on \
Pulumi.{parent}.yaml (docs/rotation.md), then `pulumi up` of each stack of childStacks, then of {parent}; an update \
that would be too early is refused, and can be run again a little later"""


def _plan(fleet: FleetPage) -> Plan:
    return compile_fleet(fleet).part(fleet.stack)


def _refuse_unasked(plan: Plan, expected: Expected) -> None:
    """Those whose kubeconfig this command cannot read: it would wait for them in vain."""
    secret = [name for name in asked_clusters(plan, expected) if plan.cluster(name).kubeconfig_secret is not None]
    if secret:
        message = (
            "is read by `pulumi up` alone. By hand: make one step on the page (docs/rotation.md) and run `pulumi up`, "
            "which refuses what would be too early and can be run again a little later; then the next step"
        )
        raise FleetError([Problem(f"clusters.{name}.kubeconfigSecret", message) for name in secret])


def _refuse_unknown(edges: Sequence[str], plan: Plan, page: KeyState) -> None:
    brought = {each.id for each in plan.keyed} - {*page.keys}
    if problems := [
        Problem(
            f"--edge {edge}",
            "its password is your own and has no generations (keys.edges, password)"
            if edge in brought
            else f"the fleet has no edge of this name{did_you_mean(edge, page.keys)}",
        )
        for edge in edges
        if edge not in page.keys
    ]:
        raise FleetError(problems)


def _next_generation(fleet: FleetPage, edges: Sequence[str]) -> Values:
    """One more for each of `edges`; where there are none for all, also those with a generation of their own."""
    planned = planned_keys(_plan(fleet)).keys
    if edges:
        return {("keys", "edges", edge, "generation"): planned[edge] + 1 for edge in edges}
    keys = fleet.page.keys
    own: Mapping[str, int] = {name: key.generation for name, key in keys.edges.items() if key.generation is not None}
    return {
        ("keys", "generation"): keys.generation + 1,
        **{("keys", "edges", edge, "generation"): generation + 1 for edge, generation in own.items()},
    }


def _described(old: KeyState, new: KeyState) -> str:
    changed = {edge: (old.keys.get(edge), to) for edge, to in new.keys.items() if old.keys.get(edge) != to}
    lines = [f"{edge}: generation {since} → {to}" for edge, (since, to) in changed.items()]
    if old.authority != new.authority:
        lines.append(f"authorities: trust {[*old.authority.trust]}, issue {old.authority.issue} → ")
        lines[-1] += f"trust {[*new.authority.trust]}, issue {new.authority.issue}"
    return "\n".join(lines) or "deploying once more what the page says"
