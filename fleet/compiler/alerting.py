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
