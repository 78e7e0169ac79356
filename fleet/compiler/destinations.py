"""Remote write: who may send, and that no sample is sent twice."""

from collections.abc import Iterator

from fleet.compiler.clusters import settings
from fleet.compiler.topology import Topology
from fleet.errors import Problem, at
from fleet.page import Page
from fleet.page.problems import did_you_mean, nearest


def destination_problems(page: Page, topology: Topology) -> Iterator[Problem]:
    for name, destination in page.destinations.items():
        where = ("destinations", name, "senders")
        if name in page.clusters:
            yield at(["destinations", name], "a cluster has this name already, and both would name the same queue")
        for number, sender in enumerate(destination.senders):
            if sender not in page.clusters:
                message = f"there is no cluster {sender!r}{did_you_mean(sender, page.clusters)}"
                yield at((*where, number), message, nearest(sender, page.clusters) or topology.top)
            elif sender in destination.senders[:number]:
                yield at((*where, number), f"{sender} is named twice")
    yield from _replica_problems(page, topology)


def _replica_problems(page: Page, topology: Topology) -> Iterator[Problem]:
    reasons = {
        sender: f"each replica would write every sample to {name}, and the second one is refused"
        for name, destination in page.destinations.items()
        for sender in destination.senders
    }
    for writer in topology.writers:
        reasons[writer] = f"each replica would write every sample to {topology.top}, and the second one is refused"
    if topology.writers:
        reasons[topology.top] = (
            f"what {topology.writers[0]} writes would reach one replica and be missing in the others"
        )
    for name, reason in reasons.items():
        cluster = page.clusters.get(name)
        if cluster is None or (settings(page, name).replicas or 1) == 1:
            continue
        own = cluster.replicas is not None
        yield at(["clusters", name, "replicas"] if own else ["tiers", cluster.tier.value, "replicas"], reason, 1)
