"""Both sides of each cluster with what the chart makes of its values, where these differ."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet.review.charts import Chart, MissingChartError, RenderError, find_chart, rendered
from fleet.review.description import ChartRef, ClusterSide, Object
from fleet.review.differences import ClusterState, named
from fleet.review.markdown import code, prose
from fleet.review.sides import Side

Pair = tuple[ClusterState | None, ClusterState | None]


@dataclass(slots=True)
class Rendered:
    clusters: dict[str, Pair] = field(default_factory=dict[str, Pair])
    """Before and after, in the head's order, those that are gone last."""
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Clusters whose new values the chart refuses, and why."""
    notes: dict[str, None] = field(default_factory=dict[str, None])
    """Why something is not rendered, in Markdown."""


async def render_changed(before: Side, after: Side) -> Rendered:
    """Clusters of equal values and chart are passed over: the chart makes the same of the same."""
    found = Rendered()
    names = [*{**after.description.clusters, **before.description.clusters}]
    needed = [name for name in names if _may_differ(before, after, name)]
    # A chart that is built in the work tree is in no commit.
    old = await _charts(before, needed, [before.root, after.root], found)
    new = await _charts(after, needed, [after.root], found)
    slots = asyncio.Semaphore(os.cpu_count() or 1)
    pairs = await asyncio.gather(
        *(
            _pair(
                name,
                _State.of(before.description.clusters.get(name), old),
                _State.of(after.description.clusters.get(name), new),
                slots,
                found,
            )
            for name in names
        )
    )
    found.clusters.update(zip(names, pairs, strict=True))
    found.refused.sort(key=lambda each: names.index(each[0]))
    return found


Charts = Mapping[ChartRef, Chart | None]


def _may_differ(before: Side, after: Side, name: str) -> bool:
    old, new = before.description.clusters.get(name), after.description.clusters.get(name)
    if old is None or new is None or not new.chart.is_pinned:
        return True
    return (old.values, old.namespace, old.chart) != (new.values, new.namespace, new.chart)


async def _charts(side: Side, needed: Sequence[str], roots: Sequence[Path], found: Rendered) -> Charts:
    """Of the clusters that need one: no registry is asked for what nobody looks at."""
    clusters = side.description.clusters
    charts: dict[ChartRef, Chart | None] = {}
    for ref in dict.fromkeys(clusters[name].chart for name in needed if name in clusters):
        try:
            charts[ref] = await find_chart(ref, roots)
        except MissingChartError as error:
            charts[ref] = None
            found.notes[f"What the chart makes is not compared, only its values: {prose(str(error))}."] = None
    return charts


@dataclass(frozen=True, slots=True)
class _State:
    side: ClusterSide
    chart: Chart | None

    @classmethod
    def of(cls, side: ClusterSide | None, charts: Charts) -> "_State | None":
        return cls(side, charts.get(side.chart)) if side is not None else None

    @property
    def input(self) -> tuple[object, ...]:
        """All that the chart's objects follow from."""
        return self.side.values, self.side.namespace, self.chart.digest if self.chart is not None else None

    def rendered(self, made: Sequence[Object] | None) -> ClusterState:
        objects = [*self.side.objects, *(made or ())]
        return ClusterState(self.side, self.chart, named(objects, self.side.namespace), made is not None)


async def _pair(
    name: str, before: _State | None, after: _State | None, slots: asyncio.Semaphore, found: Rendered
) -> Pair:
    made: list[Sequence[Object] | None] = [None, None]
    if before is None or after is None or before.input != after.input:
        made = list(
            await asyncio.gather(
                _made(name, before, slots, found, is_new=False), _made(name, after, slots, found, is_new=True)
            )
        )
    # What is rendered on one side alone would all seem to be new, or gone.
    if any(state is not None and of is None for state, of in zip((before, after), made, strict=True)):
        made = [None, None]
    old = before.rendered(made[0]) if before is not None else None
    new = after.rendered(made[1]) if after is not None else None
    return old, new


async def _made(
    name: str, state: _State | None, slots: asyncio.Semaphore, found: Rendered, *, is_new: bool
) -> Sequence[Object] | None:
    if state is None or state.chart is None:
        return None
    try:
        return await rendered(state.chart, state.side, slots)
    except RenderError as error:
        if is_new:
            found.refused.append((name, str(error)))
        else:
            found.notes[f"The base's values of {code(name)} do not render, so its objects are not compared."] = None
    except MissingChartError as error:
        found.notes[f"What the chart makes is not compared, only its values: {prose(str(error))}."] = None
    return None
