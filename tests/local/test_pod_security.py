"""Each tier's namespace takes every pod that the chart makes for it and refuses what goes beyond, by a real API server.

The chart is the small one and, where FLEET_REAL_CHART names its folder, the real one with all that it does by default.
What the operator makes of Prometheus and Alertmanager is admitted on the live local fleet.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from chart_reference import Object, render

from fleet import manifests
from fleet.compiler import compile_page
from fleet.names import Tier
from fleet.page import read_page
from fleet.plan import ClusterPlan
from fleet.render import rendered_values
from local.api_server import ApiServer, api_server
from local.chart_assembly import small_chart
from local.errors import LocalError

pytestmark = pytest.mark.cluster

BUILDABLE = {"prometheusOperator": {"admissionWebhooks": {"enabled": False}, "tls": {"enabled": False}}}
CLUSTERS = {
    "hub": {"tier": "global", "context": "hub"},
    "eu": {"tier": "regional", "region": "eu", "context": "eu"},
    "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
    "eu-2": {"tier": "leaf", "region": "eu", "context": "eu-2", "values": {"nodeExporter": {"enabled": False}}},
    "shop-1": {"tier": "edge", "context": "shop-1"},
}
REAL = os.environ.get("FLEET_REAL_CHART")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module", params=["small", *(["real"] if REAL else [])])
def chart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "real":
        return Path(REAL or "")
    out = tmp_path_factory.mktemp("small") / "chart"
    small_chart(out)
    return out


def test_every_pod_of_the_chart_is_admitted_and_a_privileged_one_only_beside_node_exporter(
    server: ApiServer, chart: Path
) -> None:
    is_small = str(chart) != REAL
    plan = compile_page(read_page({"clusters": CLUSTERS, "values": BUILDABLE if is_small else {}}, {}))
    assert {cluster.tier for cluster in plan.clusters.values()} == set(Tier)
    for name, cluster in plan.clusters.items():
        namespace = f"{chart.name}-{name}"
        labels: Any = manifests.namespace(cluster)["metadata"]["labels"]
        apply(server, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
        pods = [*pods_of(render(chart, cast("Object", rendered_values(plan, cluster))))]
        assert {owner for owner, _ in pods} >= expected(cluster, is_small=is_small)
        for owner, spec in pods:
            try_out(server, namespace, owner, spec)
        refused = {"restricted": True, "privileged": False}[labels["pod-security.kubernetes.io/enforce"]]
        if refused:
            with pytest.raises(LocalError, match=r"violates PodSecurity .*allowPrivilegeEscalation"):
                try_out(server, namespace, "intruder", {"containers": [{"name": "x", "image": "x"}]})
        else:
            try_out(server, namespace, "intruder", {"containers": [{"name": "x", "image": "x"}]})


def expected(cluster: ClusterPlan, *, is_small: bool) -> set[str]:
    stack = "kube-prometheus-stack"
    owners = {f"Deployment/{stack}-operator", f"Job/{stack}-crds-upgrade"}
    if cluster.tier is Tier.LEAF:
        owners |= {f"Deployment/{stack}-kube-state-metrics"}
    if cluster.name == "eu-1":
        owners |= {f"DaemonSet/{stack}-prometheus-node-exporter"}
    if not is_small:
        owners |= {f"Job/{stack}-admission-create", f"Job/{stack}-admission-patch"}
    return owners


def pods_of(objects: dict[str, Object]) -> Iterator[tuple[str, Any]]:
    for found in objects.values():
        whole: Any = found
        if found["kind"] in {"DaemonSet", "Deployment", "Job"}:
            yield f"{found['kind']}/{whole['metadata']['name']}", whole["spec"]["template"]["spec"]


def try_out(server: ApiServer, namespace: str, owner: str, spec: dict[str, Any]) -> None:
    """Raises LocalError where the API server refuses such a pod."""
    account = spec.get("serviceAccountName", "default")
    apply(server, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}})
    metadata = {"name": owner.rpartition("/")[2].lower(), "namespace": namespace}
    apply(server, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, "--dry-run=server")


def apply(server: ApiServer, found: dict[str, Any], *options: str) -> None:
    server.kubectl("apply", "--filename=-", *options, stdin=json.dumps(found))
