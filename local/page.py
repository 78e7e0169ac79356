"""Stack dev's page as the local fleet has to fulfil it."""

from fleet.compiler import compile_page
from fleet.errors import FleetError, Problem
from fleet.page import Page, read_stack
from fleet.plan import Plan
from local.environment import CHECKOUT, STACK, kubeconfig
from local.network import node_address


def local_plan() -> Plan:
    """Raises FleetError, also where the page asks for clusters that the local fleet will not make."""
    page = read_stack(STACK, CHECKOUT)
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
