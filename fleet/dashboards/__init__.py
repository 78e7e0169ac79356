"""Dashboards for whoever looks at the whole fleet: made from the plan, over series that the global cluster holds."""

from collections.abc import Iterator, Mapping

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from fleet.dashboards.cluster import cluster
from fleet.dashboards.clusters import overview, region
from fleet.dashboards.cost import cost
from fleet.dashboards.federation import federation
from fleet.dashboards.queries import Queries
from fleet.dashboards.remote_write import remote_write
from fleet.plan import Plan


def dashboards(plan: Plan) -> Mapping[str, str]:
    """Each dashboard's JSON by its uid, the same on every run; none where the page wants none."""
    encoder = JSONEncoder(indent=2, sort_keys=True)
    return {str(each.uid): f"{encoder.encode(each)}\n" for each in _dashboards(plan)}


def _dashboards(plan: Plan) -> Iterator[Dashboard]:
    queries = Queries(plan)
    # Of a global cluster alone there is nothing to show.
    if not plan.dashboards or not queries.clusters:
        return
    yield overview(queries)
    if queries.regions:
        yield region(queries)
    yield cluster(queries)
    yield federation(queries)
    if queries.has_senders:
        yield remote_write(queries)
    yield cost(queries)
