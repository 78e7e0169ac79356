"""`fleet preview`: both sides read, the charts of what differs rendered, and all of it told."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from fleet.errors import FleetError, Problem
from fleet.review.changed_lines import Links, changed_lines
from fleet.review.consequences import consequences
from fleet.review.describing import page_file
from fleet.review.description import Description, Refusal
from fleet.review.differences import difference
from fleet.review.findings import Findings
from fleet.review.policies import Judgement, judgement
from fleet.review.rendering import Rendered, render_changed
from fleet.review.report import Report, report
from fleet.review.revisions import Base, files_of, find_base, find_head
from fleet.review.sides import Side, base_side, head_side
from fleet.rotation import step_problems


async def preview(stack: str, ref: str, root: Path, details: str) -> Report:
    """Of the work tree of `root` into `ref`; `details` is how the file with all of it is called.

    Raises FleetError where neither side has the stack, or git fails.
    """
    base = await find_base(ref, root)
    async with files_of(base) as tree:
        before, after = await asyncio.gather(
            base_side(stack, root, base, tree), asyncio.to_thread(head_side, stack, root)
        )
        _refuse_unknown(stack, before, after)
        judged, rendered = await asyncio.gather(_judged(stack, before, after), _rendered(before, after))
        return report(await _findings(stack, base, (before, after), judged, rendered), details)


def _refuse_unknown(stack: str, before: Side, after: Side) -> None:
    file = page_file(stack)
    if not (after.root / file).exists() and not (before.root / file).exists():
        raise FleetError([Problem(each.path, each.message, each.fix) for each in after.description.problems])


async def _judged(stack: str, before: Side, after: Side) -> tuple[Judgement, Judgement]:
    """The base is judged where that tells what is new of what is violated."""
    if not after.description.clusters:
        return Judgement(), Judgement()
    new = await judgement(stack, after)
    old = await judgement(stack, before) if new.violations and before.description.clusters else Judgement()
    return old, new


async def _rendered(before: Side, after: Side) -> Rendered | None:
    """None where a page is broken: what is not there does not differ."""
    broken = before.description.problems or after.description.problems
    return await render_changed(before, after) if not broken else None


async def _findings(
    stack: str, base: Base, sides: tuple[Side, Side], judged: tuple[Judgement, Judgement], rendered: Rendered | None
) -> Findings:
    before, after = sides
    old, new = before.description, after.description
    head = await find_head(base)
    found = difference(old, new, rendered.clusters) if rendered is not None else None
    folder = base.below_top(after.root).as_posix()
    pages = [*dict.fromkeys((*new.pages, *old.pages))]
    return Findings(
        stack=stack,
        base=f"`{base.ref}` at `{base.commit[:_SHORT]}`",
        head=f"`{head.commit[:_SHORT]}`{'' if head.is_committed else ' with what is not committed yet'}",
        problems=new.problems,
        base_problems=old.problems,
        steps=[*_steps(old, new)],
        unrendered=rendered.refused if rendered is not None else (),
        notes=[*rendered.notes] if rendered is not None else (),
        difference=found,
        consequences=consequences(found) if found is not None else (),
        before=judged[0],
        after=judged[1],
        lines=[*changed_lines(pages, before.root, after.root)],
        links=Links.of(base.commit, head.commit, folder),
        others=[each for each in head.changed if each not in {_joined(folder, page) for page in pages}],
    )


_SHORT = 10
"""Characters of a commit that are shown."""


def _joined(folder: str, file: str) -> str:
    return file if folder == "." else f"{folder}/{file}"


def _steps(before: Description, after: Description) -> Iterable[Refusal]:
    """What `pulumi up` would refuse where the base is what was deployed last."""
    if before.keys is None or after.keys is None or not before.clusters:
        return
    for each in step_problems(before.keys, after.keys):
        yield Refusal(path=each.path, message=each.message, fix=each.fix)
