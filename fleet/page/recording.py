"""The shape of a recording rule, the same for those of `rules/` and for those that a page adds."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from fleet.page.fields import ClusterRecord, GlobalRecord, RegionRecord


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class InRegion(_Shape):
    """What a region makes of a rule of its leaves."""

    aggregate: Literal["sum", "avg", "max", "min"] = Field(examples=["sum"])
    """`avg` for what is there once for each node or the like; of numbers that are averages already, keep the sums."""
    by: tuple[str, ...] = Field(examples=[["namespace"]])
    """Labels kept above the cluster, beside `region` and (in the `region:cluster_*` form) `cluster`."""


class AtTheTop(_Shape):
    """What the global cluster makes of it, by `region` and `cluster`, whichever way a cluster's series come up."""

    by: tuple[str, ...] = Field(examples=[["namespace"]])
    """Labels kept beside `region` and `cluster`."""


class Recorded(_Shape):
    record: str
    expr: str = Field(examples=["sum by (cluster, region) (kube_pod_info)"])
    unit: str = Field(min_length=1, examples=["pods"])
    reason: str = Field(min_length=1, examples=["capacity against the pod limit of nodes"])
    """Why it is worth its price, for whoever finds it next."""
    owner: str = Field(min_length=1, examples=["platform"])
    """Who answers for it."""

    _place: str | None = PrivateAttr(default=None)

    @property
    def place(self) -> str | None:
        """In a file of the user's; None on the page itself."""
        return self._place

    def found_at(self, place: str) -> Self:
        self._place = place
        return self

    @property
    def text(self) -> str:
        """The expression without the line breaks around it."""
        return self.expr.strip()


class Rule(Recorded):
    """What a leaf records, and what the tiers above make of it."""

    record: ClusterRecord = Field(examples=["cluster:namespace_pod_count:sum"])
    of: Literal["workloads", "gateway", "prometheus", "writer"] = "workloads"
    """Whose metrics it reads. Gateways and Prometheuses are at every tier but the edges, which evaluate no rules; only
    those Prometheuses are writers that write to somebody, and of the others nothing is recorded."""
    edge: str | None = Field(default=None, examples=["max by (cluster, region) (prometheus_agent_active_series)"])
    """Of `prometheus` and `writer`: what the global cluster records of an edge in the place of `expr`."""
    region: InRegion
    at_the_top: AtTheTop | None = Field(default=None, alias="global", examples=[{"by": []}])
    """Without it, the global cluster has what regions and leaves send, under their names."""

    @property
    def metric(self) -> str:
        """Its name without a level."""
        return self.record.removeprefix("cluster:")

    @property
    def of_edges(self) -> str | None:
        """What the global cluster records of edges, from their raw series."""
        if self.of == "workloads":
            return self.text
        return self.edge.strip() if self.edge is not None else None


class RegionRule(Recorded):
    """What a region records beside that, of its leaves' series and of its own."""

    record: RegionRecord = Field(examples=["region:namespace_pod_count:max"])


class GlobalRule(Recorded):
    """What the global cluster records beside that, of all that reaches it."""

    record: GlobalRecord = Field(examples=["global:namespace_pod_count:max"])
