"""Both sides of a pull request, each described by its own code."""

import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fleet.errors import FleetError, Problem
from fleet.review.describing import describe, page_file
from fleet.review.description import Description, Refusal
from fleet.review.revisions import Base
from fleet.review.running import run

CODE = Path(__file__).parents[2]
"""Of this version of the program."""


@dataclass(frozen=True, slots=True)
class Side:
    description: Description
    root: Path
    """The page's folder."""
    code: Path
    """Of the program that described it."""
    python: str
    """The interpreter with what that program needs."""


def head_side(stack: str, root: Path) -> Side:
    """The work tree as it is, committed or not."""
    return Side(_said(stack, root), root, CODE, sys.executable)


def _said(stack: str, root: Path) -> Description:
    """As another process would say it: a tuple and a list would be different."""
    return Description.model_validate_json(describe(stack, root).model_dump_json())


async def base_side(stack: str, root: Path, base: Base, tree: Path) -> Side:
    """The page of `base`, whose files lie in `tree`. By its own code where it has any: a pull request may change that.

    Raises FleetError where that code does not run.
    """
    there = tree / base.below_top(root)
    if not (there / page_file(stack)).exists():
        # New in this pull request: all of it is.
        return Side(Description(), there, CODE, sys.executable)
    code = _code_in(tree, base)
    if code == CODE:
        return Side(_said(stack, there), there, CODE, sys.executable)
    python = await _python(code)
    # The folder that the user's `python` would put first is this one's; the base's own is what counts.
    done = await run(
        python,
        *("-m", "fleet", "describe", "--stack", stack, "--root", str(there)),
        folder=code,
        environment={"PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if done.status:
        return Side(Description(problems=(_older(base, done.err),)), there, code, python)
    try:
        return Side(Description.model_validate_json(done.out), there, code, python)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, each["loc"])) for each in error.errors()[:3])
        message = f"the program of {base.ref} describes itself in a way that this one does not read ({places})"
        return Side(Description(problems=(Refusal(path="--base", message=message),)), there, code, python)


def _code_in(tree: Path, base: Base) -> Path:
    """The program may lie in another repository than the page: then this pull request does not change it."""
    if not CODE.is_relative_to(base.top.resolve()):
        return CODE
    code = tree / CODE.relative_to(base.top.resolve())
    return code if (code / "fleet" / "__main__.py").exists() else CODE


async def _python(code: Path) -> str:
    """Other packages make other objects: a base with another lock gets an environment of its own, beside its code."""
    if (code / "uv.lock").read_bytes() == (CODE / "uv.lock").read_bytes():
        return sys.executable
    done = await run(str(code / "local" / "bootstrap.sh"), folder=code)
    if done.status:
        message = f"its environment cannot be made from its uv.lock: {done.err.strip()}"
        raise FleetError([Problem("--base", message)])
    return str(code / ".venv" / "bin" / "python")


def _older(base: Base, said: str) -> Refusal:
    last = said.strip().splitlines()[-1] if said.strip() else "it says nothing"
    if "No such command 'describe'" in said:
        last = "it is older than `fleet preview`"
    return Refusal(path="--base", message=f"the program of {base.ref} cannot say what it deploys: {last}")
