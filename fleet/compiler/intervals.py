"""How often: each level slower than the one below, and no scrape longer than its interval."""

from collections.abc import Iterator
from datetime import timedelta

from fleet.duration import format_duration
from fleet.errors import Problem, at
from fleet.page import Intervals


def interval_problems(intervals: Intervals) -> Iterator[Problem]:
    federation = intervals.federation
    if intervals.timeout is not None and intervals.timeout > intervals.scrape:
        yield _problem(("timeout",), "is above", "scrape", intervals.scrape, intervals.scrape)
    for level, interval in (("regional", federation.regional), ("global", federation.global_)):
        yield from _level_problems(intervals, level, interval)
    if federation.global_ < federation.regional:
        where = ("federation", "global")
        yield _problem(where, "is shorter than", "federation.regional", federation.regional, federation.regional)


def _level_problems(intervals: Intervals, level: str, interval: timedelta) -> Iterator[Problem]:
    where, floor = ("federation", level), intervals.federation.floor
    timeout = intervals.federation.timeout
    if interval < floor:
        yield _problem(where, "is below", "federation.floor", floor, floor)
    for name, own in (("scrape", intervals.scrape), ("rules", intervals.rules)):
        if interval <= own:
            message = "is not longer than the child's own"
            yield _problem(where, message, name, own, max(2 * own, floor))
    if timeout is not None and timeout > interval:
        yield _problem(("federation", "timeout"), "is above", f"federation.{level}", interval, interval)


def _problem(where: tuple[str, ...], message: str, other: str, value: timedelta, right: timedelta) -> Problem:
    against = f"intervals.{other} of {format_duration(value)}"
    return at(["intervals", *where], f"{message} {against}", format_duration(right))
