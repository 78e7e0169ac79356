"""The few kinds of panel that the fleet's dashboards are made of, alike in all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    TableSortByFieldState,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import (
    CustomVariable,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import Dashboard as DashboardModel
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableOption,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.units import BytesIEC, PercentUnit, RequestsPerSecond, Seconds, Short

from fleet.names import PROJECT

Panel = Stat | Table | TimeSeries

CORES = "suffix: cores"
BYTES = BytesIEC
REQUESTS_PER_SECOND = RequestsPerSecond
SAMPLES_PER_SECOND = "suffix: samples/s"
RATIO = PercentUnit
SECONDS = Seconds
COUNT = Short
PER_SECOND = "suffix: /s"

_GRID = 24
_PLAIN, _GREEN, _ORANGE, _RED = "text", "green", "orange", "red"
_DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""Whoever looks chooses; the one that Grafana has as its default comes first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a value is worth a look, and from where on it is bad."""

    warn: float | None
    bad: float

    @property
    def config(self) -> ThresholdsConfig:
        warn = [Threshold(value=self.warn, color=_ORANGE)] if self.warn is not None else []
        return _steps(Threshold(value=None, color=_GREEN), *warn, Threshold(value=self.bad, color=_RED))


Words = Mapping[float, tuple[str, bool]]
"""What stands for a number: (word, whether it is good)."""


@dataclass(frozen=True, slots=True)
class Column:
    """One number of each row of a table."""

    title: str
    expr: str
    unit: str
    limits: Limits | None = None
    words: Words | None = None

    @property
    def properties(self) -> list[DynamicConfigValue]:
        found = [DynamicConfigValue("unit", self.unit)]
        if self.limits is not None:
            found.append(DynamicConfigValue("thresholds", self.limits.config.build()))
        if self.words:
            found.append(DynamicConfigValue("mappings", [_value_map(self.words)]))
        if self.limits is not None or self.words:
            found.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        return found


def number(
    title: str,
    description: str,
    expr: str,
    unit: str,
    *,
    limits: Limits | None = None,
    words: Words | None = None,
    link: tuple[str, str] | None = None,
) -> Stat:
    """One number, coloured where it has limits or words; `link` is a title and a URL."""
    stat = Stat().title(title).description(description).unit(unit).height(4).no_value("no data").datasource(_DATASOURCE)
    stat = stat.graph_mode(BigValueGraphMode.NONE).reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    stat = stat.color_mode(BigValueColorMode.VALUE if limits or words else BigValueColorMode.NONE)
    stat = stat.thresholds(limits.config if limits is not None else _no_limits())
    if words:
        stat = stat.mappings([_value_map(words)])
    if link is not None:
        stat = stat.links([DashboardLink(link[0]).type(DashboardLinkType.LINK).url(link[1])])
    return stat.with_target(_query(expr).instant())


def lines(title: str, description: str, expr: str, unit: str, legend: str) -> TimeSeries:
    """Few lines over time; `legend` as Prometheus's data source takes it, such as `{{cluster}}`."""
    drawn = TimeSeries().title(title).description(description).unit(unit).height(8).min(0).datasource(_DATASOURCE)
    return (
        drawn.line_width(1)
        .fill_opacity(0)
        .show_points(VisibilityMode.NEVER)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .with_target(_query(expr).range().legend_format(legend))
    )


def table(
    title: str,
    description: str,
    labels: Mapping[str, str],
    columns: Sequence[Column],
    sort: str,
    *,
    descending: bool = True,
    links: Mapping[str, str] | None = None,
) -> Table:
    """A row for each set of `labels` (their headings by name); `links` leads from a heading's cells to a URL."""
    refs = [chr(ord("A") + number) for number in range(len(columns))]
    headings = {**labels, **{f"Value #{ref}": column.title for ref, column in zip(refs, columns, strict=True)}}
    panel = Table().title(title).description(description).unit(COUNT).height(10).span(_GRID).datasource(_DATASOURCE)
    panel = panel.thresholds(_no_limits())
    for ref, column in zip(refs, columns, strict=True):
        panel = panel.with_target(_query(column.expr).instant().format(PromQueryFormat.TABLE).ref_id(ref))
        panel = panel.override_by_name(column.title, column.properties)
    for heading, url in (links or {}).items():
        link = DynamicConfigValue("links", [{"title": heading, "url": url}])
        panel = panel.override_by_name(heading, [link])
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {name: number for number, name in enumerate(headings)},
        "renameByName": headings,
    }
    return (
        panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(DataTransformerConfig(id_val="organize", options=organize))
        .sort_by([TableSortByFieldState().display_name(sort).desc(descending)])
    )


def in_a_row(*panels: Panel) -> list[Panel]:
    """Side by side, over the whole width."""
    width = _GRID // len(panels)
    for panel in panels[:-1]:
        panel.span(width)
    panels[-1].span(_GRID - width * (len(panels) - 1))
    return [*panels]


def variable(name: str, values: Sequence[str]) -> CustomVariable:
    """A choice of one among what the plan has, whether or not it reports."""
    first = VariableOption(selected=True, text=values[0], value=values[0])
    return CustomVariable(name).label(name.capitalize()).values(",".join(values)).current(first)


def url(uid: str, name: str, value: str) -> str:
    """Of a dashboard with a variable set, the data source and the time range as they are."""
    return f"/d/{uid}?${{datasource:queryparam}}&var-{name}={value}&${{__url_time_range}}"


def assemble(
    uid: str, title: str, description: str, panels: Sequence[Panel], variables: Sequence[CustomVariable] = ()
) -> DashboardModel:
    dashboard = Dashboard(title).uid(uid).description(description).tags([PROJECT]).timezone("browser")
    dashboard = dashboard.time("now-3h", "now").refresh("1m").tooltip(DashboardCursorSync.CROSSHAIR).readonly()
    others = DashboardLink("Fleet").type(DashboardLinkType.DASHBOARDS).tags([PROJECT])
    dashboard = dashboard.link(others.include_vars(include_vars=True).keep_time(keep_time=True))
    dashboard = dashboard.with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for each in variables:
        dashboard = dashboard.with_variable(each)
    for number, panel in enumerate(panels, start=1):
        dashboard = dashboard.with_panel(panel.id(number))
    return dashboard.build()


def _steps(*steps: Threshold) -> ThresholdsConfig:
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([*steps])


def _no_limits() -> ThresholdsConfig:
    """Grafana's own default turns red at 80, whatever is measured."""
    return _steps(Threshold(value=None, color=_PLAIN))


def _value_map(words: Words) -> ValueMap:
    return ValueMap(
        {
            f"{value:g}": ValueMappingResult(text=word, color=_GREEN if is_good else _RED)
            for value, (word, is_good) in words.items()
        }
    )


def _query(expr: str) -> Dataquery:
    return Dataquery().expr(expr).datasource(_DATASOURCE).ref_id("A")
