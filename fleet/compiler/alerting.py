"""Alerts that would call people for nothing."""

from collections.abc import Iterator

from fleet.duration import format_duration
from fleet.errors import Problem, at
from fleet.page import Page


def alerting_problems(page: Page) -> Iterator[Problem]:
    interval = page.intervals.federation.global_
    if page.alerting.after <= interval:
        message = f"is not longer than intervals.federation.global of {format_duration(interval)}"
        right = format_duration(3 * interval)
        yield at(["alerting", "after"], f"{message}: one scrape that fails would be an alert", right)
    seen: dict[frozenset[str], int] = {}
    for number, route in enumerate(page.alerting.routes):
        first = seen.setdefault(frozenset(route.matchers), number)
        if first != number:
            message = f"has no effect: alerting.routes.{first} has the same matchers, and the first one decides"
            yield at(["alerting", "routes", number], message)
