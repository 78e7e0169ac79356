"""`python -m ci`: the steps of the workflows."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ci.github import GitHub, Label
from ci.job import annotation, this_job
from ci.stacks import deployed_stacks
from fleet.compiler import compile_fleet
from fleet.drift.report import DRIFT, FAILED, NONE, exit_code, report
from fleet.errors import FleetError
from fleet.live import live_drift
from fleet.page import read_fleet
from fleet.plan import Plan
from fleet.up import PARTIAL, Update

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Stack = Annotated[str, typer.Option("--stack", help="Which Pulumi.STACK.yaml.")]
HERE = Path()
POLICIES = Path("policies")
DRIFTED = Label("drift", "d93f0b", "What runs is not what the page says")


@app.command()
def stacks(
    without: Annotated[list[str] | None, typer.Option(help="Not this one; may be repeated.")] = None,
    only: Annotated[str, typer.Option(help="This one alone; all where it is empty.")] = "",
) -> None:
    """Answer as `stacks` which there are, in the order of deployment."""
    found = deployed_stacks(HERE, without or [], only)
    this_job().answer("stacks", [*found])
    typer.echo(" ".join(found))


@app.command()
def kubeconfig() -> None:
    """Put the kubeconfig of $FLEET_KUBECONFIG, if any, where later steps find it."""
    if text := os.environ.get("FLEET_KUBECONFIG"):
        job = this_job()
        job.export("KUBECONFIG", str(job.private_file("kubeconfig", text)))


@app.command()
def comment(
    stack: Stack,
    file: Annotated[Path, typer.Option("--report", help="Markdown.")],
    outcome: Annotated[str, typer.Option(help="Of the step that ran Pulumi's own preview.")] = "skipped",
) -> None:
    """Write the report into the pull request, in place of the one before."""
    job = this_job()
    text = f"{file.read_text().rstrip()}\n\n{_OUTCOMES.get(outcome, _OUTCOMES['failure']).format(url=job.url)}\n"
    with GitHub(job) as github:
        github.comment(job.pull_request, f"preview of {stack}", text)


_OUTCOMES = {
    "success": "`pulumi preview` with the policy pack: passed ([log]({url})).",
    "skipped": "`pulumi preview` did not run ([log]({url})).",
    "failure": "**`pulumi preview` with the policy pack: failed** ([log]({url})).",
}


@app.command()
def deploy(stack: Stack) -> None:
    """Update a stack; exit 3 where some clusters cannot be reached, which are named beside the run."""
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        typer.echo(line)

    code = Update(_part(stack), stack, is_asked=False, say=say, policy_packs=(POLICIES,)).run()
    result = {0: "deployed", PARTIAL: "deployed in part"}.get(code, "failed")
    this_job().summarize("\n".join([f"### {stack}: {result}", "", *(f"    {line}" for line in lines)]))
    if code:
        typer.echo(annotation("warning" if code == PARTIAL else "error", f"{stack}: {result}", "\n".join(lines)))
        raise typer.Exit(code)


@app.command()
def drift(stack: Stack) -> None:
    """Compare, and keep the stack's issue: open where there is drift, closed where there is none."""
    job = this_job()
    drifts = asyncio.run(live_drift(_part(stack), stack))
    code, text = exit_code(drifts), report(drifts, "markdown")
    job.summarize(f"## Drift of {stack}\n\n{text}")
    mark, about = (
        f"drift of {stack}",
        f"As [this run]({job.url}) has found it; docs/drift.md says how to put it back.\n",
    )
    with GitHub(job) as github:
        if code == NONE:
            number = github.close_issue(DRIFTED, mark, f"[This run]({job.url}) has found no drift.")
        else:
            number = github.open_issue(DRIFTED, mark, f"Drift of stack {stack}", f"{text}\n{about}")
    outcomes = {NONE: "no drift", DRIFT: "drift", FAILED: "not all could be compared"}
    typer.echo(f"{stack}: {outcomes[code]}" + (f", issue #{number}" if number is not None else ""))
    if code == FAILED:
        raise typer.Exit(FAILED)


def _part(stack: str) -> Plan:
    return compile_fleet(read_fleet(stack, HERE)).part(stack)


def main() -> None:
    try:
        app()
    except FleetError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
