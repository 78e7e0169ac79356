"""What drift is made of."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

JsonObject = dict[str, JsonValue]
"""A Kubernetes object, or a part of one."""


class What(StrEnum):
    CHANGED = "was changed"
    MISSING = "is missing"
    ADDED = "was added by hand"
    LEFT = "is no longer on the page"


@dataclass(frozen=True, slots=True)
class FieldDrift:
    path: str
    """As `spec.containers[gateway].image`."""
    text: str
    """What is the matter with it; of a Secret without any value."""


@dataclass(frozen=True, slots=True)
class ObjectDrift:
    kind: str
    namespace: str
    """Empty for what has none."""
    name: str
    what: What
    by: str = ""
    """Which tools people changed it with, as far as the API server has noted that."""
    fields: tuple[FieldDrift, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterDrift:
    cluster: str
    objects: tuple[ObjectDrift, ...] = ()
    error: str | None = None
    """Why it could not be compared, or not in all its parts."""
    compared: int = 0
    """How many objects were."""
