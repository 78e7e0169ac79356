"""A fleet whose page is spread over several stacks: the parent's has the settings, each other one clusters alone."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fleet.errors import FleetError, Problem, at, yaml_at
from fleet.page.model import Page
from fleet.page.problems import did_you_mean, nearest
from fleet.page.reading import read_stack


@dataclass(frozen=True, slots=True)
class FleetPage:
    """The page of a whole fleet, whichever of its stacks is asked about."""

    page: Page
    stack: str
    """The one that is asked about."""
    parent: str
    """The stack with the global cluster and the settings: the same one where the fleet has no other."""
    stacks: Mapping[str, str]
    """Which stack deploys each cluster."""

    def located(self, problems: Sequence[Problem]) -> FleetError:
        """The same with the file before each path that is not of the asked stack's own page."""
        return FleetError([_in_file(problem, self._home(problem), self.stack) for problem in problems])

    def _home(self, problem: Problem) -> str:
        for name, stack in self.stacks.items():
            if problem.path == f"clusters.{name}" or problem.path.startswith(f"clusters.{name}."):
                return stack
        # The program's own rules, for one, are on nobody's page.
        return self.parent if problem.path.split(".")[0] in _KEYS else self.stack


_KEYS = frozenset(field.alias or name for name, field in Page.model_fields.items())


def read_fleet(stack: str, root: Path, environ: Mapping[str, str] = os.environ) -> FleetPage:
    """The fleet whose page, or a part of it, `Pulumi.STACK.yaml` in `root` is. Raises FleetError."""
    return whole_fleet(stack, read_stack(stack, root, environ), root, environ)


def whole_fleet(stack: str, page: Page, root: Path = Path(), environ: Mapping[str, str] = os.environ) -> FleetPage:
    """`page`, which is `stack`'s, with the pages that it belongs to, from their files in `root`. Raises FleetError."""

    def read(name: str) -> Page:
        if name == stack:
            return page
        try:
            return read_stack(name, root, environ)
        except FleetError as error:
            raise FleetError([_in_file(problem, name, stack) for problem in error.problems]) from None

    parent = page.parent_stack or stack
    above = read(parent)
    _refuse(stack, stack, _own_problems(stack, page, above))
    _refuse(stack, parent, _parent_problems(stack, parent, above))
    pages = {parent: above, **{name: read(name) for name in above.child_stacks}}
    for name, each in pages.items():
        _refuse(stack, name, [*_child_problems(name, each, parent), *_name_problems(name, pages)])
    clusters = {name: cluster for each in pages.values() for name, cluster in each.clusters.items()}
    homes = {name: home for home, each in pages.items() for name in each.clusters}
    return FleetPage(above.model_copy(update={"clusters": clusters}), stack, parent, homes)


def _own_problems(stack: str, page: Page, above: Page) -> Iterator[Problem]:
    if page.parent_stack == stack:
        yield at(["parentStack"], "a stack cannot be below itself", "global")
    elif page.parent_stack is not None and above.parent_stack is not None:
        message = f"stack {page.parent_stack} is itself below {above.parent_stack}, and no stack is below it"
        yield at(["parentStack"], message, above.parent_stack)


def _parent_problems(stack: str, parent: str, above: Page) -> Iterator[Problem]:
    children = above.child_stacks
    if stack not in (parent, *children):
        meant = nearest(stack, children)
        message = f"stack {stack} says that it is below this one, and is not listed{did_you_mean(stack, children)}"
        yield at(["childStacks"], message, [*(each for each in children if each != meant), stack])
    if parent in children:
        yield at(["childStacks"], "a stack cannot be below itself", [each for each in children if each != parent])
    if len(set(children)) < len(children):
        yield at(["childStacks"], "names a stack twice", [*dict.fromkeys(children)])


def _child_problems(stack: str, page: Page, parent: str) -> Iterator[Problem]:
    if parent not in {stack, page.parent_stack}:
        message = f"stack {parent} lists this one in childStacks, and it does not say that it is below"
        yield at(["parentStack"], message, parent)


def _name_problems(stack: str, pages: Mapping[str, Page]) -> Iterator[Problem]:
    """Of the later of two stacks."""
    for other, page in pages.items():
        if other == stack:
            return
        for name in pages[stack].clusters:
            if name in page.clusters:
                cluster = pages[stack].clusters[name].model_dump(mode="json", by_alias=True, exclude_unset=True)
                message = f"stack {other} has a cluster of this name, and each is the `cluster` label of one alone"
                yield Problem(f"clusters.{name}", message, yaml_at(["clusters", f"{stack}-{name}"], cluster))


def _refuse(asked: str, stack: str, problems: Iterable[Problem]) -> None:
    if located := [_in_file(problem, stack, asked) for problem in problems]:
        raise FleetError(located)


def _in_file(problem: Problem, stack: str, asked: str) -> Problem:
    """`problem` of `stack`'s page, as whoever asked about another one has to read it."""
    file = f"Pulumi.{stack}.yaml"
    return problem if stack == asked or problem.path == file else replace(problem, path=f"{file}: {problem.path}")
