"""A whole cluster compared: its release, what nobody asked for, and an API server that refuses."""

import asyncio
import base64
import gzip
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import kr8s
import kr8s.asyncio
import pytest

from fleet import live
from fleet.compiler import compile_fleet
from fleet.drift import ClusterDrift
from fleet.drift.cluster_drift import cluster_drift
from fleet.names import object_labels
from fleet.page import Password, read_fleet
from fleet.plan import Key, Plan, Reader
from fleet.prometheus import Prometheus, Unreachable
from fleet.render import manifests_of, rendered_values
from fleet.status import FleetOutput

ROOT = Path(__file__).parents[2]

Object = dict[str, Any]
CHART_SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "chart"}, "spec": {"type": "ClusterIP"}}
PLURALS = {
    "v1": {"Secret": "secrets", "Service": "services", "ConfigMap": "configmaps", "Namespace": "namespaces"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies"},
    "monitoring.coreos.com/v1": {"PrometheusRule": "prometheusrules"},
    "rbac.authorization.k8s.io/v1": {"Role": "roles"},
}


@dataclass
class FakeServer:
    """An API server that has what was deployed, and would change nothing."""

    objects: list[Object] = field(default_factory=list[Object])
    refusals: Mapping[str, int] = field(default_factory=dict[str, int])
    """Status by the name of an object that it does not let anybody try."""
    silent: Exception | None = None

    @asynccontextmanager
    async def call_api(
        self, method: str, *, url: str, params: Mapping[str, str], **where: Any
    ) -> AsyncIterator[httpx.Response]:
        if self.silent is not None:
            raise self.silent
        group = where.get("base", "").removeprefix("/apis/")
        found = self._answer(method, "/".join(filter(None, [group, where["version"]])), url, params, where["content"])
        if isinstance(found, int):
            raise kr8s.ServerError("no", response=httpx.Response(found))
        yield httpx.Response(200, json=found)

    def _answer(self, method: str, version: str, url: str, params: Mapping[str, str], content: str) -> Object | int:
        kinds = PLURALS[version]
        if not url:
            resources = [
                {"name": name, "kind": kind, "namespaced": kind != "Namespace"} for kind, name in kinds.items()
            ]
            return {"resources": resources}
        parts = url.split("/")
        plural, *name = parts if parts[0] == "namespaces" and len(parts) == 2 else parts[2:]
        (kind,) = (kind for kind, each in kinds.items() if each == plural)
        there = [each for each in self.objects if each["kind"] == kind]
        if not name:
            return {"items": [each for each in there if self._is_selected(each, params.get("labelSelector", ""))]}
        one = next((each for each in there if each["metadata"]["name"] == name[0]), None)
        if method == "PATCH" and one is not None:
            assert params["dryRun"] == "All"
            return self.refusals.get(name[0]) or merged(one, json.loads(content))
        return 404 if one is None else one

    @staticmethod
    def _is_selected(each: Object, selector: str) -> bool:
        helms = each["metadata"].get("labels", {}).get("owner") == "helm"
        return helms if selector.startswith("owner=helm") else not (selector == "owner!=helm" and helms)


def merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}
    return above


def managed(manager: str, fields: Object, operation: str = "Apply") -> Object:
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


def release(values: Mapping[str, Any], version: str = "1.0.0", status: str = "deployed", revision: int = 3) -> Object:
    record = {
        "version": revision,
        "info": {"status": status},
        "chart": {"metadata": {"version": version}},
        "config": json.loads(json.dumps(values)),
        "manifest": f"---\n# Source: x\n{json.dumps(CHART_SERVICE)}\n---\n",
    }
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(record).encode()))).decode()
    labels = {"owner": "helm", "version": str(revision)}
    metadata = {"name": f"sh.helm.release.v1.x.v{revision}", "namespace": "monitoring", "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"release": packed}}


@dataclass
class Fleet:
    plan: Plan
    name: str = "eu-1"

    @property
    def server(self) -> FakeServer:
        cluster = self.plan.clusters[self.name]
        return FakeServer(
            [
                *(deployed(each) for each in manifests_of(self.plan, cluster)),
                deployed(CHART_SERVICE, "helm"),
                release({}, revision=1),
                release(rendered_values(self.plan, cluster)),
            ]
        )

    def drift(self, server: FakeServer) -> ClusterDrift:
        client = Prometheus(self.name, "monitoring", server)
        return asyncio.run(cluster_drift(self.plan, self.plan.clusters[self.name], client, {}))

    def drifts(self, server: FakeServer) -> dict[str, list[str]]:
        found = self.drift(server)
        assert found.error is None
        return {
            f"{each.kind} {each.name} {each.what}": [f"{one.path} {one.text}" for one in each.fields]
            for each in found.objects
        }


def deployed(manifest: Any, manager: str = "pulumi-kubernetes-01234567") -> Object:
    made = json.loads(json.dumps(manifest))
    fields: Object = {}
    if (text := made.pop("stringData", None)) is not None:
        made["data"] = dict.fromkeys(text, "c2VjcmV0")
        fields = {"f:data": {".": {}, **{f"f:{key}": {} for key in text}}}
    made["metadata"].setdefault("namespace", "monitoring")
    made["metadata"]["managedFields"] = [managed(manager, fields)]
    return made


def by_hand(name: str, kind: str = "Service", **metadata: Any) -> Object:
    fields = [managed("kubectl-create", {"f:spec": {"f:type": {}}}, "Update")]
    metadata = {"name": name, "namespace": "monitoring", "managedFields": fields, **metadata}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


@pytest.fixture
def fleet(dev: Plan) -> Fleet:
    return Fleet(dev)


def test_what_was_deployed_has_not_drifted(fleet: Fleet) -> None:
    found = fleet.drift(fleet.server)
    assert (found.objects, found.error) == ((), None)
    assert found.compared == 2 + len([*manifests_of(fleet.plan, fleet.plan.clusters["eu-1"])])


def test_a_release_that_is_not_there_or_not_what_the_page_says_is_named(fleet: Fleet) -> None:
    server = fleet.server
    *others, now = server.objects
    assert "Release kube-prometheus-stack is missing" in fleet.drifts(FakeServer(others[:-1]))
    cluster = fleet.plan.clusters["eu-1"]
    pinned = replace(cluster, chart=cluster.chart.model_copy(update={"version": "2.0.0"}))
    newer = Fleet(replace(fleet.plan, clusters={**fleet.plan.clusters, "eu-1": pinned}))
    values = merged(json.loads(json.dumps(rendered_values(fleet.plan, cluster))), {"team": "a"})
    failed = FakeServer([*others, release(values, "1.0.0", "failed")])
    assert now not in failed.objects
    assert newer.drifts(failed) == {
        "Release kube-prometheus-stack was changed": [
            "values.team is set, and should not be",
            "version is 1.0.0, should be 2.0.0",
            "status revision 3 is failed",
        ]
    }


def test_what_a_person_adds_is_found_and_what_others_add_or_the_page_names_is_not(fleet: Fleet) -> None:
    server = fleet.server
    owned = by_hand("owned", ownerReferences=[{"kind": "Prometheus", "name": "x"}])
    controllers = by_hand("kube-root-ca.crt", "ConfigMap", managedFields=[managed("kube-controller-manager", {})])
    server.objects += [by_hand("open"), owned, controllers]
    # What the values name, as a page names a Secret of yours.
    named = by_hand("prometheus-gateway-certificate", "Secret")
    values = merged(json.loads(json.dumps(rendered_values(fleet.plan, fleet.plan.clusters["eu-1"]))), {})
    values["prometheus"]["prometheusSpec"]["secrets"] = ["prometheus-gateway-certificate"]
    assert fleet.drifts(server) == {"Service open was added by hand": []}
    cluster = fleet.plan.clusters["eu-1"]
    asked = replace(cluster, overlays=(*cluster.overlays, {"a": {"secret": "prometheus-gateway-certificate"}}))
    server.objects[-4:] = [release(rendered_values(fleet.plan, asked)), named]
    assert Fleet(replace(fleet.plan, clusters={**fleet.plan.clusters, "eu-1": asked})).drifts(server) == {}


@pytest.mark.parametrize(("namespace", "added"), [("monitoring", ["mine"]), ("credentials", ["grafana", "mine"])])
def test_a_secret_that_a_reader_brings_is_asked_for_in_its_namespace_alone(
    namespace: str, added: list[str], fleet: Fleet
) -> None:
    brought = Password.model_validate({"secret": "grafana", "namespace": namespace})
    cluster = replace(fleet.plan.clusters["eu-1"], readers=(Reader("grafana", "eu-1", Key(brought=brought)),))
    read = Fleet(replace(fleet.plan, clusters={**fleet.plan.clusters, "eu-1": cluster}))
    server = read.server
    server.objects += [by_hand("grafana", "Secret"), by_hand("mine", "Secret")]
    assert read.drifts(server) == {f"Secret {name} was added by hand": [] for name in added}


def test_what_is_left_of_a_page_before_is_found(fleet: Fleet) -> None:
    server = fleet.server
    tier = fleet.plan.clusters["eu-1"].tier
    old = deployed(by_hand("old", "NetworkPolicy"))
    old["metadata"]["labels"] = object_labels(tier)
    charts = by_hand("older", managedFields=[], annotations={"meta.helm.sh/release-name": "kube-prometheus-stack"})
    server.objects += [old, charts]
    assert fleet.drifts(server) == {
        "NetworkPolicy old is no longer on the page": [],
        "Service older is no longer on the page": [],
    }


def test_an_object_that_cannot_become_what_it_should_be_has_drifted(fleet: Fleet) -> None:
    server = replace(fleet.server, refusals={"chart": 422})
    assert fleet.drifts(server) == {"Service chart was changed": ["as a whole: the API server refuses it: no"]}


def test_what_nobody_may_try_is_an_error_and_the_rest_is_compared(fleet: Fleet) -> None:
    server = replace(fleet.server, refusals={"chart": 403})
    server.objects = [each for each in server.objects if each["metadata"]["name"] != "cluster-aggregations"]
    found = fleet.drift(server)
    assert found.error == "Service monitoring chart: the API server refuses it: no"
    assert [(each.name, each.what.value) for each in found.objects] == [("cluster-aggregations", "is missing")]


def test_of_a_secret_that_is_refused_nothing_is_quoted(fleet: Fleet) -> None:
    server = replace(fleet.server, refusals={"prometheus-gateway": 400})
    error = fleet.drift(server).error
    assert error is not None
    assert error.split("; ")[-1] == "Secret monitoring prometheus-gateway: the API server refuses it"


def test_a_cluster_that_does_not_answer_is_an_error_with_its_name(fleet: Fleet) -> None:
    silent = FakeServer(silent=httpx.ConnectError("All connection attempts failed"))
    assert fleet.drift(silent).error == "API server of eu-1: All connection attempts failed"
    unreached = asyncio.run(cluster_drift(fleet.plan, fleet.plan.clusters["eu-1"], Unreachable("no"), {}))
    assert unreached == ClusterDrift("eu-1", error="no")


def test_an_error_that_says_nothing_is_told_by_its_name(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a time that has run out."""

    async def api(**_: object) -> object:
        raise TimeoutError

    monkeypatch.setattr(kr8s.asyncio, "api", api)
    with pytest.raises(Unreachable, match=r"^API server of eu-1: TimeoutError$"):
        asyncio.run(Prometheus.connect("eu-1", "monitoring", {}, None))
    assert fleet.drift(FakeServer(silent=TimeoutError())).error == "API server of eu-1: TimeoutError"


def test_an_address_that_only_the_outputs_have_is_no_drift(fleet: Fleet) -> None:
    """Of a LoadBalancer: the page does not say it."""
    gateway = fleet.plan.clusters["eu-1"].gateway
    assert gateway is not None
    balanced = replace(fleet.plan.clusters["eu-1"], gateway=replace(gateway, host=None, type="LoadBalancer"))
    parent = Fleet(replace(fleet.plan, clusters={**fleet.plan.clusters, "eu-1": balanced}), "eu")
    told = {"eu-1": "192.0.2.7:443"}
    server = parent.server
    server.objects[-1] = release(rendered_values(parent.plan, parent.plan.clusters["eu"], told))
    client = Prometheus("eu", "monitoring", server)
    assert asyncio.run(cluster_drift(parent.plan, parent.plan.clusters["eu"], client, told)).objects == ()
    assert parent.drift(server).objects != ()


def test_addresses_that_the_page_does_not_say_come_from_the_outputs_of_the_stack_that_deploys_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "examples" / "stack-per-region", tmp_path, dirs_exist_ok=True)
    plan = compile_fleet(read_fleet("global", tmp_path, {})).part("global")
    unsaid = {edge.child for edge in plan.federation}
    assert unsaid
    assert all(plan.outside[name].gateway.host is None for name in unsaid)
    asked: list[str] = []

    def stack_output(stack: str) -> FleetOutput:
        asked.append(stack)
        deployed = {
            name: {"namespace": "monitoring", "gateway": {"url": f"https://{name}.example:443"}} for name in unsaid
        }
        return FleetOutput.model_validate({"clusters": deployed, "federation": [], "remote_write": []})

    async def fleet_drift(_plan: Plan, addresses: Mapping[str, str], _secret: object) -> list[ClusterDrift]:
        assert addresses == {name: f"{name}.example:443" for name in unsaid}
        return []

    monkeypatch.setattr(live, "stack_output", stack_output)
    monkeypatch.setattr(live, "fleet_drift", fleet_drift)
    asyncio.run(live.live_drift(plan, "global"))
    assert asked == sorted({plan.stacks[name] for name in unsaid})
