"""Who is above whom."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from fleet.errors import Problem, at
from fleet.names import Tier
from fleet.page import Cluster, Page
from fleet.page.problems import did_you_mean, nearest


def named(page: Page, tier: Tier) -> list[str]:
    return [name for name, cluster in page.clusters.items() if cluster.tier is tier]


def is_federated(cluster: Cluster) -> bool:
    return cluster.tier in {Tier.LEAF, Tier.REGIONAL} and cluster.up != "remote_write"


def writes(cluster: Cluster) -> bool:
    """To the fleet's own global cluster."""
    return cluster.tier is Tier.EDGE or cluster.up in {"remote_write", "both"}


def meant(page: Page, senders: Iterable[str]) -> tuple[str, ...]:
    """Clusters of the page; a tier's name stands for all of its."""
    named_tiers = (named(page, Tier(each)) if is_tier(page, each) else [each] for each in senders)
    return tuple(dict.fromkeys(name for names in named_tiers for name in names if name in page.clusters))


def without(page: Page, senders: Iterable[str], but: Collection[str]) -> list[str]:
    """`senders` less those of `but`; a tier that has one of them is spelled out."""
    lists = ((sender, meant(page, [sender])) for sender in senders)
    left = ([each for each in names if each not in but] if set(but) & set(names) else [name] for name, names in lists)
    return [name for names in left for name in names]


def is_tier(page: Page, name: str) -> bool:
    """Whether a sender's name stands for a tier: no cluster has it."""
    return name not in page.clusters and name in {tier.value for tier in Tier}


@dataclass(frozen=True)
class Topology:
    """Of a page without topology problems."""

    top: str
    parents: Mapping[str, tuple[str, ...]]
    """Of every federated cluster."""
    writers: tuple[str, ...]
    """Who remote-writes to the top's Prometheus, in the page's order."""
    storing: tuple[str, ...]
    """Who writes to the Thanos beside it."""
    uploading: tuple[str, ...]
    """Whose sidecars lay blocks into the bucket of that."""
    alerting: tuple[str, ...]
    """Who sends alerts to the top: whoever evaluates rules, where the top has a gateway."""
    read: tuple[str, ...]
    """Whom somebody outside of the fleet queries."""

    @classmethod
    def of(cls, page: Page) -> "Topology":
        (top,) = named(page, Tier.GLOBAL)
        writers = tuple(name for name, each in page.clusters.items() if writes(each))
        read = tuple(name for each in page.readers.values() for name in each.clusters)
        storing = meant(page, page.thanos.senders) if page.thanos is not None else ()
        uploading = meant(page, page.thanos.sidecars) if page.thanos is not None else ()
        is_reached = bool(writers or storing) or top in read or page.clusters[top].gateway is not None
        below = (name for name, each in page.clusters.items() if each.tier in {Tier.LEAF, Tier.REGIONAL})
        return cls(top, _parents(page, top), writers, storing, uploading, tuple(below) if is_reached else (), read)

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        below: dict[str, list[str]] = {}
        for child, parents in self.parents.items():
            for parent in parents:
                below.setdefault(parent, []).append(child)
        return {parent: tuple(children) for parent, children in below.items()}

    @cached_property
    def called(self) -> frozenset[str]:
        """Who needs a gateway."""
        return frozenset(
            (*self.parents, *self.read, *((self.top,) if self.writers or self.storing or self.alerting else ()))
        )


def aggregators(page: Page) -> dict[str | None, str]:
    """By region; the first where there are several, which is a problem of its own."""
    return {page.clusters[name].region: name for name in reversed(named(page, Tier.REGIONAL))}


def _parents(page: Page, top: str) -> dict[str, tuple[str, ...]]:
    of_region = aggregators(page)
    federated = ((name, each) for name, each in page.clusters.items() if is_federated(each))
    return {
        name: each.parent
        if each.parent is not None
        else (of_region.get(each.region, top) if each.tier is Tier.LEAF else top,)
        for name, each in federated
    }


def topology_problems(page: Page) -> Iterator[Problem]:
    top = named(page, Tier.GLOBAL)
    if not top:
        message = "no cluster has tier global, so nothing answers for the fleet"
        yield at(["clusters"], message, {"hub": {"tier": "global", "context": "hub"}})
    for extra in top[1:]:
        yield at(["clusters", extra, "tier"], f"a fleet has one global tier, and {top[0]} is it already", "regional")
    yield from _region_problems(page)
    problems = [*_parent_problems(page), *_cycles(page)]
    yield from problems
    if top and not problems:
        yield from _childless(page, top[0])


def _region_problems(page: Page) -> Iterator[Problem]:
    of_region = aggregators(page)
    for name, cluster in page.clusters.items():
        where, region = ["clusters", name, "region"], cluster.region
        if region is None:
            continue
        if page.regions is not None and region not in page.regions:
            hint = did_you_mean(region, page.regions)
            right = nearest(region, page.regions) or next(iter(page.regions), None)
            yield at(where, f"region {region!r} is none of this fleet's{hint}", right)
        if cluster.tier is Tier.REGIONAL and of_region[region] != name:
            yield at(where, f"region {region!r} is aggregated by {of_region[region]} already", f"{region}-2")


def _parent_problems(page: Page) -> Iterator[Problem]:
    for name, cluster in page.clusters.items():
        where, parents = ["clusters", name, "parent"], cluster.parent
        if parents is not None and not is_federated(cluster):
            yield at(where, "has no effect: this leaf goes up by remote write alone")
        elif parents is not None:
            fitting = next(_possible_parents(page, name), None)
            messages = (_unfit(page, name, parent) for parent in parents)
            yield from (at(where, message, fitting) for message in messages if message)
            if not parents:
                yield at(where, "an orphan: nobody federates it", fitting)
            if len(set(parents)) < len(parents):
                yield at(where, "names a parent twice", [*dict.fromkeys(parents)])
        yield from _number_problems(name, cluster)


def _number_problems(name: str, cluster: Cluster) -> Iterator[Problem]:
    number = len(set(cluster.parent or ()))
    if number > 1 and not cluster.several_parents:
        message = f"{number} parents federate it; where that is on purpose, say so"
        yield at(["clusters", name, "parent"], f"{message} with severalParents: true", (cluster.parent or ("",))[0])
    if number <= 1 and cluster.several_parents:
        yield at(["clusters", name, "severalParents"], "has no effect: there is no second parent")


def _unfit(page: Page, name: str, parent: str) -> str | None:
    """Why `parent` cannot federate `name`."""
    if parent not in page.clusters:
        return f"there is no cluster {parent!r}{did_you_mean(parent, page.clusters)}"
    if parent == name:
        return "a cycle: a cluster cannot federate itself"
    child, above = page.clusters[name], page.clusters[parent]
    if above.tier in {Tier.LEAF, Tier.EDGE}:
        return f"{parent} has tier {above.tier} and federates nobody"
    if above.tier is Tier.REGIONAL and child.tier is Tier.LEAF and above.region != child.region:
        return f"{parent} is the aggregator of region {above.region!r}, and this leaf lies in {child.region!r}"
    return None


def _possible_parents(page: Page, name: str) -> Iterator[str]:
    given = (page.clusters[name].parent or (None,))[0]
    fitting = [other for other in page.clusters if _unfit(page, name, other) is None]
    if given is not None and (meant := nearest(given, fitting)):
        yield meant
    yield from named(page, Tier.GLOBAL)


def _cycles(page: Page) -> Iterator[Problem]:
    regionals = {name: page.clusters[name].parent or () for name in named(page, Tier.REGIONAL)}
    top = next(iter(named(page, Tier.GLOBAL)), None)
    for name, parents in regionals.items():
        for parent in parents:
            if parent not in regionals or parent == name:
                continue
            way = _way_back(regionals, name, parent)
            circle = " → ".join(way) if way else ""
            message = (
                f"a cycle: {circle}" if way else f"{parent} is regional as well: regions go up to the global cluster"
            )
            yield at(["clusters", name, "parent"], message, top)


def _way_back(above: Mapping[str, tuple[str, ...]], start: str, first: str) -> list[str] | None:
    """From `start` over `first` along the parents back to `start`."""
    ways = [[start, first]]
    seen = {first}
    while ways:
        way = ways.pop()
        if way[-1] == start:
            return way
        for parent in above.get(way[-1], ()):
            if parent == start or parent not in seen:
                seen.add(parent)
                ways.append([*way, parent])
    return None


def _childless(page: Page, top: str) -> Iterator[Problem]:
    federating = {parent for parents in _parents(page, top).values() for parent in parents}
    for name in named(page, Tier.REGIONAL):
        is_idle = name not in federating and not page.clusters[name].discover
        if is_idle and aggregators(page)[page.clusters[name].region] == name:
            region = page.clusters[name].region
            message = f"an orphan: no leaf of region {region!r} is federated by {name}"
            fix = {f"{name}-1": {"tier": "leaf", "region": region}}
            yield Problem(f"clusters.{name}.region", message, at(["clusters"], "", fix).fix)
