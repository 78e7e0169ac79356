"""What `pulumi preview` costs by the number of clusters, measured on one real API server behind all their contexts."""

import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from rich.table import Table

from fleet.names import PAGE_KEY, Tier
from local import environment, memory, toolchain
from local.api_server import api_server
from local.errors import LocalError
from local.markdown import machine, table
from local.memory import Peak
from local.progress import step
from local.trial import TOOLS, Trial, prepare

SIZES = (5, 20, 60)
RUNS = 3
PREVIEW_SECONDS = 600
"""After which a preview is given up."""

_SAMPLE_SECONDS = 0.2
_MIB = 2**20

_KINDS = {
    "policy pack": ("pulumi.policy", "pulumi-analyzer-policy"),
    "program": ("pulumi-language-python",),
    "kubernetes": ("standins.kubernetes", "pulumi-resource-kubernetes"),
    "random": ("standins.random", "pulumi-resource-random"),
    "tls": ("standins.tls", "pulumi-resource-tls"),
    "engine": ("pulumi ",),
}
"""Kinds of processes by what stands in their command lines; the first that fits."""


@dataclass(frozen=True)
class Cost:
    clusters: int
    policies: bool
    resources: int
    seconds: float
    """Of the quickest run."""
    cpu: float
    """Seconds of processor time of the run that took least of it: what others do on the machine changes it little."""
    peak: Peak
    """Of one run more, for sampling takes time."""


def bench(sizes: Sequence[int] = SIZES, runs: int = RUNS) -> list[Cost]:
    """Each size without and with the policy pack. Raises LocalError."""
    environment.enter(
        environment.variables(tools=toolchain.ensure(TOOLS), pulumi=toolchain.pulumi_bin(), standins=None, clusters=[])
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        (folder / "trial").mkdir()
        with ExitStack() as running:
            with step("start an API server"):
                server = running.enter_context(api_server(folder / "server"))
            contexts = dict.fromkeys(name for size in sizes for name in clusters(size))
            trial = prepare(folder / "trial", server, [*contexts])
            return [_cost(trial, size, runs, policies=policies) for size in sizes for policies in (False, True)]


def clusters(count: int) -> dict[str, dict[str, str]]:
    """A page's clusters as they are in a fleet: a tenth aggregates, a fifth are edges, one is the top."""
    regions = max(1, count // 10)
    edges = count // 5
    found = {"hub": {"tier": Tier.GLOBAL.value}}
    found |= {f"r{number}": {"tier": Tier.REGIONAL.value, "region": f"r{number}"} for number in range(regions)}
    found |= {
        f"leaf-{number}": {"tier": Tier.LEAF.value, "region": f"r{number % regions}"}
        for number in range(count - 1 - regions - edges)
    }
    found |= {f"edge-{number}": {"tier": Tier.EDGE.value} for number in range(edges)}
    return {name: {**cluster, "context": name} for name, cluster in found.items()}


def cost_table(costs: Sequence[Cost]) -> Table:
    """Printed as Markdown, which is what docs/scale.md holds; of each kind the MiB and how many processes."""
    rows: list[list[str]] = []
    for cost in costs:
        kinds = (cost.peak.by_kind.get(kind) for kind in _KINDS)
        rows.append(
            [
                str(cost.clusters),
                "yes" if cost.policies else "no",
                str(cost.resources),
                f"{cost.seconds:.1f}",
                f"{cost.cpu:.1f}",
                str(cost.peak.processes),
                f"{cost.peak.pss / _MIB:.0f}",
                *(f"{use.pss / _MIB:.0f} in {use.processes}" if use else "-" for use in kinds),
                f"{cost.seconds / cost.clusters:.2f}",
                f"{cost.peak.pss / _MIB / cost.clusters:.0f}",
            ]
        )
    columns = ["clusters", "policies", "resources", "seconds", "CPU s", "processes", "PSS MiB"]
    return table(machine(os.getloadavg()[1]), [*columns, *_KINDS, "s/cluster", "MiB/cluster"], rows)


def _cost(trial: Trial, size: int, runs: int, *, policies: bool) -> Cost:
    stack = f"bench-{size}"
    file = trial.tree / f"Pulumi.{stack}.yaml"
    if not file.exists():
        trial.init(stack)
        document = {**yaml.safe_load(file.read_text()), "config": {PAGE_KEY: {"clusters": clusters(size)}}}
        file.write_text(yaml.safe_dump(document))
    with step(f"preview {size} clusters {'with' if policies else 'without'} the policy pack") as progress:
        timed = [_preview(trial, stack, policies=policies) for _ in range(runs)]
        sampled = _preview(trial, stack, policies=policies, sampled=True)
        progress.detail = f"{min(each.seconds for each in timed):.1f} s"
    return Cost(
        size,
        policies,
        sampled.resources,
        min(each.seconds for each in timed),
        min(each.cpu for each in timed),
        sampled.peak,
    )


@dataclass(frozen=True)
class _Run:
    resources: int
    seconds: float
    cpu: float
    peak: Peak


def _preview(trial: Trial, stack: str, *, policies: bool, sampled: bool = False) -> _Run:
    command = ["pulumi", "--non-interactive", "--color=never", "preview", "--stack", stack]
    # A page of nothing but clusters has no volumes and no limits, as stack dev.
    settings = "policies/config/prometheus-fleet.dev.json"
    command += ["--policy-pack", "policies", "--policy-pack-config", settings] if policies else []
    said = trial.tree.parent / "said"
    started, cpu = time.monotonic(), _cpu_of_ended_children()
    with said.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=trial.tree,
            env=trial.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    watched = memory.watch(process.pid, kind_of, _SAMPLE_SECONDS) if sampled else nullcontext(Peak())
    try:
        with watched as peak:
            process.wait(PREVIEW_SECONDS)
    except subprocess.TimeoutExpired:
        raise LocalError(f"`{' '.join(command)}` was given up after {PREVIEW_SECONDS} s") from None
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # killed instead, it would leave its plugins
            process.wait()
    seconds = time.monotonic() - started
    text = said.read_text(errors="replace")
    if process.returncode:
        raise LocalError(f"`{' '.join(command)}` failed:\n{text[-2000:]}")
    created = re.search(r"\+ (\d+) to create", text)
    if created is None:
        raise LocalError(f"`{' '.join(command)}` creates nothing:\n{text[-2000:]}")
    return _Run(int(created[1]), seconds, _cpu_of_ended_children() - cpu, peak)


def kind_of(command: str) -> str:
    return next((kind for kind, marks in _KINDS.items() if any(mark in command for mark in marks)), "other")


def _cpu_of_ended_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
