"""The compiler: from a page to a plan, or to every reason why there is none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from types import MappingProxyType

from fleet.compiler.advice import warnings
from fleet.compiler.agents import agent_problems
from fleet.compiler.alerting import alerting_problems
from fleet.compiler.budgets import over_budget
from fleet.compiler.clusters import cluster_plan, cluster_problems
from fleet.compiler.destinations import destination_edges, destination_problems, flow_problems
from fleet.compiler.discovery import discovery, discovery_problems
from fleet.compiler.doubles import double_problems
from fleet.compiler.edges import alerts, federation, remote_write
from fleet.compiler.gateways import gateway_problems
from fleet.compiler.holdings import Holdings
from fleet.compiler.intervals import interval_problems
from fleet.compiler.keys import key_problems, shared_password_problems
from fleet.compiler.matches import match_problems
from fleet.compiler.network_policies import network_policy_problems, network_policy_warnings
from fleet.compiler.pod_security import pod_security_problems
from fleet.compiler.readers import reader_problems
from fleet.compiler.recording import added_rule_problems, rule_problems
from fleet.compiler.sidecars import sidecar_problems
from fleet.compiler.stores import stores
from fleet.compiler.topology import Topology, topology_problems
from fleet.compiler.values import value_problems, window_problems
from fleet.compiler.waves import wave_problems
from fleet.errors import FleetError, Problem
from fleet.page import FleetPage, Page, Rule
from fleet.page.fixes import with_fix
from fleet.plan import Plan
from fleet.rules import cluster_rules


def compile_fleet(fleet: FleetPage, rules: Sequence[Rule] | None = None) -> Plan:
    """The plan of the whole fleet, whichever of its stacks is asked about. Raises FleetError as `compile_page` does."""
    try:
        return compile_page(fleet.page, rules, fleet.stacks)
    except FleetError as error:
        raise fleet.located(error.problems) from None


def compile_page(
    page: Page, rules: Sequence[Rule] | None = None, stacks: Mapping[str, str] = MappingProxyType({})
) -> Plan:
    """Derives the plan; `rules` are those of `rules/` where absent, `stacks` says which stack deploys each cluster.

    Raises FleetError with everything that keeps the clusters from being a fleet.
    """
    rules = cluster_rules() if rules is None else rules
    _refuse([*rule_problems(rules)])
    _refuse_page(page, [*added_rule_problems(page, rules)])
    rules = (*rules, *page.rules.leaf.inline)
    # What the edges are is undecided until the topology is sound.
    _refuse_page(page, [*topology_problems(page), *_independent_problems(page, rules, stacks)])
    topology = Topology.of(page)
    _refuse_page(page, [*gateway_problems(page, topology, stacks), *destination_problems(page, topology)])
    _refuse_page(page, [*sidecar_problems(page, topology)])
    scrapes, writes = tuple(federation(page, topology, rules)), tuple(remote_write(page, topology, rules, stacks))
    sent, found = tuple(alerts(page, topology, stacks)), discovery(page, rules)
    upward = (*scrapes, *writes, *(edge for each in found.values() for edge in each.edges))
    holdings = Holdings(page, topology, rules, upward)
    stored = tuple(stores(page, topology, holdings, stacks))
    edges = (*scrapes, *writes, *stored, *sent)
    _refuse_page(page, [*key_problems(page, edges, found)])
    outward = destination_edges(page, holdings)
    written_out = (*chain.from_iterable(outward.values()), *stored)
    _refuse_page(
        page,
        [
            *flow_problems(page, holdings, written_out),
            *double_problems(page, holdings, written_out),
            *agent_problems(page, writes),
        ],
    )
    clusters = {
        name: cluster_plan(
            page,
            topology,
            edges,
            name,
            discovery=found.get(name),
            destinations=outward.get(name, ()),
            rules=rules,
        )
        for name in page.clusters
    }
    calls = (*edges, *found.values(), *(reader for each in clusters.values() for reader in each.readers))
    _refuse_page(page, [*shared_password_problems(calls, stacks)])
    plan = Plan(
        clusters, scrapes, writes, stored, sent, page.authority, page.dashboards, page.waves, warnings=(), stacks=stacks
    )
    _refuse_page(page, [*over_budget(page, plan.scraped)])
    _refuse_page(
        page,
        [
            *network_policy_problems(page, clusters),
            *pod_security_problems(clusters),
            *window_problems(page, clusters.values()),
        ],
    )
    said = (*warnings(page, topology, plan.scraped), *network_policy_warnings(clusters))
    return replace(plan, warnings=said)


def _independent_problems(page: Page, rules: Sequence[Rule], stacks: Mapping[str, str]) -> Iterator[Problem]:
    yield from cluster_problems(page, stacks)
    yield from discovery_problems(page)
    yield from interval_problems(page.intervals)
    yield from alerting_problems(page)
    yield from match_problems(page, rules)
    yield from value_problems(page)
    yield from reader_problems(page)
    yield from wave_problems(page, stacks)


def _refuse_page(page: Page, problems: Sequence[Problem]) -> None:
    if problems:
        written = page.model_dump(mode="json", by_alias=True, exclude_unset=True)
        _refuse([with_fix(problem, written) for problem in problems])


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise FleetError(problems)
