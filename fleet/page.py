"""The page that a user writes, `prometheus-fleet:fleet` in `Pulumi.STACK.yaml`, as a validated model."""

import difflib
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from fleet import versions
from fleet.duration import Duration
from fleet.errors import FleetError, Problem
from fleet.names import PAGE_KEY, Tier

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$")]
LabelValue = Annotated[str, Field(min_length=1)]


_NODE_PORTS = range(30000, 32768)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Chart(_Strict):
    source: str = versions.CHART_SOURCE
    """An `oci://` reference, or a path relative to Pulumi.yaml's folder."""
    version: str | None = None
    """Exact version; required for `oci://`, without meaning for a path."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if self.source.startswith("oci://") and self.version is None:
            msg = "a chart from a registry needs an exact version"
            raise ValueError(msg)
        return self


class FederationIntervals(_Strict):
    """How often each parent scrapes its children's `/federate`, by the parent's tier."""

    regional: Duration = timedelta(seconds=60)
    global_: Duration = Field(default=timedelta(seconds=120), alias="global")


class Intervals(_Strict):
    scrape: Duration = timedelta(seconds=30)
    """Between two scrapes of a target inside its own cluster."""
    rules: Duration = timedelta(seconds=30)
    """Between two evaluations of the recording rules, at every tier."""
    federation: FederationIntervals = FederationIntervals()


class Gateway(_Strict):
    """How a cluster's gateway is reached from the other clusters."""

    type: Literal["LoadBalancer", "NodePort"] = "LoadBalancer"
    host: str | None = None
    """Address that others dial. NodePort needs it; LoadBalancer takes it from the Service where absent."""
    port: int = Field(default=9443, ge=1, le=65535)
    """Port that others dial: the Service's, or the node's for NodePort (30000 to 32767)."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.type == "NodePort":
            if self.host is None:
                msg = "type NodePort needs host: an address of one of the cluster's nodes"
                raise ValueError(msg)
            if self.port not in _NODE_PORTS:
                msg = f"type NodePort needs a port from {_NODE_PORTS[0]} to {_NODE_PORTS[-1]}, not {self.port}"
                raise ValueError(msg)
        return self


class Cluster(_Strict):
    tier: Tier
    region: LabelValue | None = None
    """Leaves go up through the aggregator of their region, or straight to the global tier without one."""
    datacenter: LabelValue | None = None
    kubeconfig: Path | None = None
    """Relative to Pulumi.yaml's folder. Absent: `$KUBECONFIG`, then `~/.kube/config`."""
    kubeconfig_secret: str | None = None
    """Name of another config key, a Pulumi secret, that holds the kubeconfig's contents."""
    context: str | None = None
    namespace: Name | None = None
    gateway: Gateway | None = None
    """Overrides the fleet's `gateway`. An edge has none: nobody calls it."""
    values: dict[str, JsonValue] = {}
    """Chart values on top of everything else, for this cluster alone."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.tier is Tier.REGIONAL and self.region is None:
            msg = "a regional cluster needs the region whose leaves it federates"
            raise ValueError(msg)
        if self.tier is Tier.EDGE and self.gateway is not None:
            msg = "an edge has no gateway: it writes upward and is never called"
            raise ValueError(msg)
        if self.kubeconfig is not None and self.kubeconfig_secret is not None:
            msg = "kubeconfig and kubeconfigSecret exclude each other"
            raise ValueError(msg)
        return self


class Page(_Strict):
    chart: Chart = Chart(version=versions.CHART)
    namespace: Name = "monitoring"
    intervals: Intervals = Intervals()
    gateway: Gateway = Gateway()
    keep: tuple[str, ...] = ()
    """Metric names that edges send beside those which the `cluster:*` rules read."""
    values: dict[str, JsonValue] = {}
    """Chart values on top of the program's, for every cluster."""
    clusters: dict[Name, Cluster] = Field(min_length=1)


def read_page(data: object, environ: Mapping[str, str] = os.environ) -> Page:
    """Validates a page as YAML or Pulumi gave it.

    `FLEET_CHART` and `FLEET_CHART_VERSION` in `environ` take the place of the page's chart.
    Raises FleetError naming every field that is wrong.
    """
    if not isinstance(data, dict):
        raise FleetError([Problem(PAGE_KEY, "there is no fleet on this page", _EMPTY_PAGE_FIX)])
    try:
        page = Page.model_validate(data)
        if source := environ.get("FLEET_CHART"):
            chart = Chart(source=source, version=environ.get("FLEET_CHART_VERSION") or None)
            page = page.model_copy(update={"chart": chart})
    except ValidationError as error:
        raise FleetError([_problem(details) for details in error.errors()]) from None
    return page


def read_stack(stack: str, root: Path, environ: Mapping[str, str] = os.environ) -> Page:
    """The page of `Pulumi.STACK.yaml` in `root`, Pulumi.yaml's folder. Raises FleetError."""
    path = root / f"Pulumi.{stack}.yaml"
    try:
        document: object = yaml.safe_load(path.read_text())
    except OSError as error:
        stacks = ", ".join(_stacks(root)) or "none"
        message = f"cannot be read ({error.strerror}); stacks here: {stacks}"
        raise FleetError([Problem(path.name, message)]) from None
    except yaml.YAMLError as error:
        raise FleetError([Problem(path.name, f"is not valid YAML: {error}")]) from None
    config = _mapping(_mapping(document).get("config"))
    return read_page(config.get(PAGE_KEY), environ)


def _mapping(data: object) -> Mapping[object, object]:
    return cast("Mapping[object, object]", data) if isinstance(data, Mapping) else {}


def _stacks(root: Path) -> Iterator[str]:
    return (path.name.split(".")[1] for path in sorted(root.glob("Pulumi.*.yaml")))


_EMPTY_PAGE_FIX = f"""
config:
  {PAGE_KEY}:
    clusters:
      hub: {{tier: global, context: hub}}
      eu-1: {{tier: leaf, context: eu-1}}
"""


def _problem(details: ErrorDetails) -> Problem:
    path = ".".join(str(part) for part in details["loc"] if part != "[key]") or PAGE_KEY
    if details["type"] == "extra_forbidden":
        key = str(details["loc"][-1])
        nearest = difflib.get_close_matches(key, _known_keys(), n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        return Problem(path, f"unknown key{hint}")
    message = details["msg"].removeprefix("Value error, ")
    return Problem(path, message[:1].lower() + message[1:])


def _known_keys() -> set[str]:
    models = (Page, Chart, Intervals, FederationIntervals, Gateway, Cluster)
    return {field.alias or name for model in models for name, field in model.model_fields.items()}
