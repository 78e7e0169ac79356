"""`python -m local`: the local fleet, what `make demo`, `make down`, `make bench` and its siblings run."""

import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fleet.errors import FleetError
from local import leftovers
from local.clusters import LocalFleet
from local.environment import CHECKOUT, LOCAL
from local.errors import LocalError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    profile: Annotated[str | None, typer.Option(help="What to lay over stack dev's page: thanos.")] = None,
) -> None:
    """Build the tools, start the clusters, deploy stack dev and wait for samples at the top.

    FLEET_CHART and FLEET_CHART_VERSION name another chart than the stack's: a path, or oci:// and its version.
    """
    from local.demo import demo as run  # noqa: PLC0415 (`down` has to work where these imports do not)

    _need_root("make demo")
    _resolve_chart()
    os.chdir(CHECKOUT)
    leftovers.claim(LOCAL)
    try:
        run(profile)
    except KeyboardInterrupt:
        raise LocalError("Stopped. `make demo` goes on from here; `make down` takes everything away.") from None


@app.command()
def down() -> None:
    """End the local clusters and everything that an interrupted run left, and drop the stack's state."""
    _need_root("make down")
    LocalFleet(LOCAL, LOCAL).down()
    if LOCAL.exists():
        shutil.rmtree(LOCAL)


@app.command()
def bench(
    sizes: Annotated[list[int] | None, typer.Option("--clusters", min=3, help="How many; may be repeated.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Previews of each kind, of which the quickest counts.")] = 3,
) -> None:
    """Measure the time and memory that `pulumi preview` takes of 5, 20 and 60 clusters."""
    from local.bench import SIZES, cost_table  # noqa: PLC0415 (as above)
    from local.bench import bench as run  # noqa: PLC0415 (as above)

    _resolve_chart()
    costs = run(sizes or SIZES, runs)
    _print(cost_table(costs))


@app.command()
def bench_gateway(
    rounds: Annotated[int, typer.Option(min=1, help="In which both are asked in turns.")] = 10,
    attackers: Annotated[int, typer.Option(min=1, help="Connections with wrong passwords.")] = 100,
    seconds: Annotated[int, typer.Option(min=5, help="That they go on.")] = 30,
) -> None:
    """Measure what a gateway costs beside a Prometheus with TLS of its own, and a flood of wrong passwords."""
    from local.bench_gateway import Effort, report_tables  # noqa: PLC0415 (as above)
    from local.bench_gateway import bench as run  # noqa: PLC0415 (as above)

    _need_root("make bench-gateway")
    report = run(Effort(rounds=rounds, attackers=attackers, flood=timedelta(seconds=seconds)))
    _print(*report_tables(report))


@app.command()
def bench_leaf(
    series: Annotated[int, typer.Option(min=1000, help="That the leaf has.")] = 200_000,
    seconds: Annotated[int, typer.Option(min=30, help="That its rules are watched.")] = 360,
) -> None:
    """Measure what a leaf's rules take, and what goes up of all that it has."""
    from local.bench_leaf import bench as run  # noqa: PLC0415 (as above)
    from local.bench_leaf import report_tables  # noqa: PLC0415 (as above)

    _print(*report_tables(run(series, timedelta(seconds=seconds))))


@app.command()
def bench_edge(
    series: Annotated[int, typer.Option(min=1000, help="That the edge has.")] = 10_000,
    seconds: Annotated[int, typer.Option(min=10, help="That it is cut off.")] = 3600,
) -> None:
    """Measure what an agent takes, and how it catches up after it was cut off."""
    from local.bench_edge import bench as run  # noqa: PLC0415 (as above)
    from local.bench_edge import report_table  # noqa: PLC0415 (as above)

    _print(report_table(run(series, timedelta(seconds=seconds))))


@app.command()
def bench_overload(
    senders: Annotated[int, typer.Option(min=1, help="Agents that write.")] = 80,
    series: Annotated[int, typer.Option(min=1000, help="That each of them has.")] = 1_250,
    seconds: Annotated[int, typer.Option(min=10, help="That they write twice the expected rate.")] = 600,
) -> None:
    """Measure what becomes of samples when twice as many come as expected, which is more than the receiver can take."""
    from local.bench_overload import bench as run  # noqa: PLC0415 (as above)
    from local.bench_overload import report_table  # noqa: PLC0415 (as above)

    _need_root("make bench-overload")
    _print(report_table(run(senders, series, overload=timedelta(seconds=seconds))))


@app.command()
def bench_ways(
    series: Annotated[int, typer.Option(min=1000, help="That the leaf has.")] = 100_000,
    seconds: Annotated[int, typer.Option(min=10, help="That each way is watched.")] = 300,
    scrape: Annotated[int, typer.Option(min=1, help="Seconds between two scrapes of the leaf.")] = 30,
) -> None:
    """Measure what each way up costs, and how late samples are at the top."""
    from local.bench_ways import bench as run  # noqa: PLC0415 (as above)
    from local.bench_ways import report_table  # noqa: PLC0415 (as above)

    costs = run(series, timedelta(seconds=seconds), timedelta(seconds=scrape))
    _print(report_table(costs, os.getloadavg()[1]))


def _print(*tables: Table) -> None:
    """In a file they are as wide as they like."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    for table in tables:
        console.print(table)


def _resolve_chart() -> None:
    """A path is meant from where the command was typed, and used from several folders."""
    source, version = os.environ.get("FLEET_CHART", ""), os.environ.get("FLEET_CHART_VERSION", "")
    if version and not source.startswith("oci://"):
        raise LocalError("CHART_VERSION is for charts from a registry: make demo CHART=oci://… CHART_VERSION=1.2.3")
    if source.startswith("oci://") and not version:
        raise LocalError(
            f"a chart from a registry needs its exact version: make demo CHART={source} CHART_VERSION=1.2.3"
        )
    if source and not source.startswith("oci://"):
        path = Path(source).resolve()
        if not (path / "Chart.yaml").exists():
            raise LocalError(f"CHART={source}: there is no chart (no Chart.yaml) in {path}")
        os.environ["FLEET_CHART"] = str(path)


def _need_root(command: str) -> None:
    if os.geteuid() != 0:
        raise LocalError(
            f'{command} needs root: it makes namespaces and cgroups. Run `sudo env PATH="$PATH" {command}`, or '
            f"`make check` for the part of the tests that needs none."
        )


def main() -> None:
    try:
        app()
    except (LocalError, FleetError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
