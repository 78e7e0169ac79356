"""The program in a copy of the tree, on clusters that are one API server: previews that leave no trace."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local import api_server, environment, plugins, toolchain
from local.api_server import ApiServer
from local.chart_assembly import small_chart
from local.environment import CHECKOUT
from local.errors import LocalError

TOOLS = ("helm", *api_server.TOOLS)


@dataclass(frozen=True)
class Trial:
    tree: Path
    """A copy of the checkout, for `pulumi` writes into stack files."""
    environment: Mapping[str, str]
    """With a backend of its own and, unless FLEET_CHART names another chart, the small one."""

    def init(self, stack: str) -> None:
        """Raises LocalError."""
        done = self.pulumi("stack", "init", stack)
        if done.returncode:
            raise LocalError(f"`pulumi stack init {stack}` failed:\n{done.stderr.strip()}")

    def preview(self, stack: str, *options: str) -> "subprocess.CompletedProcess[str]":
        return self.pulumi("preview", "--stack", stack, *options)

    def pulumi(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["pulumi", "--non-interactive", "--color=never", *arguments],
            cwd=self.tree,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def prepare(folder: Path, server: ApiServer, clusters: Sequence[str]) -> Trial:
    """A trial in the empty `folder`; the clusters are reached by their names as contexts.

    `pulumi` has to be on PATH. Raises LocalError.
    """
    tree, chart, kubeconfig, state = (folder / name for name in ("tree", "chart", "kubeconfig", "state"))
    _copy(tree)
    small_chart(chart)
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(server.kubeconfig_of(*clusters))
    state.mkdir(mode=0o700)
    found = environment.variables(
        tools=toolchain.ensure(TOOLS),
        pulumi=toolchain.pulumi_bin(),
        standins=plugins.standins(folder / "standins"),
        clusters=[],
    )
    own = {
        "KUBECONFIG": str(kubeconfig),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "FLEET_CHART": os.environ.get("FLEET_CHART") or str(chart),
    }
    return Trial(tree, environment.inside({**found, **own}))


def _copy(tree: Path) -> None:
    """All that git knows or would add, and the Python environment."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    for name in listed.removesuffix("\0").split("\0"):
        source, target = CHECKOUT / name, tree / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    (tree / ".venv").symlink_to(CHECKOUT / ".venv")
