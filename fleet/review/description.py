"""What one side of a pull request would deploy, as the JSON that `python -m fleet describe` prints.

It is a contract between versions of this program: the base describes itself by its own code, and the head reads that.
So fields are added with a default and never change their meaning.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from fleet.rotation import KeyState

Object = dict[str, JsonValue]
"""Of Kubernetes."""


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True)


class Refusal(_Described):
    """A mistake on the page, as `fleet.errors.Problem` has it."""

    path: str
    message: str
    fix: str = ""


class ChartRef(_Described):
    source: str
    """An `oci://` reference, or a path relative to the page's folder."""
    version: str | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether its contents follow from this: those of a folder may change."""
        return self.source.startswith("oci://")


class ClusterSide(_Described):
    tier: str
    region: str | None = None
    namespace: str
    place: str
    """By which kubeconfig and context it is reached."""
    protected: bool = False
    """Whether its namespace refuses to be deleted."""
    chart: ChartRef
    values: Object
    """What the chart is told."""
    objects: tuple[Object, ...]
    """What is made beside the chart's."""


class EdgeSide(_Described):
    """Along which somebody calls somebody with a key of its own."""

    kind: Literal["federation", "discovery", "remote write", "alerts", "reader"]
    lower: str
    upper: str
    facts: dict[str, tuple[str, ...]]
    """What was decided of it, in words; one with several values is a set."""
    generation: int
    """Of its key."""
    budget: int | None = None
    """Series; None where none are counted."""
    estimate: int | None = None


class Description(_Described):
    problems: tuple[Refusal, ...] = ()
    """Why the page is none; nothing else is here then."""
    topology: str = ""
    """Mermaid."""
    clusters: dict[str, ClusterSide] = {}
    edges: dict[str, EdgeSide] = {}
    keys: KeyState | None = None
    warnings: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    """Files, relative to the page's folder, that say what is here."""
