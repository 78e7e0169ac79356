"""That no sample gets to a store twice: by whom it would, and what the page may say instead."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal

from fleet.compiler.destinations import RECORDS, OutwardEdge, idle_problems, keep_problems, place, written
from fleet.compiler.holdings import Holdings
from fleet.compiler.topology import meant, without
from fleet.errors import Problem, at
from fleet.names import THANOS, Tier
from fleet.page import Page, Written
from fleet.plan import DestinationEdge, StoreEdge, Upload, keeps

Change = tuple[Literal["keep", "senders"], list[str]]
"""A key of a store on the page, and what would stand there."""


@dataclass(frozen=True, slots=True)
class _Way:
    """What a sender brings to a store."""

    edge: OutwardEdge | Upload
    names: frozenset[str]

    def is_of(self, name: str) -> bool:
        """Whether the page has its sender in the list of that store."""
        return self.edge.name == name and not isinstance(self.edge, Upload)

    def keeping(self, holdings: Holdings, store: Written) -> "_Way":
        match self.edge:
            case StoreEdge() as edge:
                return _way(holdings, replace(edge, keep=store.keep))
            case DestinationEdge() as edge:
                return _way(holdings, replace(edge, destination=store))
            case Upload():
                return self


@dataclass(frozen=True, slots=True)
class _Double:
    """What `upper` writes of that which `lower` has brought already."""

    lower: OutwardEdge | Upload
    upper: OutwardEdge
    names: frozenset[str]

    @property
    def of_one_list(self) -> bool:
        return self.lower.name == self.upper.name and not isinstance(self.lower, Upload)


def double_problems(page: Page, holdings: Holdings, edges: Sequence[OutwardEdge]) -> Iterator[Problem]:
    ways = [_way(holdings, edge) for edge in (*edges, *map(Upload, holdings.topology.uploading))]
    # Lower ones first: what a region doubles is told before what the hub has from there.
    brought = _Brought(page, holdings, sorted(ways, key=lambda way: _HEIGHTS[page.clusters[way.edge.sender].tier]))
    doubles = list(brought.doubles())
    # The first of a list: what else is doubled there has the same reason.
    firsts = {double.upper.name: double for double in reversed(doubles)}
    for name, double in firsts.items():
        change = next(brought.remedies(double, [each for each in doubles if each.upper.name == name]), None)
        if change is None:
            yield at(place(page, name), f"{_told(double)}; nothing would be left here without that, so leave it out")
            continue
        key, right = change
        yield at((*place(page, name), key), f"{_told(double)}; sums would double, so {_advice(double, change)}", right)


_HEIGHTS = {Tier.EDGE: 0, Tier.LEAF: 0, Tier.REGIONAL: 1, Tier.GLOBAL: 2}


def _way(holdings: Holdings, edge: OutwardEdge | Upload) -> _Way:
    return _Way(edge, frozenset(filter(edge.carries, holdings.of[edge.sender])))


@dataclass(frozen=True, slots=True)
class _Brought:
    """All that is brought to stores as the page has it."""

    page: Page
    holdings: Holdings
    ways: Sequence[_Way]

    def doubles(self) -> Iterator[_Double]:
        stores: dict[tuple[str, str | None], list[_Way]] = {}
        for way in self.ways:
            stores.setdefault(way.edge.store, []).append(way)
        for ways in stores.values():
            yield from _of_one_sender(ways)
            yield from _between_two(self.holdings, ways)

    def remedies(self, double: _Double, alike: Sequence[_Double]) -> Iterator[Change]:
        """What helps against all that are `alike` and leaves nobody without anything; closest to what was asked first.

        One list for a leaf and its region would take from the leaf what it alone has: there a sender goes first.
        """
        name = double.upper.name
        doubled = frozenset[str]().union(*(each.names for each in alike))
        sent = frozenset[str]().union(*(way.names for way in self.ways if way.is_of(name))) - doubled
        held = {metric for each in alike for metric in self.holdings.of[each.upper.sender]} - doubled
        fewer: Change = ("senders", self._senders_apart(name))
        kept = (_apart(written(self.page)[name].keep, doubled), _kinds(sent, doubled))
        narrower: list[Change] = [("keep", each) for each in kept]
        last: list[Change] = [("keep", sorted(sent)[:_NAMES]), ("keep", _kinds(held, doubled))]
        idle, others = self.idle(name), {each.upper.name for each in self.doubles()} - {name}
        for change in (fewer, *narrower, *last) if double.of_one_list else (*narrower, fewer, *last):
            if not change[1]:
                continue
            changed = self._with(name, change)
            # What is wrong for other reasons may stay.
            if changed.idle(name) <= idle and others.issuperset(each.upper.name for each in changed.doubles()):
                yield change

    def idle(self, name: str) -> set[str]:
        """What is wrong with a list for whoever sends nothing by it."""
        edges = [edge for way in self.ways if not isinstance(edge := way.edge, Upload) and edge.name == name]
        found = (
            *idle_problems(self.page, self.holdings, name, edges),
            *keep_problems(self.page, self.holdings, name, edges),
        )
        return {problem.message for problem in found}

    def _senders_apart(self, name: str) -> list[str]:
        """Of a list, without those that double what others bring."""
        senders, left = list(written(self.page)[name].senders), self
        while double := next((each for each in left.doubles() if each.upper.name == name), None):
            senders = without(self.page, senders, [double.upper.sender])
            left = left._with(name, ("senders", senders))
        return senders

    def _with(self, name: str, change: Change) -> "_Brought":
        key, value = change
        store = written(self.page)[name].model_copy(update={key: tuple(value)})
        senders = meant(self.page, store.senders)
        ways = [way for way in self.ways if not way.is_of(name) or way.edge.sender in senders]
        if key == "keep":
            ways = [way.keeping(self.holdings, store) if way.is_of(name) else way for way in ways]
        return _Brought(_with_store(self.page, name, store), self.holdings, ways)


def _with_store(page: Page, name: str, store: Written) -> Page:
    if place(page, name) == (THANOS,):
        return page.model_copy(update={THANOS: store})
    return page.model_copy(update={"destinations": {**page.destinations, name: store}})


def _of_one_sender(ways: Sequence[_Way]) -> Iterator[_Double]:
    seen: dict[str, _Way] = {}
    for way in ways:
        other = seen.setdefault(way.edge.sender, way)
        if other is not way and not isinstance(way.edge, Upload) and (names := other.names & way.names):
            yield _Double(other.edge, way.edge, names)


def _between_two(holdings: Holdings, ways: Sequence[_Way]) -> Iterator[_Double]:
    """What a cluster writes, and one above it has from there and writes as well."""
    for way in ways:
        for above, brought in holdings.arriving(way.edge.sender, way.names):
            for way_above in ways:
                upper = way_above.edge
                if isinstance(upper, Upload) or upper.sender != above:
                    continue
                if names := brought & way_above.names:
                    yield _Double(way.edge, upper, names)


def _told(double: _Double) -> str:
    lower, upper, first = double.lower, double.upper, min(double.names)
    if lower.sender == upper.sender:
        return f"is the same store as {lower.name}: {upper.sender} would write {first} there twice"
    more = f" and {len(double.names) - 1} more" if len(double.names) > 1 else ""
    way = f"uploads it to {lower.name}" if isinstance(lower, Upload) else f"writes it to {lower.name}"
    return (
        f"{first}{more} of {lower.sender} would reach this store twice: {lower.sender} {way}, and {upper.sender}, "
        "which has it from there, writes it too"
    )


def _advice(double: _Double, change: Change) -> str:
    key, right = change
    if key == "keep":
        return "keep here what nobody else sends"
    if not double.of_one_list:
        return f"take {double.upper.sender} out of these"
    alone = f"leave it to {' and '.join(right)} alone"
    if isinstance(double.upper, StoreEdge):
        return alone
    return f"{alone}, or give {double.upper.sender} a destination of its own that keeps what nobody else sends"


def _apart(keep: Sequence[str], doubled: frozenset[str]) -> list[str]:
    """What is asked for and doubles nothing."""
    return [each for each in keep if not any(keeps([each], metric) for metric in doubled)]


def _kinds(held: AbstractSet[str], doubled: AbstractSet[str]) -> list[str]:
    """Patterns of what is held that leave out what is doubled."""
    fitting = [
        pattern
        for pattern in (*RECORDS.values(), _RAW)
        if any(keeps([pattern], metric) for metric in held) and not any(keeps([pattern], metric) for metric in doubled)
    ]
    return [each for each in fitting if each != _RAW] or fitting


_RAW = "[^:]+"
_NAMES = 3  # more than these are no example
