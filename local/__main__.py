"""`python -m local`: the local fleet, what `make demo`, `make down` and `make status` run."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors import FleetError
from local import leftovers
from local.clusters import LocalFleet
from local.environment import CHECKOUT, LOCAL, Chart
from local.errors import LocalError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    chart: Annotated[str, typer.Option(help="A path or oci:// reference in place of the small chart.")] = "",
    chart_version: Annotated[str, typer.Option(help="Its exact version, for oci://.")] = "",
) -> None:
    """Build the tools, start the clusters, deploy stack dev and wait for samples at the top."""
    from local.demo import demo as run  # noqa: PLC0415 (`down` has to work where these imports do not)

    _need_root("make demo")
    leftovers.claim(LOCAL)
    try:
        run(_chart(chart, chart_version))
    except KeyboardInterrupt:
        raise LocalError("Stopped. `make demo` goes on from here; `make down` takes everything away.") from None


@app.command()
def down() -> None:
    """End the local clusters and everything that an interrupted run left, and drop the stack's state."""
    _need_root("make down")
    LocalFleet(LOCAL, LOCAL).down()
    shutil.rmtree(LOCAL, ignore_errors=True)


def _chart(source: str, version: str) -> Chart | None:
    if not source:
        return None
    if source.startswith("oci://"):
        return Chart(source, version or None)
    path = Path(source).resolve()
    if not (path / "Chart.yaml").exists():
        raise LocalError(f"CHART={source}: there is no chart (no Chart.yaml) in {path}")
    return Chart(str(path), None)


def _need_root(command: str) -> None:
    if os.geteuid() != 0:
        raise LocalError(
            f"{command} needs root: it makes network and process namespaces. Run `sudo -E {command}`, or `make check` "
            f"for the part of the tests that needs none."
        )


def main() -> None:
    os.chdir(CHECKOUT)
    try:
        app()
    except (LocalError, FleetError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
