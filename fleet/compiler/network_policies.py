"""Which addresses a cluster's NetworkPolicies know, and that none is given in vain."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from fleet.errors import Problem, at
from fleet.network_policies import UNCOVERED, host_ports
from fleet.page import NetworkPolicies, Page
from fleet.plan import ClusterPlan
from fleet.values import chart_values, is_on

Path = tuple[str, ...]


def network_policies(page: Page, name: str) -> NetworkPolicies | None:
    cluster = page.clusters[name]
    if "network_policies" not in cluster.model_fields_set:
        return page.network_policies
    own = cluster.network_policies
    if own is None or page.network_policies is None:
        return own
    return page.network_policies.model_copy(
        update={field: cast("object", getattr(own, field)) for field in own.model_fields_set}
    )


def network_policy_problems(page: Page, clusters: Mapping[str, ClusterPlan]) -> Iterator[Problem]:
    concerned = [cluster for cluster in clusters.values() if cluster.network_policies is not None]
    yield from _in_vain(page.network_policies, ("networkPolicies",), concerned)
    for name, cluster in page.clusters.items():
        yield from _in_vain(cluster.network_policies, ("clusters", name, "networkPolicies"), [clusters[name]])


def _in_vain(given: NetworkPolicies | None, where: Path, clusters: Sequence[ClusterPlan]) -> Iterator[Problem]:
    if given is None:
        return
    if given.callers is not None and not any(cluster.gateway for cluster in clusters):
        yield at((*where, "callers"), "has no effect: there is no gateway that anybody calls")
    if given.nodes is not None and not any(host_ports(cluster) for cluster in clusters):
        yield at((*where, "nodes"), "has no effect: no Prometheus here asks anything of its nodes")


def network_policy_warnings(clusters: Mapping[str, ClusterPlan]) -> Iterator[str]:
    """What would be reached by nobody where the policies are enforced."""
    last = max(cluster.wave for cluster in clusters.values())
    asked = (cluster for cluster in clusters.values() if cluster.wave < last)
    deaf = [each.name for each in asked if (known := each.network_policies) is not None and known.api_server is None]
    if deaf:
        yield (
            f"later waves ask {', '.join(deaf)} through the API server: where NetworkPolicies are enforced, no answer "
            "comes until networkPolicies.apiServer holds its addresses"
        )
    for name, cluster in clusters.items():
        if cluster.network_policies is None:
            continue
        values = chart_values(cluster)
        for part in UNCOVERED:
            if is_on(values, part):
                yield (
                    f"{name} runs {part}, which the NetworkPolicies cut off: it needs one of its own "
                    "(docs/network-policies.md)"
                )
