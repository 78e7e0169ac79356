"""What is wrong with a PromQL expression, as far as that can be told without a single sample.

The names that it reads, and what its result must keep, depend on where it is evaluated: whoever asks knows that.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

import promql_parser
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatchOp,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

from fleet.duration import format_duration
from fleet.promql import Labels, result_labels

SCRAPES_PER_WINDOW = 4
"""One scrape may be late and one may fail, and a rate still has the two samples that it needs."""

_OF_COUNTERS = {"rate", "irate", "increase"}
_OF_GAUGES = {"delta", "idelta", "deriv", "predict_linear", "double_exponential_smoothing"}
_CHOOSING = {"or", "and", "unless", "==", "!=", "<", "<=", ">", ">="}
# Of a histogram or a summary, these are counters; OpenMetrics describes a counter by its name without `_total`.
_COUNTED = ("_total", "_bucket", "_count", "_sum")


def problems(
    expr: str, scrape_interval: timedelta, *, keeps: Labels = frozenset(), kinds: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Each mistake in a few words.

    `keeps` are labels that the result must have; `kinds` the types of metrics, as `/api/v1/metadata` has them.
    """
    try:
        parsed = promql_parser.parse(expr)
    except ValueError as error:
        yield f"does not parse: {error}"
        return
    labels = result_labels(parsed)
    for label in sorted(keeps - labels if labels is not None else ()):
        yield f"drops the label {label}"
    for part in parts(parsed):
        match part:
            case Call():
                yield from _of_call(part, scrape_interval, kinds or {})
            case AggregateExpr() if str(part.op) == "sum":
                yield from _of_sum(part)
            case _:
                pass


def parts(expr: Expr) -> Iterator[Expr]:
    """`expr` and all that it is made of."""
    yield expr
    match expr:
        case MatrixSelector():
            yield from parts(expr.vector_selector)
        case BinaryExpr():
            yield from parts(expr.lhs)
            yield from parts(expr.rhs)
        case Call():
            for argument in expr.args:
                yield from parts(argument)
        case AggregateExpr() | ParenExpr() | SubqueryExpr() | UnaryExpr():
            yield from parts(expr.expr)
        case _:
            return


def name_branches(selector: VectorSelector) -> tuple[str, ...]:
    """The names that a selector asks for, patterns among them; none where it takes every name."""
    if selector.name is not None:
        return (selector.name,)
    asked = [each for each in selector.matchers.matchers if each.name == "__name__"]
    wanted = [each.value for each in asked if each.op in (MatchOp.Equal, MatchOp.Re)]
    return tuple(branch for value in wanted for branch in _branches(value))


def _branches(pattern: str) -> list[str]:
    """Of `a|b`; one with brackets stays whole."""
    return [pattern] if "(" in pattern else pattern.split("|")


def kind(name: str, kinds: Mapping[str, str]) -> str | None:
    """`counter`, `gauge` and so on; None where nothing is known of it."""
    if name in kinds:
        return kinds[name]
    for suffix in _COUNTED:
        family = kinds.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if family in {"counter", "histogram", "summary"}:
            return "counter"
    return None


def _of_call(call: Call, scrape_interval: timedelta, kinds: Mapping[str, str]) -> Iterator[str]:
    function = call.func.name
    if function in _OF_COUNTERS and isinstance(call.args[0], SubqueryExpr):
        yield f"takes the {function} of what is computed already: resets of its counters are not seen any more"
    ranges = [each for each in call.args if isinstance(each, MatrixSelector)]
    for each in ranges:
        for name in name_branches(each.vector_selector):
            yield from _of_range(function, name, each.range, scrape_interval, kinds)


def _of_range(
    function: str, name: str, window: timedelta, scrape_interval: timedelta, kinds: Mapping[str, str]
) -> Iterator[str]:
    found = kind(name, kinds)
    if function in _OF_COUNTERS and ":" in name:
        yield f"takes the {function} of {name}, which is recorded: it is no counter any more"
    elif function in _OF_COUNTERS and found == "gauge":
        yield f"takes the {function} of {name}, which is a gauge: use delta or deriv"
    elif function in _OF_GAUGES and found == "counter":
        yield f"takes the {function} of {name}, which is a counter: use rate or increase"
    if function in _OF_COUNTERS and window < (least := SCRAPES_PER_WINDOW * scrape_interval):
        yield (
            f"takes the {function} of {name} over {format_duration(window)}, which is less than "
            f"{SCRAPES_PER_WINDOW} scrape intervals: {format_duration(least)}"
        )


def _of_sum(aggregate: AggregateExpr) -> Iterator[str]:
    for average in _averages(aggregate.expr):
        yield f"sums up {average}, an average: sum what it was made of"


def _averages(expr: Expr) -> Iterator[str]:
    """What of the values of `expr` is an average; arithmetic may have weighted one."""
    match expr:
        case VectorSelector():
            yield from (name for name in name_branches(expr) if re.search(r":(avg|ratio)$", name))
        case AggregateExpr() if str(expr.op) == "avg":
            yield "avg"
        case AggregateExpr() | ParenExpr() | SubqueryExpr() | UnaryExpr():
            yield from _averages(expr.expr) if not _counts(expr) else ()
        case BinaryExpr() if str(expr.op) in _CHOOSING:
            yield from _averages(expr.lhs)
            yield from _averages(expr.rhs) if str(expr.op) == "or" else ()
        case Call() if expr.args and expr.func.name in {
            "label_replace",
            "label_join",
            "max_over_time",
            "min_over_time",
        }:
            yield from _averages(expr.args[0])
        case MatrixSelector():
            yield from _averages(expr.vector_selector)
        case _:
            return


def _counts(expr: Expr) -> bool:
    return isinstance(expr, AggregateExpr) and str(expr.op) in {"count", "group", "count_values"}
