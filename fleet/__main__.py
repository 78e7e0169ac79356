"""`python -m fleet`: what can be known about a fleet before, and seen of it after, `pulumi up`.

`check` has to answer at once, so what talks to clusters or to Grafana is imported where it is used: it takes longer to
load than a fleet of hundreds takes to compile.
"""

import asyncio
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from rich.console import Console

from fleet.adopt import import_file
from fleet.compiler import compile_fleet
from fleet.errors import FleetError, Problem
from fleet.explain import explain as explain_metric
from fleet.maintenance import ended_maintenance, maintenance_lines
from fleet.page import read_fleet
from fleet.page.schema import SCHEMA, schema_text
from fleet.plan import Plan
from fleet.price import refuse_unaskable, verdict
from fleet.topology import Format, extra_matches, mermaid, outside, topology_table

if TYPE_CHECKING:
    from fleet.rotate import Rotation

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Stack = Annotated[str, typer.Option("--stack", help="Which Pulumi.STACK.yaml.")]
Root = Annotated[Path, typer.Option("--root", help="Folder with Pulumi.STACK.yaml.")]
Report = Literal["text", "markdown", "json"]
HERE = Path()


def _plan(stack: str, root: Path) -> Plan:
    """Of the whole fleet, also where the stack deploys a part of it."""
    return compile_fleet(read_fleet(stack, root))


def _part(stack: str, root: Path) -> Plan:
    return _plan(stack, root).part(stack)


def _shown(stack: str, root: Path) -> Plan:
    """The whole fleet for the stack above all others, its own part for each of those."""
    fleet = read_fleet(stack, root)
    plan = compile_fleet(fleet)
    return plan if stack == fleet.parent else plan.part(stack)


@app.command()
def check(
    stack: Stack = "dev",
    root: Root = HERE,
    output: Annotated[Format, typer.Option("--format", help="How to show the topology.")] = "table",
    is_live: Annotated[bool, typer.Option("--live", help="Look in clusters for Secrets that it names.")] = False,  # noqa: FBT002 (how typer spells a flag)
) -> None:
    """Validate a stack's page; print its topology, the budget of every edge, and warnings."""
    plan, now = _shown(stack, root), datetime.now(UTC)
    if output == "mermaid":
        typer.echo(mermaid(plan), nl=False)
    else:
        Console().print(topology_table(plan))
        for line in (*extra_matches(plan), *outside(plan), *maintenance_lines(plan, now)):
            typer.echo(line)
    for warning in (*plan.warnings, *ended_maintenance(plan, now)):
        typer.echo(f"warning: {warning}", err=True)
    if is_live:
        _refuse_missing_secrets(stack, root)


def _refuse_missing_secrets(stack: str, root: Path) -> None:
    from fleet.live import live_secrets  # noqa: PLC0415 (see the module's docstring)

    fleet = read_fleet(stack, root)
    if problems := asyncio.run(live_secrets(compile_fleet(fleet).part(stack), stack)):
        raise fleet.located(problems)
    typer.echo("every Secret that the page names is there", err=True)


@app.command()
def render(
    stack: Stack = "dev",
    root: Root = HERE,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("rendered"),
) -> None:
    """Write, per cluster, the chart's values and every other object; secrets by name only."""
    from fleet.render import render as render_files  # noqa: PLC0415 (see the module's docstring)
    from fleet.render import write  # noqa: PLC0415 (likewise)

    files = render_files(_part(stack, root))
    write(files, out, stack)
    typer.echo(f"{len(files)} files in {out}")


@app.command()
def describe(stack: Stack = "dev", root: Root = HERE) -> None:
    """Print as JSON what a stack would deploy, for `preview` of another version of this program."""
    from fleet.review.describing import describe as description  # noqa: PLC0415 (see the module's docstring)

    typer.echo(description(stack, root).model_dump_json())


@app.command()
def preview(
    stack: Stack = "dev",
    root: Root = HERE,
    base: Annotated[str, typer.Option(help="What the pull request is to be merged into.")] = "main",
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path(".local/preview"),
) -> None:
    """Write as Markdown what the work tree changes against a base; exit 2 where something refuses it."""
    from fleet.review.files import ReportFiles  # noqa: PLC0415 (see the module's docstring)
    from fleet.review.preview import preview as previewed  # noqa: PLC0415 (likewise)
    from fleet.review.running import to_its_end  # noqa: PLC0415 (likewise)

    files = ReportFiles.of(stack, out)
    files.clear()
    try:
        found = to_its_end(previewed(stack, base, root, files.details.name))
    except asyncio.CancelledError:
        raise FleetError([Problem("preview", "stopped; nothing was written")]) from None
    files.write(found)
    typer.echo(f"{found.headline}: {files.summary}, and all of it in {files.details.name}")
    if found.is_refused:
        raise typer.Exit(2)


@app.command()
def explain(name: str, stack: Stack = "dev", root: Root = HERE) -> None:
    """Say of a metric or rule where it is made, how it travels, what it is called at the top, and why."""
    plan = _plan(stack, root)
    typer.echo(explain_metric(plan, plan.rules, name))


@app.command()
def try_match(cluster: str, match: str, stack: Stack = "dev", root: Root = HERE) -> None:
    """Ask a live child how many series and bytes a match would bring."""
    plan = _plan(stack, root)
    refuse_unaskable(plan, cluster, match)
    from fleet.live import live_price  # noqa: PLC0415 (see the module's docstring)

    for line in verdict(plan, cluster, asyncio.run(live_price(plan, cluster, match))):
        typer.echo(line)


@app.command()
def adopt(clusters: Annotated[list[str], typer.Argument()], stack: Stack = "dev", root: Root = HERE) -> None:
    """Print what `pulumi import --file` takes to bring clusters' existing releases under the program."""
    typer.echo(json.dumps(import_file(_part(stack, root), clusters, stack), indent=2))


@app.command()
def schema() -> None:
    """Write the page's JSON Schema into docs/."""
    SCHEMA.write_text(schema_text())
    typer.echo(f"wrote {SCHEMA.name}")


@app.command()
def status(
    stack: Stack = "dev",
    root: Root = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,  # noqa: FBT002 (how typer spells a flag)
    is_watched: Annotated[bool, typer.Option("--watch", help="Go on asking until Ctrl-C.")] = False,  # noqa: FBT002 (how typer spells a flag)
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two questions of --watch.")] = 5,
) -> None:
    """Ask the live fleet, edge by edge, what works; exit 1 where something does not."""
    from fleet.live import live_statuses, stack_output, watch  # noqa: PLC0415 (see the module's docstring)
    from fleet.tables import status_table  # noqa: PLC0415 (likewise)
    from fleet.watch import until_interrupted  # noqa: PLC0415 (likewise)

    if is_watched:
        if as_json:
            raise FleetError([Problem("--watch", "shows a picture, for people: ask for --json as often as you like")])
        asyncio.run(until_interrupted(watch(_part(stack, root), stack, every, Console())))
        return
    statuses = asyncio.run(live_statuses(_part(stack, root), stack_output(stack)))
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in statuses], indent=2))
    else:
        Console().print(status_table(statuses))
    if any(each.fault for each in statuses):
        raise typer.Exit(1)


@app.command()
def drift(
    stack: Stack = "dev",
    root: Root = HERE,
    output: Annotated[Report, typer.Option("--format", help="How to tell it.")] = "text",
) -> None:
    """Hold what runs against what the page would deploy; exit 2 where it differs, 1 where that cannot be known."""
    from fleet.drift.report import exit_code, report, summary  # noqa: PLC0415 (see the module's docstring)
    from fleet.live import live_drift  # noqa: PLC0415 (likewise)

    drifts = asyncio.run(live_drift(_part(stack, root), stack))
    typer.echo(report(drifts, output), nl=False)
    if output == "text":
        typer.echo(summary(drifts))
    if code := exit_code(drifts):
        raise typer.Exit(code)


@app.command()
def up(
    stack: Stack = "dev",
    yes: Annotated[bool, typer.Option("--yes", help="Let Pulumi update without asking.")] = False,  # noqa: FBT002 (how typer spells a flag)
    policy_pack: Annotated[list[Path] | None, typer.Option(help="As Pulumi's own; may be repeated.")] = None,
) -> None:
    """`pulumi up` for all clusters that can be reached; exit 3 where some cannot, 1 where anything else failed."""
    from fleet.up import Update  # noqa: PLC0415 (see the module's docstring)

    if code := Update(_part(stack, HERE), stack, not yes, typer.echo, tuple(policy_pack or ())).run():
        raise typer.Exit(code)


rotate = typer.Typer(no_args_is_help=True, help="Change keys while they are in use: docs/rotation.md.")
app.add_typer(rotate, name="rotate")


@rotate.callback()
def _rotation(
    context: typer.Context,
    stack: Stack = "dev",
    yes: Annotated[bool, typer.Option("--yes", help="Let Pulumi update without asking.")] = False,  # noqa: FBT002 (how typer spells a flag)
    policy_pack: Annotated[list[Path] | None, typer.Option(help="As Pulumi's own; may be repeated.")] = None,
) -> None:
    from fleet.rotate import Rotation  # noqa: PLC0415 (see the module's docstring)

    context.obj = Rotation(stack, not yes, typer.echo, tuple(policy_pack or ()))


@rotate.command("keys")
def rotate_keys(
    context: typer.Context,
    edge: Annotated[list[str] | None, typer.Option(help="One edge's alone; may be repeated. All without it.")] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Twice: today's keys open nothing.")] = False,  # noqa: FBT002 (how typer spells a flag)
) -> None:
    """Make passwords and client certificates anew, and wait until every running process uses them."""
    cast("Rotation", context.obj).keys(edge or [], revoke=revoke)


@rotate.command("authority")
def rotate_authority(context: typer.Context) -> None:
    """Replace the fleet's certificate authority: trust both, issue with the new one, distrust the old one."""
    cast("Rotation", context.obj).authority()


def main() -> None:
    try:
        app()
    except FleetError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
