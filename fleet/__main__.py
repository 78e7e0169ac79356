"""`python -m fleet`: what can be known about a fleet before, and seen of it after, `pulumi up`."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleet.compiler import compile_page
from fleet.errors import FleetError
from fleet.live import live_statuses, stack_output
from fleet.page import read_stack
from fleet.plan import Plan
from fleet.render import render as render_files
from fleet.render import write
from fleet.tables import status_table, topology_table

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Stack = Annotated[str, typer.Option("--stack", help="Which Pulumi.STACK.yaml.")]


def _plan(stack: str) -> Plan:
    return compile_page(read_stack(stack, Path.cwd()))


@app.command()
def check(stack: Stack = "dev") -> None:
    """Validate a stack's page and print its topology."""
    Console().print(topology_table(_plan(stack)))


@app.command()
def render(
    stack: Stack = "dev", out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("rendered")
) -> None:
    """Write, per cluster, the chart's values and every other object; secrets by name only."""
    files = render_files(_plan(stack))
    write(files, out)
    typer.echo(f"{len(files)} files in {out}")


@app.command()
def status(
    stack: Stack = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,  # noqa: FBT002 (how typer spells a flag)
) -> None:
    """Ask the live fleet, edge by edge, what works; exit 1 where something does not."""
    statuses = asyncio.run(live_statuses(_plan(stack), stack_output(stack)))
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in statuses], indent=2))
    else:
        Console().print(status_table(statuses))
    if any(each.fault for each in statuses):
        raise typer.Exit(1)


def main() -> None:
    try:
        app()
    except FleetError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
