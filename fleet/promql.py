"""What can be read off a PromQL expression without evaluating it."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain

import promql_parser
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    BinModifier,
    Call,
    Expr,
    LabelModifierType,
    MatchOp,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorMatchCardinality,
    VectorSelector,
)

Labels = frozenset[str]


def metric_names(expr: Expr) -> Iterator[str]:
    return (selector.name for selector in _selectors(expr) if selector.name is not None)


def _selectors(expr: Expr) -> Iterator[VectorSelector]:
    match expr:
        case VectorSelector():
            yield expr
        case MatrixSelector():
            yield from _selectors(expr.vector_selector)
        case BinaryExpr():
            yield from _selectors(expr.lhs)
            yield from _selectors(expr.rhs)
        case Call():
            for argument in expr.args:
                yield from _selectors(argument)
        case AggregateExpr() | ParenExpr() | SubqueryExpr() | UnaryExpr():
            yield from _selectors(expr.expr)
        case _:
            return


def values_named(expr: Expr, label: str) -> int | None:
    """How many values of `label` the result of `expr` may have; None where a selector leaves them open."""
    named = _named(expr, label)
    if named is None:
        return None
    covered = {each for each in named.values if any(re.fullmatch(pattern, each) for pattern in named.patterns)}
    return len(named.patterns) + len(named.values - covered)


@dataclass(frozen=True, slots=True)
class _Named:
    values: frozenset[str] = frozenset()
    patterns: frozenset[str] = frozenset()


def _named(expr: Expr, label: str) -> _Named | None:
    match expr:
        case VectorSelector() | MatrixSelector():
            return _named_by(expr.vector_selector if isinstance(expr, MatrixSelector) else expr, label)
        case Call() if (value := _replaced(expr, label)) is not None:
            return _Named(values=frozenset({value}))
        case BinaryExpr():
            sides = [_named(side, label) for side in (expr.lhs, expr.rhs) if not _is_scalar(side)]
        case Call():
            sides = [_named(each, label) for each in expr.args if not isinstance(each, NumberLiteral | StringLiteral)]
        case AggregateExpr() | ParenExpr() | SubqueryExpr() | UnaryExpr():
            return _named(expr.expr, label)
        case _:
            return None
    known = [side for side in sides if side is not None]
    if not known or len(known) < len(sides):
        return None
    return _Named(
        frozenset(chain.from_iterable(each.values for each in known)),
        frozenset(chain.from_iterable(each.patterns for each in known)),
    )


def _replaced(call: Call, label: str) -> str | None:
    """What a `label_replace` writes into `label`, if that is always the same."""
    if call.func.name != "label_replace":
        return None
    written, value = (str(each.val) for each in call.args[1:3] if isinstance(each, StringLiteral))
    return value if written == label and "$" not in value else None


def _named_by(selector: VectorSelector, label: str) -> _Named | None:
    found = [
        _Named(values=frozenset({matcher.value}))
        if matcher.op == MatchOp.Equal
        else _Named(patterns=frozenset(matcher.value.split("|")))
        for matcher in selector.matchers.matchers
        if matcher.name == label
        and (matcher.op == MatchOp.Equal or (matcher.op == MatchOp.Re and not set(matcher.value) & set("*\\")))
    ]
    return min(found, key=lambda each: len(each.values) + len(each.patterns), default=None)


def result_labels(expr: Expr) -> Labels | None:
    """The labels that every series of the result has at most; None where its inputs' labels decide."""
    match expr:
        case AggregateExpr():
            return _of_aggregate(expr)
        case BinaryExpr():
            return _of_binary(expr)
        case Call():
            return _of_call(expr)
        case ParenExpr() | SubqueryExpr() | UnaryExpr():
            return result_labels(expr.expr)
        case _:
            return None


_SELECTING = {"topk", "bottomk", "limitk", "limit_ratio"}
_LABELLESS = {"absent", "absent_over_time", "scalar", "vector", "time", "pi"}


def _of_aggregate(expr: AggregateExpr) -> Labels | None:
    if str(expr.op) in _SELECTING:
        return result_labels(expr.expr)
    if expr.modifier is None:
        return frozenset()
    named = frozenset(expr.modifier.labels)
    if expr.modifier.type == AggModifierType.By:
        return named
    within = result_labels(expr.expr)
    return within - named if within is not None else None


def _of_binary(expr: BinaryExpr) -> Labels | None:
    if _is_scalar(expr.lhs) or _is_scalar(expr.rhs):
        return result_labels(expr.rhs if _is_scalar(expr.lhs) else expr.lhs)
    left, right = result_labels(expr.lhs), result_labels(expr.rhs)
    if str(expr.op) == "or":
        # Sides that differ make series that differ; only what both have is on all of them.
        return left & right if left is not None and right is not None else None
    if str(expr.op) in {"and", "unless"} or expr.modifier is None:
        return left
    return _of_matching(expr.modifier, left, right)


def _of_matching(modifier: BinModifier, left: Labels | None, right: Labels | None) -> Labels | None:
    is_left_many = modifier.card == VectorMatchCardinality.ManyToOne
    if is_left_many or modifier.card == VectorMatchCardinality.OneToMany:
        many = left if is_left_many else right
        return many | frozenset(modifier.group_labels or ()) if many is not None else None
    if modifier.matching is None:
        return left
    named = frozenset(modifier.matching.labels)
    if modifier.matching.type == LabelModifierType.Include:
        return named
    return left - named if left is not None else None


def _of_call(expr: Call) -> Labels | None:
    if expr.func.name in _LABELLESS:
        return frozenset()
    vectors = [argument for argument in expr.args if not isinstance(argument, NumberLiteral | StringLiteral)]
    within = result_labels(vectors[0]) if vectors else frozenset[str]()
    if within is None:
        return None
    texts = [argument.val for argument in expr.args if isinstance(argument, StringLiteral)]
    match expr.func.name:
        case "label_replace" | "label_join":
            return within | {texts[0]}
        case "histogram_quantile" | "histogram_fraction":
            return within - {"le"}
        case _:
            return within


def _is_scalar(expr: Expr) -> bool:
    if isinstance(expr, ParenExpr | UnaryExpr):
        return _is_scalar(expr.expr)
    return isinstance(expr, NumberLiteral) or (isinstance(expr, Call) and expr.func.name in {"scalar", "time", "pi"})


@dataclass(frozen=True, slots=True)
class Selector:
    """A series selector such as `match[]` takes; regular expressions are Prometheus's, anchored at both ends."""

    equal: tuple[str, ...]
    patterns: tuple[str, ...]
    excluded: tuple[re.Pattern[str], ...]

    @staticmethod
    @cache
    def parse(text: str) -> "Selector":
        """Raises ValueError with what is wrong with `text`."""
        try:
            expr = promql_parser.parse(text)
        except ValueError as error:
            if "at least one non-empty matcher" in str(error):
                raise ValueError("matches everything") from None
            raise ValueError(f"does not parse: {error}") from None
        if not isinstance(expr, VectorSelector) or expr.offset is not None or expr.at is not None:
            raise ValueError("is no plain selector: /federate evaluates nothing")
        if expr.matchers.or_matchers:
            raise ValueError("has `or` between its labels, which /federate does not take")
        named = [matcher for matcher in expr.matchers.matchers if matcher.name == "__name__"]
        equal = [matcher.value for matcher in named if matcher.op == MatchOp.Equal]
        patterns = [matcher.value for matcher in named if matcher.op == MatchOp.Re]
        excluded = [re.escape(matcher.value) for matcher in named if matcher.op == MatchOp.NotEqual]
        excluded += [matcher.value for matcher in named if matcher.op == MatchOp.NotRe]
        if expr.name is not None:
            equal.append(expr.name)
        for pattern in (*patterns, *excluded):
            _compile(pattern)
        return Selector(tuple(equal), tuple(patterns), tuple(map(_compile, excluded)))

    @property
    def names_metrics(self) -> bool:
        return bool(self.equal or self.patterns)

    def selects(self, name: str) -> bool:
        """Whether a metric of this name can be among the series."""
        return (
            all(each == name for each in self.equal)
            and all(_compile(pattern).fullmatch(name) for pattern in self.patterns)
            and not any(pattern.fullmatch(name) for pattern in self.excluded)
        )

    def selected(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self.selects(name)]

    @property
    def branches(self) -> tuple[str, ...]:
        """The alternatives for the metric's name: literal ones and patterns."""
        return (*self.equal, *(branch for pattern in self.patterns for branch in _alternatives(pattern)))


def is_literal(branch: str) -> bool:
    return re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", branch) is not None


def _alternatives(pattern: str) -> list[str]:
    bare = pattern.removeprefix("(?:").removeprefix("(").removesuffix(")") if pattern.startswith("(") else pattern
    return bare.split("|") if not set(bare) & set("()[\\") else [pattern]


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"has a regular expression that cannot be judged ({error}): name the metrics") from None


def by_name(names: Iterable[str], expr: Callable[[str], str]) -> str:
    """What `expr` says of each name, told apart by a label `of`.

    Functions drop the name, and series that differ in it alone would be one: Prometheus refuses the query then.
    """
    return " or ".join(f'label_replace({expr(name)}, "of", "{name}", "", "")' for name in dict.fromkeys(names))
