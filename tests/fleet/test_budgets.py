"""What a preview says of a fleet's budgets."""

from fleet.budgets import SHOWN, budget_summary
from fleet.compiler import compile_page
from fleet.page import read_page
from fleet.plan import Plan


def plan(leaves: int, **large: object) -> Plan:
    """Of one region; the last leaf is as `large` says."""
    names = [f"leaf-{number}" for number in range(leaves)]
    clusters: dict[str, object] = {name: {"tier": "leaf", "region": "eu", "context": name} for name in names}
    if large:
        clusters[names[-1]] = {"tier": "leaf", "region": "eu", "context": names[-1], **large}
    tops = {"hub": {"tier": "global", "context": "hub"}, "eu": {"tier": "regional", "region": "eu", "context": "eu"}}
    return compile_page(read_page({"clusters": {**tops, **clusters}}, {}))


def test_the_edge_nearest_to_its_budget_comes_first_and_the_total_counts_every_edge() -> None:
    of_two = plan(2, budget=3000)
    head, first, *_ = budget_summary(of_two).splitlines()
    small, large = (edge for edge in of_two.federation if edge.parent == "eu")
    assert large.budget == 3000
    total = sum(edge.estimate for edge in of_two.federation)
    assert (
        head
        == f"series budgets: 3 federation edges, {total} series expected of {sum(e.budget for e in of_two.federation)}"
    )
    assert first.split() == [
        "leaf-1",
        "→",
        "eu",
        f"{large.estimate}",
        "of",
        "3000",
        f"{round(large.estimate / 30)}",
        "%",
    ]
    assert large.estimate / large.budget > small.estimate / small.budget


def test_a_large_fleet_takes_no_more_lines_than_a_small_one() -> None:
    lines = budget_summary(plan(298)).splitlines()
    assert len(lines) == SHOWN + 2
    assert lines[-1].startswith(f"  {299 - SHOWN} more, none above ")


def test_a_fleet_without_federation_has_no_budgets() -> None:
    clusters = {"hub": {"tier": "global", "context": "hub"}, "shop": {"tier": "edge", "context": "shop"}}
    assert budget_summary(compile_page(read_page({"clusters": clusters}, {}))) == ""
