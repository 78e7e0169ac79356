"""The Grafana of the global tier, as the real chart makes it of the program's values."""

from pathlib import Path
from typing import Any

import yaml

from fleet import manifests
from fleet.compiler import compile_page
from fleet.dashboards import dashboards
from fleet.grafana import grafana
from fleet.names import PROMETHEUS, Tier, object_labels
from fleet.page import read_page
from fleet.plan import Plan
from fleet.render import render, rendered_values
from fleet.values import chart_values

OBJECTS: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[1] / "local" / "chart_grafana.yaml").read_text(encoding="utf-8")
)
NAME = "monitoring/kube-prometheus-stack-grafana"
CLUSTERS = {
    "hub": {"tier": "global", "context": "hub"},
    "eu": {"tier": "regional", "region": "eu", "context": "eu"},
    "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
}


def plan(**page: object) -> Plan:
    return compile_page(read_page({"clusters": CLUSTERS, **page}, {}))


def pod() -> dict[str, Any]:
    return OBJECTS[f"Deployment/{NAME}"]["spec"]["template"]["spec"]


def test_it_runs_beside_the_global_prometheus_where_the_page_says_so_and_nowhere_else() -> None:
    def running(found: Plan) -> set[str]:
        return {name for name, each in found.clusters.items() if chart_values(each)["grafana"]["enabled"]}

    assert running(plan()) == set()
    assert running(plan(grafana=True)) == {"hub"}


def test_what_is_recorded_is_made_of_the_values_that_the_program_sets() -> None:
    found = plan(grafana=True)
    values = rendered_values(found, found.clusters["hub"])["grafana"]
    assert values == grafana("monitoring", object_labels(Tier.GLOBAL))


def test_its_password_lies_in_a_secret_and_in_no_value() -> None:
    found = plan(grafana=True)
    values = rendered_values(found, found.clusters["hub"])["grafana"]
    secret = yaml.safe_load(render(found)[Path("hub/secret-grafana-admin.yaml")])
    assert values["admin"]["existingSecret"] == secret["metadata"]["name"]
    assert {values["admin"][key] for key in ("userKey", "passwordKey")} == set(secret["stringData"])
    assert "adminPassword" not in values
    asked = [
        each["valueFrom"]["secretKeyRef"]
        for container in pod()["containers"]
        for each in container["env"]
        if "secretKeyRef" in each.get("valueFrom", {})
    ]
    assert {each["name"] for each in asked} == {"grafana-admin"}
    assert {each["key"] for each in asked} == {"admin-user", "admin-password"}
    # Nor does the chart make one of its own, whose password anybody could read in its defaults.
    assert not [key for key in OBJECTS if key.startswith("Secret/")]


def test_no_container_may_do_more_than_the_others_of_the_fleet() -> None:
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod()["containers"], *pod().get("initContainers", [])):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}


def test_its_sidecars_alone_have_a_token_and_it_opens_configmaps_of_their_namespace_alone() -> None:
    assert pod()["automountServiceAccountToken"] is False
    (token,) = [each["name"] for each in pod()["volumes"] if "projected" in each]
    holders = {each["name"] for each in pod()["containers"] if token in {one["name"] for one in each["volumeMounts"]}}
    assert holders == {"grafana-sc-dashboard", "grafana-sc-datasources"}
    role = manifests.grafana_role(plan(grafana=True).clusters["hub"])
    assert OBJECTS[f"RoleBinding/{NAME}"]["roleRef"]["name"] == role["metadata"]["name"]
    assert role["rules"] == ({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},)
    assert {key.split("/")[0] for key in OBJECTS} & {"Role", "ClusterRole", "ClusterRoleBinding"} == set()
    for container in pod()["containers"]:
        if container["name"] in holders:
            env = {each["name"]: each.get("value") for each in container["env"]}
            assert (env["RESOURCE"], env["NAMESPACE"]) == ("configmap", "monitoring")


def test_its_sidecar_loads_the_dashboards_of_the_fleet() -> None:
    found = plan(grafana=True)
    (sidecar,) = [each for each in pod()["containers"] if each["name"] == "grafana-sc-dashboard"]
    env = {each["name"]: each.get("value") for each in sidecar["env"]}
    (uid, *_) = dashboards(found)
    labels = manifests.dashboard(found.clusters["hub"], uid, "")["metadata"]["labels"]
    assert labels[env["LABEL"]] == env["LABEL_VALUE"]


def test_its_first_data_source_is_the_global_prometheus() -> None:
    sources = yaml.safe_load(OBJECTS[f"ConfigMap/{NAME}-datasource"]["data"]["datasource.yaml"])["datasources"]
    first, alertmanager = sources
    assert (first["type"], first["isDefault"]) == ("prometheus", True)
    assert first["url"] == f"http://{PROMETHEUS}.monitoring:9090/"
    assert alertmanager["type"] == "alertmanager"


def test_all_that_the_chart_makes_for_it_is_known_as_the_fleets() -> None:
    for key, each in OBJECTS.items():
        assert each["metadata"]["labels"].get("app.kubernetes.io/part-of") == "prometheus-fleet", key
