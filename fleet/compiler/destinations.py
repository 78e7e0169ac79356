"""Who writes to which store: that each sender exists, and has something to send there."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import count

from fleet.compiler.holdings import Holdings
from fleet.compiler.sizes import agent_rate, replicas, settings_path
from fleet.compiler.topology import Topology, meant, named
from fleet.errors import Problem, at, yaml_at
from fleet.names import THANOS, Tier
from fleet.page import Destination, Page, QueueSettings, Written
from fleet.page.problems import did_you_mean, nearest
from fleet.page.shape import Strict
from fleet.plan import DestinationEdge, StoreEdge, WriteEdge, keeps
from fleet.promql import is_literal
from fleet.queues import queue

OutwardEdge = DestinationEdge | StoreEdge

_TIERS = tuple(tier.value for tier in Tier)

_PER_SEND = {"amazon": 1000, "azure": 1000}
"""Samples: both take a request of 1 MB at most, compressed."""


def written(page: Page) -> Mapping[str, Written]:
    """Stores beside the fleet's own Prometheuses, by the name of the queues of those who write there."""
    return {**page.destinations, **({THANOS: page.thanos} if page.thanos is not None else {})}


def place(page: Page, name: str) -> tuple[str, ...]:
    """On the page."""
    return (THANOS,) if name == THANOS and page.thanos is not None else ("destinations", name)


def destination_edges(page: Page, holdings: Holdings) -> Mapping[str, tuple[DestinationEdge, ...]]:
    """By sender, in the page's order."""
    edges: dict[str, tuple[DestinationEdge, ...]] = {}
    for name, destination in page.destinations.items():
        for sender in meant(page, destination.senders):
            edges[sender] = (*edges.get(sender, ()), _edge(page, holdings, sender, name, destination))
    return edges


def _edge(page: Page, holdings: Holdings, sender: str, name: str, destination: Destination) -> DestinationEdge:
    cluster = page.clusters[sender]
    rate = expected_rate(page, holdings, sender, destination.series, destination.keep)
    return DestinationEdge(
        sender=sender,
        name=name,
        destination=destination,
        asserts_cluster=asserts_cluster(page, sender),
        region=cluster.region,
        replica_label=destination.replica_label if replicas(page, sender) > 1 else None,
        rate=rate,
        queue=queue(rate, destination.queue, _PER_SEND.get(destination.kind)),
    )


def expected_rate(page: Page, holdings: Holdings, sender: str, series: int | None, keep: Sequence[str]) -> float | None:
    """Samples per second, by whatever says least of them; None where nothing says any."""
    of_series = series / min(page.intervals.scrape, page.intervals.rules).total_seconds() if series else None
    known = (of_series, agent_rate(page, sender), _recorded_rate(holdings, sender, keep))
    return min((rate for rate in known if rate is not None), default=None)


def _recorded_rate(holdings: Holdings, sender: str, keep: Sequence[str]) -> float | None:
    # Beside what is known by name, a Prometheus has all that anybody asks it to scrape.
    if not keep or any(keeps(keep, stranger) for stranger in _STRANGERS):
        return None
    rates = [rate for metric, rate in holdings.of[sender].items() if keeps(keep, metric)]
    return sum(rate for rate in rates if rate is not None) if None not in rates else None


_STRANGERS = ("fleet_stranger", "Stranger", "_x")
"""Names that nothing produces: a pattern that keeps one of them keeps raw metrics of anybody."""


def destination_problems(page: Page, topology: Topology) -> Iterator[Problem]:
    """What is wrong whatever a sender holds."""
    yield from _name_problems(page)
    for name, store in written(page).items():
        yield from sender_problems(page, topology, store.senders, (*place(page, name), "senders"))
    yield from _replica_problems(page, topology)
    yield from _reading_problems(page, topology)


def _name_problems(page: Page) -> Iterator[Problem]:
    named_here: Mapping[str, Mapping[str, Strict]] = {"clusters": page.clusters, "destinations": page.destinations}
    taken = (
        (of, THANOS, "is what senders call the Thanos of the fleet") for of in named_here if page.thanos is not None
    )
    shared = (("destinations", name, "a cluster has this name already") for name in page.clusters)
    for of, name, why in (*taken, *shared):
        if (given := named_here[of].get(name)) is not None:
            others = {*page.clusters, *page.destinations}
            free = next(each for number in count(2) if (each := f"{name[:50]}-{number}") not in others)
            content = given.model_dump(mode="json", by_alias=True, exclude_unset=True)
            yield Problem(f"{of}.{name}", f"{why}, and both would name the same queue", yaml_at([of], {free: content}))


def sender_problems(page: Page, topology: Topology, senders: Sequence[str], where: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with the list at `where`, as names of clusters and tiers."""
    for number, sender in enumerate(senders):
        if sender in senders[:number]:
            yield at((*where, number), f"{sender} is named twice")
        elif sender in page.clusters:
            tier = page.clusters[sender].tier
            if sender in _TIERS:
                message = f"{sender} is the name of a cluster and of a tier, and nobody could tell which is meant"
                yield at((*where, number), message, topology.top)
            elif tier in senders:
                yield at((*where, number), f"has no effect: {tier} stands for all of its clusters already")
        elif sender not in _TIERS:
            message = f"there is no cluster {sender!r}{did_you_mean(sender, page.clusters)}"
            yield at((*where, number), message, nearest(sender, page.clusters) or topology.top)
        elif not named(page, Tier(sender)):
            yield at((*where, number), f"no cluster has tier {sender}: nobody writes here", topology.top)


def _reading_problems(page: Page, topology: Topology) -> Iterator[Problem]:
    read = [f"destinations.{name}.read" for name, each in page.destinations.items() if each.read is not None]
    if read and not page.grafana:
        yield at(["grafana"], f"is off, and {read[0]} is for the Grafana of the fleet", right=True)
    if page.thanos is not None and page.grafana:
        read.append(THANOS)
    if not read:
        return
    of_pages = {("values",): page.values, ("clusters", topology.top, "values"): page.clusters[topology.top].values}
    for where, values in of_pages.items():
        of_grafana = values.get("grafana")
        if isinstance(of_grafana, Mapping) and "additionalDataSources" in of_grafana:
            message = f"it would take the place of {read[0]}, which makes one as well"
            yield at((*where, "grafana", "additionalDataSources"), message)


def _replica_problems(page: Page, topology: Topology) -> Iterator[Problem]:
    reasons = {
        sender: reason
        for name, destination in page.destinations.items()
        for sender in meant(page, destination.senders)
        if (reason := _kept_twice(page, sender, name, destination)) is not None
    }
    for writer in topology.writers:
        reasons[writer] = f"each replica would write every sample to {topology.top}, and the second one is refused"
    for name, reason in reasons.items():
        if replicas(page, name) > 1:
            yield at(settings_path(page, name, "replicas"), reason, 1)


def _kept_twice(page: Page, sender: str, name: str, destination: Destination) -> str | None:
    """Why a sender of several replicas may not write there."""
    if destination.replica_label is None:
        return f"each replica would write every sample to {name}, and kind {destination.kind} does not keep one of them"
    if destination.tracks_replicas and not asserts_cluster(page, sender):
        return f"{name} takes one replica of each cluster, by the label, and {sender} writes those of several"
    return None


def asserts_cluster(page: Page, sender: str) -> bool:
    return page.clusters[sender].tier in {Tier.LEAF, Tier.EDGE}


def flow_problems(page: Page, holdings: Holdings, edges: Sequence[OutwardEdge]) -> Iterator[Problem]:
    """What is wrong with what each sender sends."""
    for name, store in written(page).items():
        of_name = [each for each in edges if each.name == name]
        yield from idle_problems(page, holdings, name, of_name)
        yield from keep_problems(page, holdings, name, of_name)
        yield from queue_problems((*place(page, name), "queue"), store.queue, of_name)


def idle_problems(page: Page, holdings: Holdings, name: str, edges: Sequence[OutwardEdge]) -> Iterator[Problem]:
    """Of senders that send nothing; where none sends anything, it is the list that is wrong."""
    busy = {edge.sender for edge in edges if any(map(edge.carries, holdings.of[edge.sender]))}
    for number, sender in enumerate(written(page)[name].senders):
        if busy and not busy.intersection(meant(page, [sender])):
            yield at((*place(page, name), "senders", number), f"keep leaves nothing of what {sender} holds")


def keep_problems(page: Page, holdings: Holdings, name: str, edges: Sequence[OutwardEdge]) -> Iterator[Problem]:
    held = sorted({metric for edge in edges for metric in holdings.of[edge.sender]})
    who = " and ".join(edge.sender for edge in edges[:2]) + (" and others" if len(edges) > 2 else "")  # noqa: PLR2004
    for number, pattern in enumerate(written(page)[name].keep):
        if any(keeps([pattern], metric) for metric in held):
            continue
        allowed = f"; keep: [{pattern}] at the top of the page allows it" if is_literal(pattern) else ""
        hint = did_you_mean(pattern, held) or allowed
        message = f"keeps nothing: no rule and no allowed metric of {who} is like {pattern!r}{hint}"
        right = nearest(pattern, held) or RECORDS.get(page.clusters[edges[0].sender].tier) or _likest(pattern, held)
        yield at((*place(page, name), "keep", number), message, right)


RECORDS = {Tier.GLOBAL: "global:.+", Tier.REGIONAL: "region:.+", Tier.LEAF: "cluster:.+"}
"""What each tier makes itself, and is most often asked for. An agent makes nothing."""


def _likest(pattern: str, held: Sequence[str]) -> str:
    return get_close_matches(pattern, held, n=1, cutoff=0)[0]


def queue_problems(where: Sequence[str], settings: QueueSettings, edges: Sequence[WriteEdge]) -> Iterator[Problem]:
    """Of queues that have the same settings, which stand at `where`."""
    busiest = max(edges, key=lambda edge: edge.rate or 0, default=None)
    if busiest is None or busiest.rate is None or busiest.queue.carries >= busiest.rate:
        return
    needed = queue(busiest.rate, settings.model_copy(update={"max_shards": None, "min_shards": None}))
    message = (
        f"carries {busiest.queue.carries:.0f} samples per second at most, {busiest.queue.max_shards} requests of "
        f"{busiest.queue.max_samples_per_send} each half second, and {busiest.sender} is expected to have "
        f"{busiest.rate:.0f}"
    )
    yield at((*where, "maxShards"), message, needed.max_shards)
