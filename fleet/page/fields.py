"""Kinds of text that a page may hold, each with a message that says what would do."""

import re
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

_NAME = r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?"
_VALUE = r"[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_HOST = r"[a-zA-Z0-9]([-.a-zA-Z0-9]{0,251}[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\]"
_KEY = r"[-._a-zA-Z0-9]{1,253}"
_LABEL = r"[a-zA-Z_][a-zA-Z0-9_]*"
_METRIC = r"[a-zA-Z_:][a-zA-Z0-9_:]*"

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


def _url(text: str) -> str:
    url = urlsplit(text)
    # Reading the port refuses one that is none.
    if url.scheme not in {"http", "https"} or not url.hostname or url.port == 0:
        msg = "not an http:// or https:// URL"
        raise ValueError(msg)
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
# Prometheus expands `$` where a value is asserted by relabelling; these need no escape anywhere.
LabelValue = Annotated[str, _matching(_VALUE, "a label value: letters, digits and ._- inside, at most 63")]
Host = Annotated[str, _matching(_HOST, "a host alone, without scheme, port or path")]
LabelName = Annotated[str, _matching(_LABEL, "a label name: letters, digits and _"), AfterValidator(_own_label)]
MetricName = Annotated[
    str, _matching(_METRIC, "a metric name: letters, digits, _ and :"), AfterValidator(_metric_but_not_up)
]
SecretName = Annotated[str, _unspoken(_NAME, "the name of a Secret: lower-case letters, digits and -")]
SecretKey = Annotated[str, _unspoken(_KEY, "a key of a Secret: letters, digits, -, _ and .")]
Url = Annotated[str, AfterValidator(_url), Field(json_schema_extra={"format": "uri"})]
# An empty list would say the opposite of what it seems to: in a NetworkPolicy it stands for everywhere.
Blocks = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_blocks)]
