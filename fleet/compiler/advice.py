"""What is no mistake and yet worth a human's time."""

from collections.abc import Iterable, Iterator

from fleet.compiler.sizes import settings
from fleet.compiler.topology import Topology, aggregators
from fleet.names import Tier
from fleet.page import Page
from fleet.page.problems import nearest
from fleet.plan import NEARLY, FederationEdge
from fleet.promql import Selector


def warnings(page: Page, topology: Topology, edges: Iterable[FederationEdge]) -> Iterator[str]:
    top = topology.top
    if settings(page, top).storage is None:
        yield f"{top} has no storage: what the fleet knows is lost when its pod restarts (tiers.global.storage)"
    if (thanos := page.thanos) is not None and thanos.storage is None and thanos.object_storage.volume is None:
        yield "Thanos has no storage: what a receiver has not uploaded is lost when its pod restarts (thanos.storage)"
    if bare := [name for name in topology.uploading if settings(page, name).storage is None]:
        yield (
            f"{' and '.join(bare)} with a sidecar and no storage: up to three hours that are not uploaded yet are lost "
            "when a pod restarts (tiers.leaf.storage)"
        )
    for edge in edges:
        if edge.estimate > NEARLY * edge.budget:
            share = round(100 * edge.estimate / edge.budget)
            yield f"{edge.child} → {edge.parent} is expected to use {share} % of its budget of {edge.budget} series"
    if not topology.alerting and topology.parents:
        yield (
            f"what fires in leaves and regions is heard by nobody: {top} has no gateway, because nobody writes to it "
            f"or reads it (clusters.{top}.gateway: {{}} gives it one, which every cluster below has to reach)"
        )
    if page.alerting.webhook is not None and page.alerting.dead_mans_switch is None:
        yield f"alerts call somebody, and nobody hears of it when {top} is gone (alerting.deadMansSwitch)"
    yield from _by_cluster(page, topology)
    yield from _of_matches(page)


def _by_cluster(page: Page, topology: Topology) -> Iterator[str]:
    of_region = aggregators(page)
    regions = [region for region in of_region if region is not None]
    for name, cluster in page.clusters.items():
        if cluster.up == "both" and topology.top in topology.parents[name]:
            yield f"{name} reaches {topology.top} both ways: the later copy of each sample is dropped there"
        if cluster.tier is not Tier.LEAF or cluster.region is None or cluster.region in of_region:
            continue
        if similar := nearest(cluster.region, regions):
            yield (
                f"{name} lies in region {cluster.region!r}, which has no aggregator; {similar!r} has one "
                "(regions: […] makes such a slip an error)"
            )


def _of_matches(page: Page) -> Iterator[str]:
    for number, extra in enumerate(page.federate):
        branches = Selector.parse(extra.match).branches
        own = "cluster:" if extra.of == "leaf" else "region:"
        if all(branch.startswith(own) for branch in branches):
            yield f"federate.{number} asks for series that go up by themselves"
        elif not all(branch.startswith(("cluster:", "region:")) for branch in branches):
            yield f"federate.{number} brings raw series, which lose their labels job and instance on the way"
