"""The compiler: from a page to a plan, or to every reason why there is none."""

from collections.abc import Iterator, Sequence

from fleet.compiler.advice import warnings
from fleet.compiler.budgets import over_budget
from fleet.compiler.clusters import cluster_plan, cluster_problems
from fleet.compiler.destinations import destination_problems
from fleet.compiler.edges import federation, remote_write
from fleet.compiler.gateways import gateway_problems
from fleet.compiler.intervals import interval_problems
from fleet.compiler.matches import match_problems
from fleet.compiler.network_policies import network_policy_problems, network_policy_warnings
from fleet.compiler.recording import rule_problems
from fleet.compiler.topology import Topology, topology_problems
from fleet.compiler.values import value_problems
from fleet.errors import FleetError, Problem
from fleet.page import Page
from fleet.page.fixes import with_fix
from fleet.plan import Plan
from fleet.rules import Rule, cluster_rules


def compile_page(page: Page, rules: Sequence[Rule] | None = None) -> Plan:
    """Derives the plan; `rules` are those of `rules/` where absent.

    Raises FleetError with everything that keeps the clusters from being a fleet.
    """
    rules = cluster_rules() if rules is None else rules
    _refuse([*rule_problems(rules)])
    # What the edges are is undecided until the topology is sound.
    _refuse_page(page, [*topology_problems(page), *_independent_problems(page, rules)])
    topology = Topology.of(page)
    _refuse_page(page, [*gateway_problems(page, topology), *destination_problems(page, topology)])
    edges, writes = tuple(federation(page, topology, rules)), tuple(remote_write(page, topology, rules))
    _refuse_page(page, [*over_budget(page, edges)])
    clusters = {name: cluster_plan(page, topology, (*edges, *writes), name) for name in page.clusters}
    _refuse_page(page, [*network_policy_problems(page, clusters)])
    return Plan(clusters, edges, writes, (*warnings(page, topology, edges), *network_policy_warnings(clusters)))


def _independent_problems(page: Page, rules: Sequence[Rule]) -> Iterator[Problem]:
    yield from cluster_problems(page)
    yield from interval_problems(page.intervals)
    yield from match_problems(page, rules)
    yield from value_problems(page)


def _refuse_page(page: Page, problems: Sequence[Problem]) -> None:
    if problems:
        written = page.model_dump(mode="json", by_alias=True, exclude_unset=True)
        _refuse([with_fix(problem, written) for problem in problems])


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise FleetError(problems)
