"""The local fleet: all its clusters, on one bridge."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from local import cgroups, cluster, components, images, leftovers, network
from local.cluster import Cluster, Node
from local.errors import LocalError
from local.progress import step


class LocalFleet:
    """The clusters whose state lies in `root` (a checkout's `.local`), run from the programs in `tools`."""

    def __init__(self, root: Path, tools: Path) -> None:
        self.root = root.resolve()
        self.tools = tools.resolve()

    def up(self, names: Sequence[str]) -> list[Cluster]:
        """Make exactly these clusters run, and return them when each is Ready; raises LocalError.

        A cluster that is well is left alone, one that is not is started again on the state it had.
        """
        _require_root()
        clusters = [Cluster(Node(name, number), self.root, self.tools) for number, name in enumerate(names, start=1)]
        network.ensure_bridge(self.root)
        self._remove_others(names)
        asyncio.run(_start_where_needed(clusters))
        sandbox = images.archive([components.SANDBOX_IMAGE], self.tools)
        for each in clusters:
            each.import_images(sandbox)
        return clusters

    def down(self) -> None:
        """Take away all that the fleet has on this machine, whatever its state; raises LocalError."""
        _require_root()
        leftovers.end(self.root)
        network.remove(self.root)
        cgroups.remove(self.root)
        for folder in ("clusters", "kubeconfigs"):
            shutil.rmtree(self.root / folder, ignore_errors=True)

    def _remove_others(self, names: Sequence[str]) -> None:
        folders = self.root / "clusters"
        known = {folder.name for folder in folders.iterdir()} if folders.exists() else set[str]()
        for name in sorted(known.difference(names)):
            with step(f"remove cluster {name}, which is no longer asked for"):
                cluster.remove(self.root, name)


async def _start_where_needed(clusters: Sequence[Cluster]) -> None:
    well = await asyncio.gather(*(each.is_well() for each in clusters))
    starts = [each.start() for each, is_well in zip(clusters, well, strict=True) if not is_well]
    results = await asyncio.gather(*starts, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if unexpected := [error for error in errors if not isinstance(error, LocalError)]:
        raise unexpected[0]
    if errors:
        raise LocalError("\n\n".join(map(str, errors)))


def _require_root() -> None:
    if os.geteuid():
        raise LocalError("The local fleet makes namespaces, mounts and network interfaces: run this as root.")
