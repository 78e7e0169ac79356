"""`make demo`: from nothing to samples at the top, and again without a change."""

import asyncio
import os
import subprocess
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from fleet.live import live_statuses, stack_output
from fleet.names import Tier
from fleet.outputs import query_path
from fleet.plan import Plan
from fleet.status import EdgeStatus
from fleet.tables import status_table
from local import chart_assembly, environment, leftovers, network, plugins, stack, toolchain
from local.clusters import LocalFleet
from local.debian import ensure_debian_packages
from local.environment import CHECKOUT, LOCAL, STACK
from local.errors import LocalError
from local.images import archive, tools_of
from local.page import local_plan, stack_file
from local.progress import say, step
from local.rendering import image_references
from local.run_lock import run_lock
from local.volumes import ensure_bucket

DATA_SECONDS = 180
"""Within which samples must be at the top once everything is deployed."""


def demo(profile: str | None = None) -> None:
    """Of stack dev, with what `profile` lays over its page; the next run goes on from where one has ended.

    Raises LocalError or FleetError with what is wrong and what to do.
    """
    with _only_run():
        _bring_up(stack_file(profile))


@contextmanager
def _only_run() -> Generator[None]:
    """One run at a time; what an earlier one left when it was killed ends first."""
    LOCAL.mkdir(exist_ok=True)
    with run_lock(LOCAL) as is_held:
        if not is_held:
            raise LocalError("another `make demo` of this checkout is running: wait until it ends, or end it.")
        if leftovers.end_strays(LOCAL):
            say("ended what a run that was killed had left")
        yield


def _bring_up(file: Path) -> None:
    plan = local_plan(file)
    ensure_debian_packages()
    # Before the tools are built: what is in its way can be known now.
    network.ensure_bridge(LOCAL)
    tools, pulumi = toolchain.ensure(), toolchain.pulumi_bin()
    _enter_environment(plan, tools, pulumi)
    with ThreadPoolExecutor() as pool:
        # What goes into the clusters is packed while they start; they start here, where Ctrl-C is heard.
        packing = pool.submit(_pack, plan, tools)
        clusters = LocalFleet(LOCAL, tools).up([*plan.clusters])
        images = packing.result()
        with step("import the images"):
            importing = [pool.submit(cluster.import_images, images[cluster.node.name]) for cluster in clusters]
            for each in importing:
                each.result()
    for cluster in clusters:
        if (thanos := plan.clusters[cluster.node.name].thanos) is not None and thanos.object_storage.volume is not None:
            ensure_bucket(cluster)
    _apply("workload.yaml", plan, Tier.LEAF, Tier.EDGE)
    stack.deploy(plan, file)
    _apply("workload.monitor.yaml", plan, Tier.LEAF)
    statuses = _wait_for_data(plan)
    Console().print(status_table(statuses))
    typer.echo(_how_to_look_around(plan))


def _enter_environment(plan: Plan, tools: Path, pulumi: Path | None) -> None:
    def found(standins: Path | None) -> Mapping[str, str]:
        return environment.variables(tools=tools, pulumi=pulumi, standins=standins, clusters=[*plan.clusters])

    environment.enter(found(standins=None))
    with step("choose the provider plugins"):
        standins = plugins.standins(LOCAL / "standins")
    environment.enter(found(standins))
    environment.write(found(standins))


def _pack(plan: Plan, tools: Path) -> Mapping[str, Path]:
    """An archive by cluster, with every image that its chart and services ask for."""
    if not os.environ["FLEET_CHART"]:
        with step("assemble the small chart"):
            chart_assembly.small_chart(LOCAL / "chart")
    with step("render the chart for every cluster"):
        references = image_references(plan, toolchain.version("kubectl"))
    toolchain.ensure_on_demand(tools_of(each for names in references.values() for each in names))
    return {name: archive({*references[name], *_WORKLOAD_IMAGES}, tools) for name in plan.clusters}


_WORKLOAD_IMAGES = ("docker.io/prometheus-fleet/demo-app:dev",)


def _apply(manifest: str, plan: Plan, *tiers: Tier) -> None:
    with step(f"apply {manifest}"):
        for cluster in (cluster for tier in tiers for cluster in plan.tier(tier)):
            path = CHECKOUT / "local" / manifest
            command = ["kubectl", "--context", cluster.name, "apply", "--server-side", "--filename", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise LocalError(f"{manifest} cannot be applied to {cluster.name}:\n{done.stderr.strip()}")


def _wait_for_data(plan: Plan) -> list[EdgeStatus]:
    deadline = time.monotonic() + DATA_SECONDS
    fleet = stack_output(STACK)
    with step("wait for samples at the top"):
        while True:
            statuses = asyncio.run(live_statuses(plan, fleet))
            lacking = [each for each in statuses if each.fault or each.missing]
            if not lacking:
                return statuses
            if time.monotonic() > deadline:
                raise LocalError(
                    "\n".join(
                        f"{each.lower} → {each.upper}: {each.fault or f'without {each.missing}'}" for each in lacking
                    )
                    + f"\nThis is how it stands after {DATA_SECONDS} s. `make status` asks again; "
                    "`make down` takes everything away."
                )
            time.sleep(1)  # what is waited for happens inside Prometheus, which tells nobody


def _how_to_look_around(plan: Plan) -> str:
    (hub,) = plan.tier(Tier.GLOBAL)
    query = f"{query_path(hub.namespace)}/api/v1/query?query=region:cluster_namespace_cpu:sum"
    return f"""
Look around:
  . .local/env                                     # PATH, kubeconfigs, Pulumi's backend
  kubectl --context {hub.name} -n {hub.namespace} get pods
  kubectl --context {hub.name} get --raw '{query}'
  pulumi stack --stack {STACK}
  make status                                      # every edge of the fleet
  make down                                        # take everything away
"""
