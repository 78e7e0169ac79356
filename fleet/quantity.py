"""Amounts as Kubernetes writes them: `500m`, `2`, `50Gi`."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

_SUFFIXES = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P"), 1)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), 1)},
}
_PATTERN = r"(\d+(?:\.\d+)?)(m|k|[KMGTP]i|[MGTP]|)"


def parse_quantity(text: str) -> Decimal:
    """Raises ValueError for anything but a positive amount such as `500m` or `50Gi`."""
    match = re.fullmatch(_PATTERN, text)
    if not match:
        msg = f"{text!r} is not an amount such as 500m, 2 or 50Gi"
        raise ValueError(msg)
    amount = Decimal(match[1]) * _SUFFIXES[match[2]]
    if not amount:
        msg = "an amount must be greater than 0"
        raise ValueError(msg)
    return amount


def _number_as_text(given: object) -> object:
    return str(given) if isinstance(given, int | float) and not isinstance(given, bool) else given


def _checked(text: str) -> str:
    parse_quantity(text)
    return text


Quantity = Annotated[
    str,
    BeforeValidator(_number_as_text),
    AfterValidator(_checked),
    WithJsonSchema({"type": ["string", "number"], "pattern": f"^{_PATTERN}$"}),
]
