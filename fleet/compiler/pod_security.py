"""That a namespace admits what its release needs, and that a page opens it for others alone."""

from collections.abc import Iterator, Mapping

from fleet.admission import needed
from fleet.errors import Problem, at
from fleet.plan import ClusterPlan


def pod_security_problems(clusters: Mapping[str, ClusterPlan]) -> Iterator[Problem]:
    for name, cluster in clusters.items():
        if cluster.pod_security is None:
            continue
        own = needed(cluster)
        if cluster.pod_security == own:
            yield at(("clusters", name, "podSecurity"), f"has no effect: its release already needs {own}")
        elif own == "privileged":
            message = f"its release needs {own}, and {cluster.pod_security} would refuse its pods"
            yield at(("clusters", name, "podSecurity"), message)
