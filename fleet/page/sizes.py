"""What a component is given."""

from pydantic import Field

from fleet.page.shape import Strict
from fleet.quantity import Quantity


class Storage(Strict):
    size: Quantity = Field(examples=["50Gi"])
    """Of each replica's volume; a Prometheus fills at most 85 % of it."""
    class_: str | None = Field(default=None, alias="class", min_length=1, examples=["standard"])
    """StorageClass; the cluster's default where absent."""


class Amounts(Strict):
    cpu: Quantity | None = Field(default=None, examples=["500m"])
    memory: Quantity | None = Field(default=None, examples=["2Gi"])


class Resources(Strict):
    requests: Amounts = Amounts()
    limits: Amounts = Amounts()
