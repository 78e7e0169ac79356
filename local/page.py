"""Stack dev's page as the local fleet has to fulfil it."""

from pathlib import Path
from typing import cast

import yaml

from fleet.compiler import compile_page
from fleet.errors import FleetError, Problem
from fleet.names import PAGE_KEY
from fleet.page import Page, read_stack
from fleet.plan import Plan
from fleet.values import merge
from local.environment import CHECKOUT, LOCAL, STACK, kubeconfig
from local.network import node_address

_PROFILES = Path(__file__).parent / "profiles"


def stack_file(profile: str | None) -> Path:
    """Stack dev's own, or a copy of it with the profile laid over its page; raises FleetError for one that is none."""
    own = CHECKOUT / f"Pulumi.{STACK}.yaml"
    if profile is None:
        return own
    overlay = _PROFILES / f"{profile}.yaml"
    if not overlay.exists():
        known = sorted(each.stem for each in _PROFILES.glob("*.yaml"))
        message = f"there is no profile {profile!r}; there is {', '.join(known)}"
        raise FleetError([Problem("PROFILE", message, f"make demo PROFILE={known[0]}")])
    document = cast("dict[str, dict[str, dict[str, object]]]", yaml.safe_load(own.read_text()))
    page = merge(document["config"][PAGE_KEY], yaml.safe_load(overlay.read_text()))
    merged = LOCAL / "profiles" / profile / own.name
    merged.parent.mkdir(parents=True, exist_ok=True)
    merged.write_text(yaml.safe_dump({**document, "config": {**document["config"], PAGE_KEY: page}}, sort_keys=False))
    return merged


def local_plan(file: Path = CHECKOUT / f"Pulumi.{STACK}.yaml") -> Plan:
    """Raises FleetError, also where the page asks for clusters that the local fleet will not make."""
    page = read_stack(STACK, file.parent)
    problems = [problem for number, name in enumerate(page.clusters, 1) for problem in _problems(page, name, number)]
    if problems:
        raise FleetError(problems)
    return compile_page(page)


def _problems(page: Page, name: str, number: int) -> list[Problem]:
    """Local clusters are numbered in the page's order, and their addresses follow from that."""
    cluster, address, problems = page.clusters[name], node_address(number), list[Problem]()
    wanted = kubeconfig(name).relative_to(CHECKOUT)
    if cluster.kubeconfig != wanted:
        message = f"stack {STACK} runs on local clusters, and this one's kubeconfig will be {wanted}"
        problems.append(Problem(f"clusters.{name}.kubeconfig", message, f"{name}: {{kubeconfig: {wanted}}}"))
    if cluster.gateway is not None and cluster.gateway.host not in {None, address}:
        message = f"as number {number} on the page this local cluster has the address {address}"
        problems.append(Problem(f"clusters.{name}.gateway.host", message, f"gateway: {{host: {address}}}"))
    return problems
