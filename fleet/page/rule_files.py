"""Recording rules that a page keeps in files of their own."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import TypeVar, cast

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from fleet.errors import FleetError, Problem, at, dotted
from fleet.page.model import Page
from fleet.page.problems import page_problem
from fleet.page.recording import GlobalRule, Recorded, RegionRule, Rule

R = TypeVar("R", bound=Recorded)


def with_rule_files(page: Page, root: Path) -> Page:
    """`page` with the rules of its files beside those that stand on it. Raises FleetError with what is wrong there."""
    reader, rules = _Reader(root), page.rules
    leaf = reader.read("leaf", rules.leaf.files, TypeAdapter(list[Rule]))
    regional = reader.read("regional", rules.regional.files, TypeAdapter(list[RegionRule]))
    top = reader.read("global", rules.global_.files, TypeAdapter(list[GlobalRule]))
    if reader.problems:
        raise FleetError(reader.problems)
    read = {
        "leaf": rules.leaf.model_copy(update={"inline": (*rules.leaf.inline, *leaf)}),
        "regional": rules.regional.model_copy(update={"inline": (*rules.regional.inline, *regional)}),
        "global_": rules.global_.model_copy(update={"inline": (*rules.global_.inline, *top)}),
    }
    return page.model_copy(update={"rules": rules.model_copy(update=read)})


class _Reader:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.problems: list[Problem] = []

    def read(self, tier: str, files: Iterable[Path], shape: TypeAdapter[list[R]]) -> Iterator[R]:
        rules: list[R] = []
        for number, file in enumerate(files):
            try:
                found = shape.validate_python(yaml.load((self._root / file).read_text(), Loader=yaml.CSafeLoader))
                rules += [rule.found_at(f"{file}.{line}") for line, rule in enumerate(found)]
            except OSError as error:
                where = ("rules", tier, "files", number)
                self.problems.append(at(where, f"{file} cannot be read: {error.strerror}", f"rules/{tier}.yaml"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                self.problems.append(Problem(str(file), f"is not valid YAML: {error}"))
            except ValidationError as error:
                self.problems += [_in_file(file, tier, each) for each in error.errors(include_url=False)]
        return iter(rules)


def _in_file(file: Path, tier: str, details: ErrorDetails) -> Problem:
    """As on the page itself, for whoever reads the file."""
    above = ("rules", tier, "inline")
    problem = page_problem(cast("ErrorDetails", {**details, "loc": (*above, *details["loc"])}))
    fix = dedent("\n".join(problem.fix.splitlines()[len(above) :]))
    return Problem(dotted((file, *details["loc"])), problem.message, fix)
