"""Kinds of text that a page may hold, each with a message that says what would do."""

import re
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

import promql_parser
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from fleet.pem import certificates

_NAME = r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?"
_VALUE = r"[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_HOST = r"[a-zA-Z0-9]([-.a-zA-Z0-9]{0,251}[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\]"
_PORT = r"[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?"
_KEY = r"[-._a-zA-Z0-9]{1,253}"
_STACK = r"[a-zA-Z0-9_]([-._a-zA-Z0-9]{0,99})?"
_LABEL = r"[a-zA-Z_][a-zA-Z0-9_]*"
_RECORD = r"[a-z][a-z0-9_]*:[a-z0-9]+"
_RECORDED = "what this tier records: its name has its level first, as in"
_METRIC = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_TENANT = r"(?!\.\.?$)[a-zA-Z0-9!_.*'()-]{1,150}"
_UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

_GO_TIME = re.compile(r"^(\d{4}-\d\d-\d\d \S+) ([+-]\d{4}) \S+$")

RESERVED_LABELS = frozenset(
    {
        *("cluster", "region", "datacenter", "environment", "level"),
        *("job", "instance", "prometheus", "prometheus_replica", "le", "quantile"),
    }
)
"""Labels whose meaning the fleet or Prometheus itself decides."""


def _matching(pattern: str, what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            msg = f"{text!r} is not {what}"
            raise ValueError(msg)
        return text

    return AfterValidator(check)


def _unspoken(pattern: str, what: str) -> AfterValidator:
    """Does not repeat the text: a secret itself often stands where its name should."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            msg = f"this is not {what}"
            raise ValueError(msg)
        return text

    return AfterValidator(check)


def _one_or_many(given: object) -> object:
    return [given] if isinstance(given, str) else given


def _own_label(name: str) -> str:
    if name in RESERVED_LABELS or name.startswith("__"):
        msg = f"label {name} is reserved: the fleet decides it"
        raise ValueError(msg)
    return name


def _metric_but_not_up(name: str) -> str:
    if name == "up":
        msg = "up must not travel under its own name: above, it would say that the parent's own targets are down"
        raise ValueError(msg)
    return name


def _moment(given: object) -> datetime:
    """YAML makes a datetime of a time without quotes, and Pulumi writes that one on as Go does: `… +0000 UTC`."""
    try:
        moment = datetime.fromisoformat(_GO_TIME.sub(r"\1\2", given)) if isinstance(given, str) else given
    except ValueError:
        moment = None
    if not isinstance(moment, datetime):
        msg = f"{given} is not a time such as 2026-12-01T06:00:00Z"
        raise ValueError(msg)  # noqa: TRY004 (pydantic takes no TypeError)
    if moment.tzinfo is None:
        msg = f"{given} has no timezone: with Z at its end it is in UTC"
        raise ValueError(msg)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        msg = f"{given} is out of all time"
        raise ValueError(msg) from None


def _blocks(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_block, texts))


def _block(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        pass
    try:
        meant = f"; did you mean {ip_network(text, strict=False)}?"
    except ValueError:
        meant = ", as 192.0.2.0/24 is one"
    msg = f"{text!r} is not a block of addresses{meant}"
    raise ValueError(msg)


def _pem(text: str) -> str:
    try:
        found = certificates(text)
    except ValueError:
        found = []
    if not found:
        # Does not repeat the text: a key may stand here by mistake.
        msg = "these are not certificates in PEM form, which begin with -----BEGIN CERTIFICATE-----"
        raise ValueError(msg)
    return "".join(found)


def _url(text: str) -> str:
    url = urlsplit(text)
    # Reading the port refuses one that is none.
    if url.scheme not in {"http", "https"} or not url.hostname or url.port == 0:
        msg = "not an http:// or https:// URL"
        raise ValueError(msg)
    return text


def _metric_pattern(text: str) -> str:
    try:
        # The same syntax: Prometheus anchors it at both ends.
        promql_parser.parse(f'{{__name__=~"{text}"}}')
        re.compile(text)
    except (ValueError, re.error):
        msg = f"{text!r} is neither the name of a metric nor a pattern of names, as region:.+ is one"
        raise ValueError(msg) from None
    return text


def _matcher(text: str) -> str:
    fitting = re.fullmatch(rf"({_LABEL})(=~|!~|!=|=)\"((?:[^\"\\]|\\.)*)\"", text)
    if fitting is None:
        msg = f'{text!r} is not a matcher as severity="critical" or team=~"shop|payments" is one'
        raise ValueError(msg)
    try:
        # The same syntax, and the same kind of patterns.
        promql_parser.parse(f"x{{{text}}}")
    except ValueError:
        msg = f"{text!r} is not a matcher: its pattern is not one that Prometheus and Alertmanager read"
        raise ValueError(msg) from None
    return text


Name = Annotated[
    str,
    _matching(_NAME, "a name: lower-case letters, digits and - inside, at most 53"),
    Field(json_schema_extra={"pattern": f"^{_NAME}$"}),
]
Names = Annotated[
    tuple[Name, ...],
    BeforeValidator(_one_or_many),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
StackName = Annotated[str, _matching(_STACK, "a stack's name: letters, digits and ._- inside, at most 100")]
# Prometheus expands `$` where a value is asserted by relabelling; these need no escape anywhere.
LabelValue = Annotated[str, _matching(_VALUE, "a label value: letters, digits and ._- inside, at most 63")]
Host = Annotated[str, _matching(_HOST, "a host alone, without scheme, port or path")]
PortName = Annotated[
    str, _matching(_PORT, "the name of a Service's port: lower-case letters, digits and - inside, at most 15")
]
LabelName = Annotated[str, _matching(_LABEL, "a label name: letters, digits and _"), AfterValidator(_own_label)]
MetricName = Annotated[
    str, _matching(_METRIC, "a metric name: letters, digits, _ and :"), AfterValidator(_metric_but_not_up)
]
ClusterRecord = Annotated[str, _matching(rf"cluster:{_RECORD}", f"{_RECORDED} cluster:carts:sum")]
RegionRecord = Annotated[str, _matching(rf"region:{_RECORD}", f"{_RECORDED} region:carts:sum")]
GlobalRecord = Annotated[str, _matching(rf"global:{_RECORD}", f"{_RECORDED} global:carts:sum")]
SecretName = Annotated[str, _unspoken(_NAME, "the name of a Secret: lower-case letters, digits and -")]
SecretKey = Annotated[str, _unspoken(_KEY, "a key of a Secret: letters, digits, -, _ and .")]
Pem = Annotated[str, AfterValidator(_pem), Field(examples=["-----BEGIN CERTIFICATE-----\n…"])]
"""Certificates alone: what else stood there is left out."""
MetricPatterns = Annotated[
    tuple[Annotated[str, Field(min_length=1), AfterValidator(_metric_pattern)], ...],
    BeforeValidator(_one_or_many),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""Names, or regular expressions of names."""
Tenant = Annotated[str, _matching(_TENANT, "a tenant: letters, digits and !-_.*'() inside, at most 150")]
Uuid = Annotated[str, _matching(_UUID, "a UUID such as 00000000-0000-0000-0000-000000000000")]
Matcher = Annotated[str, AfterValidator(_matcher)]
"""Of an alert's label, as Alertmanager and PromQL write it."""
Url = Annotated[str, AfterValidator(_url), Field(json_schema_extra={"format": "uri"})]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
"""In UTC."""
# An empty list would say the opposite of what it seems to: in a NetworkPolicy it stands for everywhere.
Blocks = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_blocks)]
