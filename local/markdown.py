"""Tables for people who measure, as documents hold them."""

import os
from collections.abc import Sequence

from rich import box
from rich.table import Table


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Numbers stand right, the first column left."""
    made = Table(title=title, title_justify="left", min_width=max(map(len, title.splitlines())), box=box.MARKDOWN)
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    for row in rows:
        made.add_row(*row)
    return made


def machine(load: float) -> str:
    """What measured: its processors, memory, and the load of the last five minutes."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} processors, {gib:.0f} GiB, load of the last five minutes {load:.1f}"
