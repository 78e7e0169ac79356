"""The life of one metric: where it is made, how it travels, what it is called at the top, and why."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from fleet.duration import format_duration
from fleet.errors import FleetError, Problem
from fleet.names import Tier
from fleet.page import Rule
from fleet.page.problems import did_you_mean
from fleet.plan import ClusterPlan, DiscoveredEdge, FederationEdge, Plan, WriteEdge
from fleet.promql import Selector, is_literal
from fleet.rules import coverage_rules, global_rules, of_edges, of_gateways, own_rules, reads, region_rules

_MANY = 4  # names, from which on a list is shortened


def explain(plan: Plan, rules: Sequence[Rule], name: str) -> str:
    """Raises FleetError where the fleet knows no such metric."""
    known = {record for record, _ in _all_rules(plan, rules)}
    raw = {metric for rule in rules for metric in _sources(rule)} | set(_allowed(plan))
    if name not in known and name not in raw:
        message = f"no rule and no match of this fleet knows it{did_you_mean(name, [*known, *raw])}"
        raise FleetError([Problem(name, message)])
    return "\n".join(_story(plan, rules, name))


def _allowed(plan: Plan) -> Iterator[str]:
    for edge in plan.remote_write:
        yield from edge.keep
    for edge in plan.scraped:
        for extra in edge.extra:
            yield from filter(is_literal, Selector.parse(extra.match).branches)


def _story(plan: Plan, rules: Sequence[Rule], name: str) -> Iterator[str]:
    chain = [name]
    yield name
    yield from (f"  why        {reason}" for reason in _reasons(plan, rules, name))
    for each in chain:
        if each != name:
            yield each
        yield from _made(plan, rules, each)
        yield from _travels(plan, each, _holders(plan, rules, each))
        above = [record for record, expr in _all_rules(plan, rules) if each in reads(expr)]
        above = [record for record in dict.fromkeys(above) if record not in chain]
        if above:
            yield f"  read by    {', '.join(above)}"
            chain += above
    (top,) = plan.tier(Tier.GLOBAL)
    arrived = [each for each in chain if top.name in _holders(plan, rules, each)]
    yield f"at {top.name}: {', '.join(arrived) or 'nothing of it'}"


def _all_rules(plan: Plan, rules: Sequence[Rule]) -> list[tuple[str, str]]:
    """Those that one rule's text is told of: what a leaf records, before what is recorded of an edge."""
    above = [cluster for cluster in plan.everywhere.values() if cluster.tier in {Tier.REGIONAL, Tier.GLOBAL}]
    added = {rule.record: rule.text for cluster in above for rule in cluster.added_rules}
    covered = [each for cluster in above for each in coverage_rules(cluster)]
    return [*_derived(rules), *of_edges(rules), *covered, *added.items()]


def _derived(rules: Sequence[Rule]) -> list[tuple[str, str]]:
    recorded = ((rule.record, rule.text) for rule in rules)
    return [*recorded, *region_rules(rules), *own_rules(rules), *global_rules(rules)]


def _sources(rule: Rule) -> frozenset[str]:
    """Raw metrics that it is made of, of a leaf or of an edge."""
    return _read(expr for expr in (rule.expr, rule.edge) if expr is not None)


def _reasons(plan: Plan, rules: Sequence[Rule], name: str) -> Iterator[str]:
    derived = {record: rule for rule in rules for record, _ in _derived([rule])}
    added = {rule.record: rule for cluster in plan.everywhere.values() for rule in cluster.added_rules}
    if name in added:
        yield f"{added[name].reason} (in {added[name].unit})"
    for rule in rules:
        if derived.get(name) is rule:
            yield f"{rule.reason} (in {rule.unit})"
        elif name in _sources(rule):
            yield f"{rule.record} is made of it: {rule.reason}"
    extra = {each.match: each.reason for edge in plan.scraped for each in edge.extra}
    for match, reason in extra.items():
        if Selector.parse(match).selects(name):
            yield f"{reason} ({match})"


def _made(plan: Plan, rules: Sequence[Rule], name: str) -> Iterator[str]:
    makers = _makers(plan, rules, name)
    expr = next((expr for record, expr in _all_rules(plan, rules) if record == name), None)
    if expr is None:
        yield f"  scraped    by {_list(makers)}"
    else:
        yield f"  recorded   by {_list(makers)} as {' '.join(expr.split())}"


def _makers(plan: Plan, rules: Sequence[Rule], name: str) -> list[str]:
    if name.startswith("region:"):
        return [cluster.name for cluster in plan.tier(Tier.REGIONAL)]
    if name.startswith("global:"):
        return [cluster.name for cluster in plan.tier(Tier.GLOBAL)]
    for names, makes in _places(rules):
        if name in names:
            return [cluster.name for cluster in plan.clusters.values() if makes(cluster)]
    return [cluster.name for cluster in plan.clusters.values() if cluster.tier in {Tier.LEAF, Tier.EDGE}]


def _places(rules: Sequence[Rule]) -> Iterator[tuple[Iterable[str], Callable[[ClusterPlan], bool]]]:
    """(names, who makes them); the first that has a name counts, and applications make the rest."""
    of_gateway = of_gateways(rules)
    of_prometheus = [rule for rule in rules if rule.of in {"prometheus", "writer"}]
    yield {rule.record for rule in of_gateway}, lambda each: each.tier is Tier.LEAF and each.gateway is not None
    yield _read(rule.expr for rule in of_gateway), lambda each: each.gateway is not None
    yield {rule.record for rule in rules}, lambda each: each.tier is Tier.LEAF or each.receives_edges
    yield _read(rule.expr for rule in of_prometheus), lambda each: each.tier is not Tier.EDGE
    yield _read(rule.edge for rule in of_prometheus if rule.edge is not None), lambda each: each.tier is Tier.EDGE


def _read(exprs: Iterable[str]) -> frozenset[str]:
    return frozenset(name for expr in exprs for name in reads(expr))


def _holders(plan: Plan, rules: Sequence[Rule], name: str) -> set[str]:
    holders = set(_makers(plan, rules, name))
    # Nobody but itself knows what a discovered child holds: it may hold all that it is asked for.
    holders |= {edge.parent for edge in plan.discovered if edge.carries(name)}
    # The plan lists edges from below upward.
    for edge in (*plan.federation, *plan.remote_write):
        below, above = (edge.callee, edge.caller) if isinstance(edge, FederationEdge) else (edge.caller, edge.callee)
        if below in holders and edge.carries(name):
            holders.add(above)
    return holders


def _travels(plan: Plan, name: str, holders: Collection[str]) -> Iterator[str]:
    ways: dict[str, list[str]] = {}
    for edge in plan.scraped:
        child = f"{edge.child} (discovered)" if isinstance(edge, DiscoveredEdge) else edge.child
        for match in edge.matches:
            if Selector.parse(match).selects(name):
                way = f"→ {edge.parent} every {format_duration(edge.interval)} through {match}"
                ways.setdefault(way, []).append(child)
    for to, write in _writes(plan):
        if write.sender in holders and write.carries(name):
            ways.setdefault(f"→ {to} by remote write", []).append(write.sender)
    if not ways:
        yield "  travels    nowhere"
    for way, children in ways.items():
        yield f"  travels    {_list(children)} {way}"


def _writes(plan: Plan) -> Iterator[tuple[str, WriteEdge]]:
    """(who is written to, by which edge)."""
    yield from ((edge.receiver, edge) for edge in plan.remote_write)
    yield from ((f"{edge.name} at {edge.receiver}", edge) for edge in plan.stores)
    yield from ((edge.name, edge) for cluster in plan.clusters.values() for edge in cluster.destinations)


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MANY])
    return shown if len(names) <= _MANY else f"{shown} and {len(names) - _MANY} more"
