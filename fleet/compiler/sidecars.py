"""Whose Prometheus lays its blocks into the bucket of the fleet's Thanos: that it may, and does not write as well."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from fleet.compiler.destinations import sender_problems
from fleet.compiler.sizes import settings
from fleet.compiler.topology import Topology, meant, without
from fleet.duration import format_duration
from fleet.errors import Problem, at
from fleet.names import THANOS, Tier
from fleet.page import Page

_UPLOADS_NONE: Mapping[Tier, str] = {
    Tier.EDGE: "an agent has no blocks, and writes",
    Tier.REGIONAL: "a block has all that Prometheus holds, and would bring leaves' series again, under its own labels",
    Tier.GLOBAL: "a block has all that Prometheus holds, and would bring others' series again, under its own labels",
}

_LEAST = timedelta(hours=6)
"""A block is cut when it is three hours old, and after three without an upload somebody is called."""


def sidecar_problems(page: Page, topology: Topology) -> Iterator[Problem]:
    if page.thanos is None:
        return
    names, where = page.thanos.sidecars, (THANOS, "sidecars")
    wrong = [*sender_problems(page, topology, names, where), *_tier_problems(page, names)]
    yield from wrong
    if not wrong:
        yield from _writing_problems(page, topology)
        yield from _retention_problems(page, topology)


def _tier_problems(page: Page, names: Sequence[str]) -> Iterator[Problem]:
    for number, name in enumerate(names):
        tiers = {page.clusters[each].tier for each in meant(page, [name])}
        if why := next((_UPLOADS_NONE[tier] for tier in tiers if tier in _UPLOADS_NONE), None):
            message = f"a sidecar is for leaves: {why}; {name} belongs among senders"
            yield at((THANOS, "sidecars", number), message, Tier.LEAF.value)


def _writing_problems(page: Page, topology: Topology) -> Iterator[Problem]:
    uploading = set(topology.uploading)
    if page.thanos is not None and (both := [name for name in topology.storing if name in uploading]):
        message = f"{' and '.join(both)} would bring each sample twice: its sidecar uploads what it writes as well"
        yield at((THANOS, "senders"), message, without(page, page.thanos.senders, uploading) or [topology.top])


def _retention_problems(page: Page, topology: Topology) -> Iterator[Problem]:
    short = (name for name in topology.uploading if (settings(page, name).retention or _LEAST) < _LEAST)
    of_tier = ("tiers", Tier.LEAF.value)
    places = (("clusters", name) if page.clusters[name].retention is not None else of_tier for name in short)
    message = f"a sidecar needs {format_duration(_LEAST)}, or blocks are gone before somebody could mend an upload"
    yield from (at((*place, "retention"), message, "1d") for place in dict.fromkeys(places))
