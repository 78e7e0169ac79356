"""That a namespace admits what its release needs, and that a page opens it for others alone."""

from collections.abc import Iterator, Mapping

from fleet.admission import needed
from fleet.errors import Problem, at
from fleet.plan import ClusterPlan


def pod_security_problems(clusters: Mapping[str, ClusterPlan]) -> Iterator[Problem]:
    for name, cluster in clusters.items():
        given, own = cluster.pod_security, needed(cluster)
        if given == own:
            yield at(("clusters", name, "podSecurity"), f"has no effect: its release already needs {own}")
        elif given is not None and own == "privileged":
            yield at(("clusters", name, "podSecurity"), f"its release needs {own}, and {given} would refuse its pods")
