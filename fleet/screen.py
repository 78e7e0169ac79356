"""The live fleet as a picture in the terminal; where there is none, as plain lines."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fleet.duration import format_duration
from fleet.status import FederationOutput
from fleet.tables import MANY, state
from fleet.watch import Picture, Row, Worry

_STYLES = {Worry.FAULT: "red", Worry.ALERT: "yellow", Worry.NEARLY: "yellow", Worry.UNKNOWN: "dim", Worry.NONE: ""}
_DRAWN_EVERY = 0.5  # seconds: what has changed is seen at once, whatever is asked how often


async def show(picture: Callable[[], Picture], every: float, console: Console) -> None:
    """For ever. Where nobody looks, a picture would be noise in a log: plain lines then, every `every` seconds."""
    if not console.is_terminal or console.is_dumb_terminal:
        while True:
            await asyncio.sleep(every)
            for line in lines(picture(), datetime.now(UTC)):
                console.print(line, soft_wrap=True, markup=False, highlight=False)
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(Screen(picture(), datetime.now(UTC)), refresh=True)
                await asyncio.sleep(_DRAWN_EVERY)
    finally:
        # The terminal has its old contents back; what was seen last stays below them.
        console.print(Screen(picture(), datetime.now(UTC)))


def lines(picture: Picture, now: datetime) -> Iterator[str]:
    """One for the whole and one for each edge."""
    yield f"{now:%FT%TZ} {headline(picture)}"
    for row in picture.rows:
        told = ", ".join(f"{name} {cell(row)}" for name, cell, _ in _CELLS[2:])
        yield f"{now:%FT%TZ}   {_edge(row)} ({_way(row)}): {told}"


class Screen:
    """As many of the worst rows as there is room for, by region."""

    def __init__(self, picture: Picture, now: datetime) -> None:
        self._picture, self._now = picture, now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.height
        rows = self._picture.rows
        # Headline, names of columns, and what does not fit.
        shown = _fitting(rows, height - 3)
        left = rows[len(shown) :]
        width = options.max_width
        parts = [
            Text(f"{headline(self._picture)} · {self._now:%T} UTC", style="bold", no_wrap=True, overflow="ellipsis"),
            self._table(shown, width),
        ]
        if left:
            troubled = sum(row.worry < Worry.UNKNOWN for row in left)
            parts.append(Text(f"and {len(left)} more edges, {troubled} of them in trouble", no_wrap=True, style="dim"))
        yield Group(*parts)

    def _table(self, rows: Sequence[Row], width: int) -> Table:
        columns = [(name, cell) for name, cell, least in _CELLS if width >= least]
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for name, _ in columns:
            # The last one may be long: it has what the others leave.
            table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=1 if name == _CELLS[-1][0] else None)
        for region, of_region in groupby(_by_region(rows), key=_region):
            table.add_row(Text(self._reporting(region), style="bold"))
            for row in of_region:
                table.add_row(*(Text(cell(row)) for _, cell in columns), style=_STYLES[row.worry])
        return table

    def _reporting(self, region: str) -> str:
        planned = [name for name, of in self._picture.planned.items() if of == region]
        return f"{region or 'no region'}: {len(self._picture.reporting.intersection(planned))} of {len(planned)}"


def headline(picture: Picture) -> str:
    troubled = sum(row.worry < Worry.UNKNOWN for row in picture.rows)
    parts = [
        f"{len(picture.reporting)} of {len(picture.planned)} clusters report",
        f"{troubled} of {len(picture.rows)} edges in trouble",
    ]
    if picture.alerts:
        parts.append(f"firing about no edge: {', '.join(picture.alerts)}")
    if picture.deaf is not None:
        parts.append(f"alerts are not known: {picture.deaf}")
    return " · ".join(parts)


def _region(row: Row) -> str:
    return row.region


def _by_region(rows: Sequence[Row]) -> Sequence[Row]:
    """The region with the worst edge first; `rows` are in order of worry."""
    regions = list(dict.fromkeys(map(_region, rows)))
    return sorted(rows, key=lambda row: regions.index(row.region))


def _fitting(rows: Sequence[Row], height: int) -> Sequence[Row]:
    """The first rows that take no more than `height` lines together with their regions' own."""
    regions = set[str]()
    for number, row in enumerate(rows):
        regions.add(row.region)
        if number + 1 + len(regions) > height:
            return rows[:number]
    return rows


def _edge(row: Row) -> str:
    return f"{row.edge.lower} → {row.edge.upper}"


def _way(row: Row) -> str:
    return row.edge.way


def _up(row: Row) -> str:
    return "?" if row.status is None or row.status.up is None else "up" if row.status.up else "down"


def _newest(row: Row) -> str:
    return "-" if row.status is None or row.status.age is None else f"{_seconds(row.status.age)} ago"


def _scrape(row: Row) -> str:
    """Of remote write, which nobody scrapes, how far it is behind."""
    if row.status is None:
        return "-"
    if not isinstance(row.edge, FederationOutput):
        return "-" if row.status.lag is None else f"{_seconds(row.status.lag)} behind"
    if row.status.duration is None:
        return "-"
    timeout = "" if row.edge.timeout is None else f" of {row.edge.timeout.total_seconds():g}s"
    return f"{row.status.duration:.2f}s{timeout}"


def _samples(row: Row) -> str:
    if row.status is None or row.status.samples is None:
        return "-"
    number = f"{row.status.samples:.{0 if row.status.samples >= MANY else 1}f}"
    if not isinstance(row.edge, FederationOutput):
        return f"{number}/s"
    return number if row.edge.budget is None else f"{number} of {row.edge.budget}"


def _state(row: Row) -> str:
    if row.status is None:
        return "not asked yet"
    # One fault has several alerts, and leaves no room for its reason.
    first, *others = row.alerts or ("",)
    more = (f"and {len(others)} more",) if others else ()
    return " · ".join(filter(None, (first, *more, state(row.status))))


def _seconds(seconds: float) -> str:
    """Whole ones; clocks that differ a little make less than none."""
    return format_duration(timedelta(seconds=max(round(seconds), 0)))


_CELLS: Sequence[tuple[str, Callable[[Row], str], int]] = (
    ("edge", _edge, 0),
    ("way", _way, 100),
    ("up", _up, 0),
    ("newest", _newest, 50),
    ("scrape", _scrape, 80),
    ("samples", _samples, 65),
    ("state", _state, 0),
)
"""Column, what stands in it, and how wide a terminal has to be to have it."""
