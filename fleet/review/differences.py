"""What differs between two sides: clusters, edges, and object by object what runs in a cluster."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

from fleet.render import as_yaml
from fleet.review.charts import Chart
from fleet.review.description import ClusterSide, Description, EdgeSide, Object
from fleet.review.nodes import mapping
from fleet.review.redaction import shown

_CONTEXT = 2
"""Lines around a changed one."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectName:
    kind: str
    name: str
    namespace: str = ""
    """Where that is not the cluster's own."""
    group: str = ""
    """Of the API."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @classmethod
    def of(cls, made: Object, namespace: str) -> "ObjectName":
        metadata = mapping(made.get("metadata"))
        where, name = str(metadata.get("namespace", "")), str(metadata.get("name", ""))
        group = str(made.get("apiVersion", "")).rpartition("/")[0]
        return cls(str(made["kind"]), name, "" if where == namespace else where, group)


VALUES = ObjectName("Values of the chart", "values.yaml")
"""What the chart is told, which stands beside the objects: it says in fewest words what changes."""

Objects = Mapping[ObjectName, Object]


@dataclass(frozen=True, slots=True)
class ClusterState:
    """One side of a cluster."""

    side: ClusterSide
    chart: Chart | None
    """None where it cannot be had."""
    objects: Objects
    """Beside the chart's and, where `is_rendered`, the chart's as well."""
    is_rendered: bool


@dataclass(frozen=True, slots=True)
class ObjectChange:
    name: ObjectName
    before: Object | None
    after: Object | None

    @property
    def sign(self) -> str:
        """As in diffs: `+`, `-` or `~`."""
        return "+" if self.before is None else "-" if self.after is None else "~"

    @property
    def is_relabelled(self) -> bool:
        """Whether nothing but such labels differs, as in most objects of another version of the chart."""
        before, after = self.before, self.after
        return before is not None and after is not None and _unlabelled(before) == _unlabelled(after)

    def diff(self) -> str:
        """Without secrets, and without labels that say nothing but the chart's version."""
        if self.is_relabelled:
            return ""
        before, after = shown(*(_unlabelled(each) if each is not None else None for each in (self.before, self.after)))
        lines = difflib.unified_diff(_lines(before), _lines(after), n=_CONTEXT, lineterm="")
        # The first two are names of files, which these are not.
        return "\n".join([*lines][2:])


def _unlabelled(made: Object) -> Object:
    return {key: _without(value, key) for key, value in made.items()}


def _without(node: JsonValue, key: str) -> JsonValue:
    if isinstance(node, dict):
        dropped = _VERSION_LABELS if key == "labels" else ()
        return {each: _without(value, each) for each, value in node.items() if each not in dropped}
    return [_without(each, "") for each in node] if isinstance(node, list) else node


_VERSION_LABELS = ("app.kubernetes.io/version", "chart", "helm.sh/chart")


def _lines(made: Object | None) -> list[str]:
    return as_yaml(made).splitlines() if made is not None else []


class Change(StrEnum):
    NEW = "new"
    GONE = "gone"
    PLACE = "place"
    """Where it is reached."""
    CHART = "chart"
    VALUES = "values"
    OBJECTS = "objects"
    EDGES = "edges"
    """An end of one that changes: keys, and what a gateway lets pass, lie in Secrets, whose contents no diff shows."""
    NONE = "unchanged"


@dataclass(frozen=True, slots=True)
class ClusterChange:
    name: str
    before: ClusterState | None
    after: ClusterState | None
    objects: Sequence[ObjectChange]
    is_end: bool
    """Whether an edge of it changes in more than its numbers."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """At least one."""
        if self.before is None:
            return (Change.NEW,)
        if self.after is None:
            return (Change.GONE,)
        before, after = self.before, self.after
        found = [
            *([Change.PLACE] if before.side.place != after.side.place else []),
            *([Change.CHART] if chart_differs(before, after) else []),
            *([Change.VALUES] if before.side.values != after.side.values else []),
            *([Change.OBJECTS] if any(each.name != VALUES for each in self.objects) else []),
            *([Change.EDGES] if self.is_end else []),
        ]
        return tuple(found) or (Change.NONE,)

    @property
    def is_changed(self) -> bool:
        return self.changes != (Change.NONE,)


def chart_differs(before: ClusterState, after: ClusterState) -> bool:
    if before.chart is None or after.chart is None:
        return before.side.chart != after.side.chart
    return (before.side.chart.version, before.chart.digest) != (after.side.chart.version, after.chart.digest)


@dataclass(frozen=True, slots=True)
class EdgeChange:
    id: str
    before: EdgeSide | None
    after: EdgeSide | None

    @property
    def side(self) -> EdgeSide:
        """The newer one that there is."""
        side = self.after or self.before
        if side is None:
            raise ValueError("an edge of neither side")
        return side

    @property
    def is_decided_anew(self) -> bool:
        """In more than the numbers of its series."""
        before, after = self.before, self.after
        if before is None or after is None:
            return True
        return (before.facts, before.generation) != (after.facts, after.generation)

    def facts(self) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
        """(what, gone, new) of everything that was decided anew."""
        before, after = _facts(self.before), _facts(self.after)
        for name in {**before, **after}:
            old, new = before.get(name, ()), after.get(name, ())
            if old != new:
                yield name, [each for each in old if each not in new], [each for each in new if each not in old]


def _facts(edge: EdgeSide | None) -> Mapping[str, tuple[str, ...]]:
    if edge is None:
        return {}
    counts = {"budget": edge.budget, "series expected": edge.estimate}
    counted = {name: (f"{count}",) for name, count in counts.items() if count is not None}
    return {**edge.facts, **counted, "generation of its key": (str(edge.generation),)}


@dataclass(frozen=True, slots=True)
class Difference:
    before: Description
    after: Description
    clusters: Sequence[ClusterChange]
    """Of both sides, in the head's order, those that are gone last."""
    edges: Sequence[EdgeChange]
    """Changed ones alone."""

    @property
    def changed(self) -> list[ClusterChange]:
        return [each for each in self.clusters if each.is_changed]


def difference(
    before: Description,
    after: Description,
    states: Mapping[str, tuple[ClusterState | None, ClusterState | None]],
) -> Difference:
    """`states` are both sides of each cluster, None where it has only one."""
    ids = {**after.edges, **before.edges}
    both = [EdgeChange(each, before.edges.get(each), after.edges.get(each)) for each in ids]
    edges = [each for each in both if each.before != each.after]
    told = [each.side for each in edges if each.is_decided_anew]
    ends = {end for side in told for end in (side.lower, side.upper)}
    if before.keys is not None and after.keys is not None and before.keys.authority != after.keys.authority:
        ends = {*states}
    return Difference(
        before,
        after,
        [ClusterChange(name, old, new, _object_changes(old, new), name in ends) for name, (old, new) in states.items()],
        edges,
    )


def _object_changes(before: ClusterState | None, after: ClusterState | None) -> list[ObjectChange]:
    old, new = _all(before), _all(after)
    return [
        ObjectChange(name, old.get(name), new.get(name))
        for name in sorted({*old, *new}, key=lambda name: (name != VALUES, name))
        if old.get(name) != new.get(name)
    ]


def _all(state: ClusterState | None) -> Objects:
    return {VALUES: state.side.values, **state.objects} if state is not None else {}


def named(objects: Sequence[Object], namespace: str) -> Objects:
    return {ObjectName.of(each, namespace): each for each in objects}
