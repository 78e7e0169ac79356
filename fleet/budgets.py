"""The series budgets of a fleet in a few lines, however large it is: for a preview, which prints much else."""

from collections.abc import Iterator

from fleet.plan import FederationEdge, Plan

SHOWN = 5
"""Edges that are named: those nearest to their budget."""


def budget_summary(plan: Plan) -> str:
    """Empty for a fleet without federation; `python -m fleet check` shows every edge."""
    return "\n".join(_lines(sorted(plan.scraped, key=_used, reverse=True)))


def _used(edge: FederationEdge) -> float:
    return edge.estimate / edge.budget


def _lines(edges: list[FederationEdge]) -> Iterator[str]:
    if not edges:
        return
    estimate, budget = sum(edge.estimate for edge in edges), sum(edge.budget for edge in edges)
    yield f"series budgets: {len(edges)} federation edges, {estimate} series expected of {budget}"
    shown = edges[:SHOWN]
    names = [f"{edge.child} → {edge.parent}" for edge in shown]
    counts = [f"{edge.estimate} of {edge.budget}" for edge in shown]
    for name, count, edge in zip(names, counts, shown, strict=True):
        yield f"  {name:{max(map(len, names))}}  {count:>{max(map(len, counts))}}  {_percent(edge):3} %"
    if rest := edges[SHOWN:]:
        yield f"  {len(rest)} more, none above {_percent(rest[0])} %"


def _percent(edge: FederationEdge) -> int:
    return round(100 * _used(edge))
