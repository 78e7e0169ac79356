"""What of a live object is drift, and what is a controller's, the API server's or nobody's business."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from fleet.drift.compare import described, field_drifts, manager, to_try, wanted
from fleet.drift.drift import ClusterDrift, FieldDrift, ObjectDrift, What
from fleet.drift.fields import Difference, differences, set_by_people, shown
from fleet.drift.report import exit_code, report, summary
from fleet.render import PUBLIC_PLACEHOLDER

Object = dict[str, Any]
PROGRAM = "pulumi-kubernetes-0123abcd"


def live(kind: str, fields: Mapping[str, Object], **content: Any) -> Object:
    """`fields` are `fieldsV1` by manager; the first one applied the object, the others updated it."""
    entries = [
        {"manager": name, "operation": "Update" if place else "Apply", "fieldsV1": each}
        for place, (name, each) in enumerate(fields.items())
    ]
    metadata = {"name": "x", "namespace": "monitoring", "managedFields": entries, "resourceVersion": "1"}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **content}


def declared(kind: str, **content: Any) -> Any:
    return wanted({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}, **content}, is_programs=True)


def drifts(one: Any, found: Object, tried: Object | None = None) -> list[str]:
    return [f"{each.path} {each.text}" for each in field_drifts(one, found, tried or found)]


def test_what_the_server_keeps_account_of_is_no_drift() -> None:
    found = live("Service", {PROGRAM: {}}, spec={"clusterIP": "10.0.0.1"}, status={"loadBalancer": {}})
    tried = {**found, "metadata": {**found["metadata"], "resourceVersion": "2", "generation": 7, "managedFields": []}}
    assert drifts(declared("Service"), found, tried) == []


@pytest.mark.parametrize(
    ("found", "tried", "said"),
    [
        ({"paused": True}, {"paused": False}, "spec.paused is true, should be false"),
        ({"replicas": 1}, {"replicas": True}, "spec.replicas is 1, should be true"),
        ({"retention": "5d"}, {"retention": "24h"}, 'spec.retention differs, should be "24h"'),
        ({}, {"retention": "24h"}, 'spec.retention is missing, should be "24h"'),
        ({"retention": "5d"}, {}, "spec.retention is set, and should not be"),
        (
            {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]},
            {"containers": [{"name": "b", "image": "y"}, {"name": "a", "image": "z"}]},
            'spec.containers[a].image differs, should be "z"',
        ),
        ({"ports": [80, 81]}, {"ports": [80, 82]}, "spec.ports[1] is 81, should be 82"),
        ({"ports": [80, 81]}, {"ports": [80]}, "spec.ports differs, should be [80]"),
    ],
)
def test_a_field_that_the_server_would_change_is_named_with_what_it_should_be(
    found: Object, tried: Object, said: str
) -> None:
    one = declared("Prometheus")
    assert drifts(
        one, live("Prometheus", {PROGRAM: {}}, spec=found), live("Prometheus", {PROGRAM: {}}, spec=tried)
    ) == [said]


def test_text_that_somebody_left_in_a_field_is_not_shown() -> None:
    assert "hunter2" not in described(Difference(("spec", "a"), "hunter2", "b"))
    assert "hunter2" not in described(Difference(("spec", "a"), ["hunter2"], ["b"]))


def test_what_is_not_set_says_nothing() -> None:
    """Charts render `annotations: null` and the like."""
    one = declared("Service", spec={"selector": None, "ports": [{"name": "a", "nodePort": None}]}, status={"a": 1})
    assert one.object == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "x"},
        "spec": {"ports": [{"name": "a"}]},
    }


SECRET = declared("Secret", stringData={"auth": "(set by pulumi up)", "config": "(set by pulumi up)"})
OWN = {"f:data": {".": {}, "f:auth": {}, "f:config": {}}}


def test_what_pulumi_up_has_made_is_taken_as_it_is_wherever_it_stands() -> None:
    def pods(mark: str) -> Any:
        return {"template": {"metadata": {"annotations": {"mark": mark, "other": "wanted"}}, "args": ["a", mark]}}

    one = wanted(
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "a"}, "spec": pods(PUBLIC_PLACEHOLDER)},
        is_programs=True,
    )
    found: Any = {"spec": pods("1a2b3c")}
    found["spec"]["template"]["metadata"]["annotations"]["other"] = "somebody's"
    assert to_try(one, found)["spec"] == pods("1a2b3c")


def test_a_secret_is_tried_as_it_is() -> None:
    found = live("Secret", {PROGRAM: OWN}, data={"auth": "YQ==", "config": "Yg=="})
    assert to_try(SECRET, found)["data"] == {"auth": "YQ==", "config": "Yg=="}
    assert "stringData" not in to_try(SECRET, found)
    assert drifts(SECRET, found) == []


@pytest.mark.parametrize("who", ["kubectl-patch", "some-controller"])
def test_a_key_of_a_secret_that_another_has_set_has_changed_whoever_that_was(who: str) -> None:
    fields = {PROGRAM: {"f:data": {".": {}, "f:config": {}}}, who: {"f:data": {"f:auth": {}, "f:more": {}}}}
    found = live("Secret", fields, data={"auth": "aHVudGVyMg==", "config": "Yg==", "more": "aHVudGVyMg=="})
    assert drifts(SECRET, found) == ["data.auth was changed", "data.more was added"]


def test_a_key_of_a_secret_that_is_gone_is_missing() -> None:
    found = live("Secret", {PROGRAM: OWN}, data={"config": "Yg=="})
    # The API server would put it back, empty, for nobody here knows what was in it.
    tried = {**found, "data": {"auth": "", "config": "Yg=="}}
    assert drifts(SECRET, found, tried) == ["data.auth is missing"]


def test_no_value_of_a_charts_secret_is_told() -> None:
    one = wanted(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"a": "YQ=="}}, is_programs=False
    )
    found, tried = (live("Secret", {"helm": {}}, data={"a": each}) for each in ("Yg==", "YQ=="))
    assert drifts(one, found, tried) == ["data.a was changed"]


def test_a_key_more_in_a_configmap_is_drift() -> None:
    one = declared("ConfigMap", data={"a": "1"})
    assert drifts(one, live("ConfigMap", {PROGRAM: {}}, data={"a": "1", "b": "2"})) == ["data.b was added"]


def by_people(fields: Object, wanted: Object, name: str = "kubectl-edit", **entry: str) -> list[str]:
    found = live("Deployment", {PROGRAM: {"f:spec": {"f:replicas": {}}}, name: fields})
    found["metadata"]["managedFields"][1].update(entry)
    return [shown(path) for path in set_by_people(found, wanted)]


def test_a_field_that_a_person_has_added_is_named() -> None:
    containers = {'k:{"name":"app"}': {"f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}}}}
    added = {"f:metadata": {"f:labels": {"f:team": {}}}, "f:spec": {"f:template": {"f:containers": containers}}}
    assert by_people(added, {}) == ["metadata.labels.team", "spec.template.containers[app].env[A]"]


def test_what_controllers_have_added_is_theirs() -> None:
    added = {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}}
    assert by_people(added, {}, "kube-controller-manager") == []


def test_what_a_person_has_set_to_what_the_program_sets_is_no_drift() -> None:
    """Changed, and changed back."""
    ports = {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}
    # The API server fills in the protocol.
    spec = {"paused": False, "ports": [{"containerPort": 80}]}
    assert by_people({"f:spec": {"f:paused": {}, "f:ports": ports}}, {"spec": spec}) == []


def test_a_restart_and_what_is_set_through_a_subresource_are_no_drift() -> None:
    note = {"f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {}}}}
    assert by_people(note, {}, "kubectl-rollout") == []
    assert by_people({"f:status": {"f:replicas": {}}}, {}, "kubectl", subresource="scale") == []


def test_the_program_is_tried_as_itself_and_the_chart_as_nobody() -> None:
    found = live("Service", {PROGRAM: {}, "kubectl-edit": {}})
    chart = wanted(found, is_programs=False)
    assert manager(declared("Service"), found) == PROGRAM
    assert manager(declared("Service"), live("Service", {"kubectl": {}})) == manager(chart, found)


def test_equal_states_do_not_differ() -> None:
    state = {"a": [{"name": "x", "b": None}, {"name": "y"}], "c": {"d": [1, 2.5, "e"]}}
    assert list(differences(state, json.loads(json.dumps(state)))) == []


CHANGED = ObjectDrift("Secret", "monitoring", "a`b", What.CHANGED, "kubectl", (FieldDrift("data.c", "was changed"),))
DRIFTED, CLEAN = ClusterDrift("eu-1", (CHANGED,), compared=3), ClusterDrift("hub", compared=2)
SILENT = ClusterDrift("eu-2", error="API server of eu-2: timed out")


@pytest.mark.parametrize(
    ("found", "code"), [([CLEAN], 0), ([CLEAN, DRIFTED], 2), ([DRIFTED, SILENT], 1), ([CLEAN, SILENT], 1)]
)
def test_what_could_not_be_compared_outweighs_what_was_found(found: list[ClusterDrift], code: int) -> None:
    assert exit_code(found) == code


def test_nothing_that_is_named_in_a_cluster_is_markdown_in_an_issue() -> None:
    assert (
        report([DRIFTED, CLEAN, SILENT], "markdown")
        == """\
5 objects of 2 clusters compared, 1 drifted; not (all) compared: eu-2.

### eu-1

- `` Secret monitoring/a`b was changed (by kubectl) ``
  - `data.c was changed`

### eu-2

- **cannot be compared**: `API server of eu-2: timed out`
"""
    )
    assert summary([CLEAN]) == "2 objects of 1 clusters compared, 0 drifted"


def test_an_object_with_many_changes_does_not_fill_a_report() -> None:
    many = ObjectDrift("ConfigMap", "", "x", What.CHANGED, "", tuple(FieldDrift(str(each), "") for each in range(40)))
    lines = report([ClusterDrift("eu-1", (many,))], "text").splitlines()
    assert len(lines) == 14
    assert lines[-1] == "    and 28 more fields"
