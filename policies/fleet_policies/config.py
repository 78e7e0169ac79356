"""A stack's settings of the policies, in the form of `pulumi --policy-pack-config`."""

import json
from collections.abc import Mapping
from pathlib import Path

from pulumi_policy import EnforcementLevel

CONFIG = Path(__file__).parents[1] / "config"

Settings = Mapping[str, Mapping[str, object]]
"""By policy: its own settings, and `enforcementLevel`."""


def config_file(project: str, stack: str) -> Path:
    """Of a stack, by its project as well: another program's `prod` is another stack."""
    return CONFIG / f"{project}.{stack}.json"


def read_settings(file: Path) -> dict[str, dict[str, object]]:
    return json.loads(file.read_text())


def initial_config(project: str, stack: str) -> dict[str, EnforcementLevel | dict[str, object]] | None:
    """What the pack itself brings for a stack; `--policy-pack-config` comes on top."""
    file = config_file(project, stack)
    if not file.exists():
        return None
    return {policy: _with_level(settings) for policy, settings in read_settings(file).items()}


def _with_level(settings: Mapping[str, object]) -> dict[str, object]:
    """The SDK sends a level that is not given as the lowest there is, `advisory`."""
    level = EnforcementLevel(settings.get("enforcementLevel", EnforcementLevel.MANDATORY.value))
    return {**settings, "enforcementLevel": level}
