"""Which stacks there are, and in which order they are deployed."""

from collections.abc import Collection
from pathlib import Path

import yaml
from pydantic import BaseModel

from fleet.errors import FleetError, Problem
from fleet.names import PAGE_KEY
from fleet.page import read_fleet


def deployed_stacks(root: Path, without: Collection[str], only: str = "") -> list[str]:
    """Those that have a page, or that one of them; the ones below before the one above.

    Raises FleetError as reading them does.
    """
    names = [path.name.split(".")[1] for path in sorted(root.glob("Pulumi.*.yaml")) if _has_page(path)]
    if unknown := {*without, *filter(None, [only])} - {*names}:
        raise FleetError([Problem(f"stack {name}", "there is no such stack") for name in sorted(unknown)])
    wanted = [name for name in names if name not in without and only in ("", name)]
    return sorted(wanted, key=lambda name: read_fleet(name, root).parent == name)


class _StackFile(BaseModel):
    config: dict[str, object] = {}


def _has_page(path: Path) -> bool:
    return PAGE_KEY in _StackFile.model_validate(yaml.safe_load(path.read_text()) or {}).config
