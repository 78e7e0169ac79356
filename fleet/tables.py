"""The live fleet for people to read."""

from collections.abc import Sequence

from rich.table import Table

from fleet.status import EdgeStatus

MANY = 10  # samples, from which on fractions of one tell nothing


def status_table(statuses: Sequence[EdgeStatus]) -> Table:
    table = Table()
    for column in ("edge", "by", "state", "samples", "newest"):
        table.add_column(column, overflow="fold")
    for each in statuses:
        unit = "per second" if each.kind == "remote write" else "per scrape"
        samples = "-" if each.samples is None else f"{each.samples:.{0 if each.samples >= MANY else 1}f} {unit}"
        age = "-" if each.age is None else f"{each.age:.1f} s ago"
        table.add_row(f"{each.lower} → {each.upper}", each.kind, state(each), samples, age)
    return table


def state(status: EdgeStatus) -> str:
    return status.fault or (f"ok, without {', '.join(status.missing)}" if status.missing else "ok")
