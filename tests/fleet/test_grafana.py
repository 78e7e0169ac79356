"""The Grafana of the global tier, as the real chart makes it of the program's values."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet import manifests
from fleet.compiler import compile_page
from fleet.dashboards import dashboards
from fleet.grafana import grafana
from fleet.names import PROMETHEUS, Tier, object_labels
from fleet.network_policies import network_policies
from fleet.page import read_page
from fleet.plan import Plan
from fleet.render import render, rendered_values
from fleet.values import chart_values
from tests.local.certificates import Authority
from tests.local.chart_reference import SOURCES

OBJECTS: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[1] / "local" / "chart_grafana.yaml").read_text(encoding="utf-8")
)
NAME = "monitoring/kube-prometheus-stack-grafana"
CLUSTERS = {
    "hub": {"tier": "global", "context": "hub"},
    "eu": {"tier": "regional", "region": "eu", "context": "eu"},
    "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
}


AUTHORITY = Authority.new("authority 1 of test")
TCP_8443 = {"protocol": "TCP", "port": 8443}


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
    assert reading(name="mimir", auth={"basic": {"secret": "reader"}}) == grafana(
        "monitoring", object_labels(Tier.GLOBAL), SOURCES
    )


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
    assert {each["key"] for each in asked if each["name"] == "grafana-admin"} == {"admin-user", "admin-password"}
    assert {each["name"] for each in asked} == {"grafana-admin", "reader"}
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
    first, alertmanager, _ = sources
    assert (first["type"], first["isDefault"]) == ("prometheus", True)
    assert first["url"] == f"http://{PROMETHEUS}.monitoring:9090/"
    assert alertmanager["type"] == "alertmanager"


def test_a_store_of_others_comes_after_it_by_variables_that_grafanas_own_container_has() -> None:
    sources = yaml.safe_load(OBJECTS[f"ConfigMap/{NAME}-datasource"]["data"]["datasource.yaml"])["datasources"]
    *_, store = sources
    assert store["url"] == "https://mimir.example.com/prometheus"
    assert "isDefault" not in store
    (container,) = [each for each in pod()["containers"] if each["name"] == "grafana"]
    held = {each["name"]: each.get("valueFrom", {}).get("secretKeyRef") for each in container["env"]}
    named = {store["basicAuthUser"]: "username", store["secureJsonData"]["basicAuthPassword"]: "password"}
    assert {key: held[variable.removeprefix("$")] for variable, key in named.items()} == {
        key: {"name": "reader", "key": key} for key in named.values()
    }


def test_all_that_the_chart_makes_for_it_is_known_as_the_fleets() -> None:
    for key, each in OBJECTS.items():
        assert each["metadata"]["labels"].get("app.kubernetes.io/part-of") == "prometheus-fleet", key


READ: dict[str, Any] = {"url": "https://mimir.example.com/prometheus", "auth": {"basic": {"secret": "mimir-reader"}}}
MIMIR: dict[str, Any] = {
    "kind": "mimir",
    "url": "https://mimir.example.com/api/v1/push",
    "tenant": "fleet",
    "senders": "hub",
    "auth": {"basic": {"secret": "mimir"}},
}


def reading(*, name: str = "long-term", kind: dict[str, Any] | None = None, **read: Any) -> dict[str, Any]:
    """Values of a Grafana that reads the store of that name, a Mimir unless said otherwise."""
    written = {**MIMIR, **(kind or {}), "read": {**READ, **read}}
    found = plan(grafana=True, destinations={name: {key: each for key, each in written.items() if each}})
    return rendered_values(found, found.clusters["hub"])["grafana"]


def test_it_asks_a_store_that_the_fleet_writes_to_by_a_password_that_no_value_holds() -> None:
    values = reading()
    assert values["additionalDataSources"] == [
        {
            "name": "long-term",
            "type": "prometheus",
            "access": "proxy",
            "url": "https://mimir.example.com/prometheus",
            "basicAuth": True,
            "basicAuthUser": "$DATA_SOURCE_LONG_TERM_USERNAME",
            "jsonData": {"httpMethod": "POST", "prometheusType": "Mimir", "httpHeaderName1": "X-Scope-OrgID"},
            "secureJsonData": {
                "basicAuthPassword": "$DATA_SOURCE_LONG_TERM_PASSWORD",
                "httpHeaderValue1": "fleet",
            },
        }
    ]
    assert values["envValueFrom"] == {
        "DATA_SOURCE_LONG_TERM_USERNAME": {"secretKeyRef": {"name": "mimir-reader", "key": "username"}},
        "DATA_SOURCE_LONG_TERM_PASSWORD": {"secretKeyRef": {"name": "mimir-reader", "key": "password"}},
    }


def test_a_token_and_an_authority_of_a_store_reach_grafana() -> None:
    values = reading(auth={"bearer": {"secret": "reader", "key": "jwt"}}, ca=AUTHORITY.pem)
    (source,) = values["additionalDataSources"]
    assert source["jsonData"]["httpHeaderName2"] == "Authorization"
    assert source["jsonData"]["tlsAuthWithCACert"] is True
    assert source["secureJsonData"]["httpHeaderValue2"] == "Bearer $DATA_SOURCE_LONG_TERM_TOKEN"
    assert source["secureJsonData"]["tlsCACert"] == AUTHORITY.pem
    assert values["envValueFrom"] == {
        "DATA_SOURCE_LONG_TERM_TOKEN": {"secretKeyRef": {"name": "reader", "key": "jwt"}},
    }


def test_a_name_with_a_dollar_is_no_variable() -> None:
    (source,) = reading(auth={"basic": {"secret": "reader", "username": "us$er"}})["additionalDataSources"]
    assert source["basicAuthUser"] == "us$$er"


def test_a_store_beside_grafana_needs_no_credential_and_is_let_out_to() -> None:
    thanos = {"kind": "thanos", "url": "https://thanos.example.com/api/v1/receive", "tenant": None}
    read = {"url": "http://thanos-query.thanos.svc:9090", "auth": None}
    (source,) = reading(kind=thanos, **read)["additionalDataSources"]
    assert source["jsonData"] == {"httpMethod": "POST", "prometheusType": "Thanos"}
    assert "secureJsonData" not in source


@pytest.mark.parametrize(
    ("url", "opened"),
    [
        ("https://192.0.2.7:8443/prometheus", {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [TCP_8443]}),
        ("https://mimir.example.com:8443/prometheus", {"ports": [TCP_8443]}),
        ("http://mimir-gateway.mimir.svc/prometheus", {"to": [{"namespaceSelector": {}}]}),
    ],
)
def test_it_is_let_out_to_the_stores_that_it_asks(url: str, opened: dict[str, Any]) -> None:
    def egress(**destinations: Any) -> list[Any]:
        hub = plan(grafana=True, destinations=destinations).clusters["hub"]
        (policy,) = [each for each in network_policies(hub) if each["metadata"]["name"] == "grafana"]
        return policy["spec"]["egress"]

    auth = {} if url.startswith("http:") else {"auth": READ["auth"]}
    added = egress(mimir={**MIMIR, "read": {"url": url, **auth}})
    assert [each for each in added if each not in egress()] == [opened]
