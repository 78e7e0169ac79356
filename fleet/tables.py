"""A fleet for people to read: its topology and its state."""

from collections.abc import Sequence

from rich.table import Table

from fleet.duration import format_duration
from fleet.plan import Plan
from fleet.status import EdgeStatus

_MANY = 10  # samples, from which on fractions of one tell nothing


def topology_table(plan: Plan) -> Table:
    table = Table(title=f"{len(plan.clusters)} clusters, {len(plan.edges)} edges", title_justify="left")
    for column in ("from", "to", "by", "what", "every"):
        table.add_column(column)
    for edge in plan.federation:
        table.add_row(edge.child, edge.parent, "federation", " ".join(edge.matches), format_duration(edge.interval))
    for edge in plan.remote_write:
        table.add_row(edge.sender, edge.receiver, "remote write", f"{len(edge.keep)} metrics", "at once")
    return table


def status_table(statuses: Sequence[EdgeStatus]) -> Table:
    table = Table()
    for column in ("edge", "by", "state", "samples", "newest"):
        table.add_column(column, overflow="fold")
    for each in statuses:
        unit = "per scrape" if each.kind == "federation" else "per second"
        samples = "-" if each.samples is None else f"{each.samples:.{0 if each.samples >= _MANY else 1}f} {unit}"
        age = "-" if each.age is None else f"{each.age:.1f} s ago"
        state = each.fault or (f"ok, without {', '.join(each.missing)}" if each.missing else "ok")
        table.add_row(f"{each.lower} → {each.upper}", each.kind, state, samples, age)
    return table
