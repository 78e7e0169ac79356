"""Who queries which cluster from outside of the fleet."""

from collections.abc import Iterator

from fleet.compiler.topology import named
from fleet.errors import Problem, at
from fleet.names import Tier
from fleet.page import Page
from fleet.page.problems import did_you_mean, nearest
from fleet.plan import Key, Reader


def readers(page: Page, cluster: str) -> tuple[Reader, ...]:
    return tuple(
        Reader(name, cluster, Key("basic", reader.generation or 1, reader.password))
        for name, reader in page.readers.items()
        if cluster in reader.clusters
    )


def reader_problems(page: Page) -> Iterator[Problem]:
    for name, reader in page.readers.items():
        where = ["readers", name, "clusters"]
        top = next(iter(named(page, Tier.GLOBAL)), None)
        if name in page.clusters:
            yield at(["readers", name], "a cluster of the fleet has this name already: a gateway would confuse them")
        for cluster in reader.clusters:
            if cluster not in page.clusters:
                right = nearest(cluster, page.clusters) or top
                yield at(where, f"there is no cluster {cluster!r}{did_you_mean(cluster, page.clusters)}", right)
            elif page.clusters[cluster].tier is Tier.EDGE:
                yield at(where, f"{cluster} is an edge, which answers no query", top)
