"""Durations as Prometheus writes them: `90s`, `1m30s`, `1h`; `timedelta` inside."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PATTERN = "".join(rf"(?:(?P<{unit}>\d+){unit}(?![a-z]))?" for unit in _UNITS)


def parse_duration(text: object) -> timedelta:
    """Raises ValueError for anything but a positive duration such as `30s` or `1m30s`."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(_PATTERN, text) if isinstance(text, str) else None
    if not match or not text:
        msg = f"{text!r} is not a duration such as 30s, 1m30s or 1h"
        raise ValueError(msg)
    milliseconds = sum(int(count) * _UNITS[unit] for unit, count in match.groupdict("0").items())
    if not milliseconds:
        msg = "a duration must be longer than 0s"
        raise ValueError(msg)
    return timedelta(milliseconds=milliseconds)


def format_duration(duration: timedelta) -> str:
    rest = duration // timedelta(milliseconds=1)
    parts: list[str] = []
    for unit, milliseconds in _UNITS.items():
        if unit in {"w", "d"}:
            continue
        count, rest = divmod(rest, milliseconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(ms|[smhdw]))+$", "examples": ["30s", "1m30s"]}),
]
