"""Alerts that would call people for nothing, and silence that would call nobody."""

from collections.abc import Iterator, Sequence

from fleet.duration import format_duration
from fleet.errors import Problem, at, dotted
from fleet.page import Alertmanager, Page

_PRODUCTION = {"production", "prod"}
"""What clusters on whose alerts somebody relies call their environment."""


def alerting_problems(page: Page) -> Iterator[Problem]:
    in_production = [name for name, each in page.clusters.items() if (each.environment or "").lower() in _PRODUCTION]
    if in_production and page.alerting.dead_mans_switch is None:
        name = in_production[0]
        message = (
            f"is missing, and {name} has environment {page.clusters[name].environment}: were the global cluster gone"
        )
        right = {"config": "dead-mans-switch"}
        yield at(["alerting", "deadMansSwitch"], f"{message}, nobody would hear of it", right)
    interval = page.intervals.federation.global_
    if page.alerting.after <= interval:
        message = f"is not longer than intervals.federation.global of {format_duration(interval)}"
        right = format_duration(3 * interval)
        yield at(["alerting", "after"], f"{message}: one scrape that fails would be an alert", right)
    yield from _repeated(["alerting"], page.alerting)
    for name, cluster in page.clusters.items():
        if cluster.alertmanager is not None:
            yield from _repeated(["clusters", name, "alertmanager"], cluster.alertmanager)


def _repeated(path: Sequence[str], found: Alertmanager) -> Iterator[Problem]:
    seen: dict[frozenset[str], int] = {}
    for number, route in enumerate(found.routes):
        first = seen.setdefault(frozenset(route.matchers), number)
        if first != number:
            earlier = dotted([*path, "routes", first])
            message = f"has no effect: {earlier} has the same matchers, and the first one decides"
            yield at([*path, "routes", number], message)
