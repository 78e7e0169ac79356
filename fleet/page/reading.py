"""From a file, or from what Pulumi read of it, to a validated page."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import yaml
from pydantic import ValidationError
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fleet import versions
from fleet.errors import FleetError, Problem, dotted
from fleet.names import PAGE_KEY
from fleet.page.fixes import with_fix
from fleet.page.model import Chart, Page
from fleet.page.problems import did_you_mean, page_problems
from fleet.page.rule_files import with_rule_files
from fleet.page.secrets import secrets_in_clear


def read_page(data: object, environ: Mapping[str, str] = os.environ, root: Path = Path()) -> Page:
    """Validates a page as YAML or Pulumi gave it; the files that it names lie below `root`.

    `FLEET_CHART` and `FLEET_CHART_VERSION` in `environ` take the place of the page's chart.
    Raises FleetError naming every field that is wrong.
    """
    if not isinstance(data, dict) or not data:
        raise FleetError([Problem(PAGE_KEY, "there is no fleet on this page", _EMPTY_PAGE_FIX)])
    problems = list(secrets_in_clear(cast("object", data)))
    try:
        page = Page.model_validate(data)
    except ValidationError as error:
        found = {problem.path for problem in problems}
        given = cast("object", data)
        shaped = (with_fix(each, given) for each in page_problems(error.errors(include_url=False), given))
        raise FleetError([*problems, *(problem for problem in shaped if problem.path not in found)]) from None
    if problems:
        raise FleetError(problems)
    page = with_rule_files(page, root)
    source = environ.get("FLEET_CHART")
    return page.model_copy(update={"chart": _chart_instead(page, source, environ)}) if source else page


def _chart_instead(page: Page, source: str, environ: Mapping[str, str]) -> Chart:
    version = environ.get("FLEET_CHART_VERSION") or None
    if source.startswith("oci://") and version is None:
        fix = f"export FLEET_CHART_VERSION={versions.CHART}"
        raise FleetError([Problem("FLEET_CHART_VERSION", "a chart from a registry needs an exact version", fix)])
    return Chart(source=source, version=version, registry=page.chart.registry)


def read_stack(stack: str, root: Path, environ: Mapping[str, str] = os.environ) -> Page:
    """The page of `Pulumi.STACK.yaml` in `root`, Pulumi.yaml's folder. Raises FleetError."""
    path = root / f"Pulumi.{stack}.yaml"
    document = _mapping(_load(path))
    config = _mapping(document.get("config"))
    if PAGE_KEY not in config:
        hint = did_you_mean(PAGE_KEY, map(str, config)).replace("did you mean", "is it")
        raise FleetError([Problem(path.name, f"has no fleet under config.{PAGE_KEY}{hint}", _EMPTY_PAGE_FIX)])
    return read_page(config[PAGE_KEY], environ, root)


def _load(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        stacks = [each.name.split(".")[1] for each in sorted(path.parent.glob("Pulumi.*.yaml"))]
        listed = ", ".join(stacks) or "none"
        raise FleetError([Problem(path.name, f"does not exist; stacks here: {listed}")]) from None
    except OSError as error:
        raise FleetError([Problem(path.name, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise FleetError([Problem(path.name, "is not UTF-8 text")]) from None
    try:
        _refuse_depth(path, text)
        loader = yaml.CSafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise FleetError([Problem(path.name, "is empty", _EMPTY_PAGE_FIX)])
        if problems := list(_node_problems(node, (), ())):
            raise FleetError(problems)
        construct = cast("Callable[[Node], object]", loader.construct_document)
        return construct(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise FleetError([Problem(path.name, f"is not valid YAML{where}: {error.problem}")]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise FleetError([Problem(path.name, f"is not valid YAML: {error}")]) from None


def _refuse_depth(path: Path, text: str) -> None:
    """The C composer recurses for each level, and ends the process where the stack does."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEPTH:
            raise FleetError([Problem(path.name, f"is nested deeper than {_DEPTH} levels")])


_DEPTH = 100


def _node_problems(node: Node, path: tuple[str, ...], above: tuple[int, ...]) -> Iterator[Problem]:
    """What YAML readers pass over in silence: of two equal keys the last one would win."""
    if id(node) in above:
        yield Problem(_on_page(path), "this alias contains itself")
    elif isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in cast("list[tuple[Node, Node]]", node.value):
            name = str(key.value) if isinstance(key, ScalarNode) else "?"
            if name in seen and name != "<<":
                line = key.start_mark.line + 1
                yield Problem(_on_page((*path, name)), f"is here twice, again in line {line}; each name stands once")
            seen.add(name)
            yield from _node_problems(value, (*path, name), (*above, id(node)))
    elif isinstance(node, SequenceNode):
        for number, item in enumerate(cast("list[Node]", node.value)):
            yield from _node_problems(item, (*path, str(number)), (*above, id(node)))


def _on_page(path: tuple[str, ...]) -> str:
    """Paths are those of the page, as in every other message."""
    return dotted(path[2:] if path[:2] == ("config", PAGE_KEY) else path)


def _mapping(data: object) -> Mapping[object, object]:
    return cast("Mapping[object, object]", data) if isinstance(data, Mapping) else {}


_EMPTY_PAGE_FIX = f"""
config:
  {PAGE_KEY}:
    clusters:
      hub: {{tier: global, context: hub}}
      eu-1: {{tier: leaf, context: eu-1}}
"""
