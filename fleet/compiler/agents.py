"""Whether what the page gives an edge's agent is enough for the series that it is expected to scrape."""

from collections.abc import Iterable, Iterator, Sequence
from math import ceil

from fleet.compiler.destinations import queue_problems
from fleet.compiler.sizes import settings, settings_path
from fleet.duration import format_duration
from fleet.errors import Problem, at
from fleet.names import Tier
from fleet.page import Page
from fleet.plan import RemoteWriteEdge
from fleet.quantity import parse_quantity
from fleet.queues import OLDEST_SENT

_KEPT = 2 * OLDEST_SENT
"""How far back a log reaches at most. Of far more than 100,000 series it has less to send, and needs as much room while
its edge is cut off: the agent then copies what it cuts off of the last four hours."""

_PER_SAMPLE = 8.5
"""Bytes in the log, by `make bench-edge`: of an hour, with the names of all its series."""

_ROOM = 1.5
"""Times that: an agent writes what it keeps of the old part of its log before it deletes that part, a file system
takes its own share, and each new pod brings new names."""


def agent_problems(page: Page, writes: Sequence[RemoteWriteEdge]) -> Iterator[Problem]:
    edges = [edge for edge in writes if page.clusters[edge.sender].tier is Tier.EDGE]
    for where, alike in _by_place(page, edges, "queue"):
        given = settings(page, alike[0].sender).queue
        if given is not None:
            yield from queue_problems(where, given, alike)
    for where, alike in _by_place(page, edges, "storage"):
        yield from _log_problems(page, where, alike)


def _by_place(
    page: Page, edges: Sequence[RemoteWriteEdge], field: str
) -> Iterable[tuple[Sequence[str], Sequence[RemoteWriteEdge]]]:
    """(place on the page, edges for which that holds which stands there)."""
    places: dict[Sequence[str], list[RemoteWriteEdge]] = {}
    for edge in edges:
        places.setdefault(settings_path(page, edge.sender, field), []).append(edge)
    return places.items()


def _log_problems(page: Page, where: Sequence[str], edges: Sequence[RemoteWriteEdge]) -> Iterator[Problem]:
    busiest = max(edges, key=lambda edge: edge.rate or 0)
    storage = settings(page, busiest.sender).storage
    if storage is None or busiest.rate is None:
        return
    needed = busiest.rate * _KEPT.total_seconds() * _PER_SAMPLE * _ROOM
    if parse_quantity(storage.size) >= needed:
        return
    message = (
        f"{storage.size} is too small for the log of {busiest.sender}, which takes up to {ceil(needed / 2**20)}Mi for "
        f"{format_duration(_KEPT)} of {busiest.rate:.0f} samples per second"
    )
    yield at((*where, "size"), message, f"{ceil(needed / 2**30)}Gi")
