"""What every part of the page has in common: how its keys are spelled, and how a mistake is told."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


def wrong(field: str, message: str, right: object = None) -> PydanticCustomError:
    """A mistake of one field (its name on the page) that another field makes one; `right` is a value that would do.

    A field inside of another one is named with a dot.
    """
    return PydanticCustomError("wrong", "{message}", {"message": message, "field": field, "right": right})


class Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        use_attribute_docstrings=True,
    )
