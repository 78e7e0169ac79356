from typing import Any

import pytest

from fleet import manifests, versions
from fleet.compiler import compile_page
from fleet.page import read_page
from fleet.plan import ClusterPlan, Plan
from fleet.render import rendered_values

STANDARD = "pod-security.kubernetes.io/enforce"
WITHOUT = {"nodeExporter": {"enabled": False}}
ROOT = {"name": "root", "hostPath": {"path": "/"}}
AS_ROOT = {"podSecurityContext": {"runAsUser": 0}}


def clusters(values: dict[str, Any]) -> dict[str, ClusterPlan]:
    """A hub and a leaf, both with these chart values."""
    page = {
        "values": values,
        "clusters": {"hub": {"tier": "global", "context": "hub"}, "eu-1": {"tier": "leaf", "context": "eu-1"}},
    }
    return dict(compile_page(read_page(page, {})).clusters)


def standard(cluster: ClusterPlan) -> str:
    labels: Any = manifests.namespace(cluster)["metadata"]["labels"]
    return labels[STANDARD]


def test_a_namespace_is_restricted_but_for_the_leaves_whose_node_exporter_reads_its_node(dev: Plan) -> None:
    assert {name: standard(cluster) for name, cluster in dev.clusters.items()} == {
        "eu-1": "privileged",
        "eu-2": "privileged",
        "eu": "restricted",
        "hub": "restricted",
        "shop-1": "restricted",
    }


def test_what_is_refused_is_also_warned_of_and_logged_by_the_same_pinned_version(dev: Plan) -> None:
    for cluster in dev.clusters.values():
        labels: Any = manifests.namespace(cluster)["metadata"]["labels"]
        modes = {key.rpartition("/")[2]: value for key, value in labels.items() if key.startswith("pod-security.")}
        level = labels[STANDARD]
        assert modes == {
            f"{mode}{suffix}": value
            for mode in ("enforce", "audit", "warn")
            for suffix, value in (("", level), ("-version", versions.POD_SECURITY))
        }


@pytest.mark.parametrize(
    ("values", "hub", "leaf"),
    [
        (WITHOUT, "restricted", "restricted"),
        ({"nodeExporter": {"enabled": True}}, "privileged", "privileged"),
        ({"windowsMonitoring": {"enabled": True}}, "privileged", "privileged"),
        # Of an exporter that the hub does not run.
        ({"prometheus-node-exporter": {"hostNetwork": True}}, "restricted", "privileged"),
        ({**WITHOUT, "prometheusOperator": {"hostNetwork": True}}, "privileged", "privileged"),
        # Alertmanager runs beside the hub alone.
        ({**WITHOUT, "alertmanager": {"alertmanagerSpec": {"volumes": [ROOT]}}}, "privileged", "restricted"),
        ({**WITHOUT, "grafana": {"enabled": True}}, "restricted", "restricted"),
        ({**WITHOUT, "grafana": {"enabled": True, "persistence": {"enabled": True}}}, "baseline", "baseline"),
        ({**WITHOUT, "prometheusOperator": {"securityContext": {"runAsNonRoot": False}}}, "baseline", "baseline"),
        ({**WITHOUT, "crds": {"upgradeJob": {**AS_ROOT}}}, "baseline", "baseline"),
        ({**WITHOUT, "crds": {"upgradeJob": {**AS_ROOT, "enabled": False}}}, "restricted", "restricted"),
    ],
)
def test_the_standard_follows_from_the_final_values(values: dict[str, Any], hub: str, leaf: str) -> None:
    found = clusters(values)
    assert (standard(found["hub"]), standard(found["eu-1"])) == (hub, leaf)


def test_a_page_opens_a_namespace_for_what_others_run_there() -> None:
    page = {"clusters": {"hub": {"tier": "global", "context": "hub", "podSecurity": "baseline"}}}
    assert standard(compile_page(read_page(page, {})).clusters["hub"]) == "baseline"


@pytest.mark.parametrize("name", ["eu-1", "eu", "hub", "shop-1"])
def test_of_prometheus_s_pod_the_container_prometheus_alone_has_a_token(dev: Plan, name: str) -> None:
    spec: Any = rendered_values(dev, dev.clusters[name])["prometheus"]["prometheusSpec"]
    assert spec["automountServiceAccountToken"] is False
    (token,) = [volume["name"] for volume in spec["volumes"] if "projected" in volume]
    holders = {
        container["name"]
        for container in spec["containers"]
        if token in {mount["name"] for mount in container["volumeMounts"]}
    }
    assert holders == {"prometheus"}


def test_the_gateways_pod_has_no_capability_but_the_one_that_its_binary_asks_for(dev: Plan) -> None:
    spec: Any = rendered_values(dev, dev.clusters["eu-1"])["prometheus"]["prometheusSpec"]
    (gateway,) = [container for container in spec["containers"] if container["name"] == "gateway"]
    assert gateway["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_prometheus_and_alertmanager_send_security_headers_and_none_that_is_for_https(dev: Plan) -> None:
    values: Any = rendered_values(dev, dev.clusters["hub"])
    for spec in (values["prometheus"]["prometheusSpec"], values["alertmanager"]["alertmanagerSpec"]):
        headers = spec["web"]["httpConfig"]["headers"]
        # As the CRD spells them; the operator makes lower case of them.
        assert (headers["xFrameOptions"], headers["xContentTypeOptions"]) == ("Deny", "NoSniff")
        assert "frame-ancestors 'none'" in headers["contentSecurityPolicy"]
        assert "strictTransportSecurity" not in headers
