"""When an object of each kind counts as ready."""

import pytest

from local.standins.host import StandInError
from local.standins.kubernetes.await_ready import RULES, NeverReadyError, rule_for, timeout_of
from local.standins.properties import Json, JsonObject


def conditions(**statuses: str) -> list[Json]:
    return [{"type": kind, "status": status, "reason": "NewReplicaSetAvailable"} for kind, status in statuses.items()]


ROLLED: JsonObject = {
    "metadata": {"generation": 2, "annotations": {"deployment.kubernetes.io/revision": "2"}},
    "spec": {"replicas": 2},
    "status": {
        "observedGeneration": 2,
        "updatedReplicas": 2,
        "availableReplicas": 2,
        "conditions": conditions(Available="True", Progressing="True"),
    },
}


def with_status(base: JsonObject, **status: Json) -> JsonObject:
    old = base["status"]
    assert isinstance(old, dict)
    return {**base, "status": {**old, **status}}


@pytest.mark.parametrize(
    ("live", "missing"),
    [
        (ROLLED, ""),
        (with_status(ROLLED, observedGeneration=1), "waiting for the Deployment controller"),
        (with_status(ROLLED, updatedReplicas=1), "1/2 pods available"),
        (with_status(ROLLED, availableReplicas=0), "0/2 pods available"),
        (with_status(ROLLED, conditions=conditions(Available="False", Progressing="True")), "2/2 pods available"),
    ],
)
def test_a_deployment_is_ready_when_its_new_pods_serve(live: JsonObject, missing: str) -> None:
    assert RULES["apps/v1/Deployment"](live) == missing


STATEFUL: JsonObject = {
    "metadata": {"generation": 1},
    "spec": {"replicas": 2},
    "status": {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 2,
        "currentReplicas": 2,
        "currentRevision": "a",
        "updateRevision": "a",
    },
}


def test_a_stateful_set_is_ready_when_all_run_the_new_revision() -> None:
    rule = RULES["apps/v1/StatefulSet"]
    assert rule(STATEFUL) == ""
    assert rule(with_status(STATEFUL, updateRevision="b")) == "2/2 pods ready"
    assert rule(with_status(STATEFUL, readyReplicas=1)) == "1/2 pods ready"


def test_a_daemon_set_is_ready_when_every_node_runs_the_new_pod() -> None:
    numbers = dict.fromkeys(("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady"), 3)
    live: JsonObject = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, **numbers}}
    rule = RULES["apps/v1/DaemonSet"]
    assert rule(live) == ""
    assert rule(with_status(live, numberAvailable=2)) == "2/3 pods available"
    assert rule({"metadata": {"generation": 1}, "status": {}}) == "waiting for the DaemonSet controller"


def test_a_failed_job_is_not_waited_for() -> None:
    rule = RULES["batch/v1/Job"]
    assert rule({"status": {"conditions": conditions(Complete="True")}}) == ""
    assert rule({"status": {"succeeded": 1}, "spec": {"completions": 3}}) == "1/3 completed"
    with pytest.raises(NeverReadyError):
        rule({"status": {"conditions": conditions(Failed="True")}})


def test_a_definition_is_ready_when_established() -> None:
    rule = RULES["apiextensions.k8s.io/v1/CustomResourceDefinition"]
    assert rule({"status": {"conditions": conditions(Established="True", NamesAccepted="True")}}) == ""
    assert rule({"status": {}}) == "not established yet"
    with pytest.raises(NeverReadyError):
        rule({"status": {"conditions": conditions(NamesAccepted="False")}})


def inputs(**annotations: str) -> JsonObject:
    named: JsonObject = {f"pulumi.com/{name}": value for name, value in annotations.items()}
    return {"metadata": {"annotations": named}}


def test_annotations_decide_what_and_how_long_to_wait() -> None:
    live: JsonObject = {"apiVersion": "v1", "kind": "Pod"}
    assert rule_for(live, inputs(skipAwait="true")) is None
    rule = rule_for(live, inputs(waitFor="condition=Warm=True"))
    assert rule
    assert rule({"status": {"conditions": conditions(Warm="True")}}) == ""
    assert rule({"status": {}}) == "waiting for the condition Warm"
    with pytest.raises(StandInError, match="jsonpath"):
        rule_for(live, inputs(waitFor="jsonpath={.status.phase}"))
    assert timeout_of(inputs(timeoutSeconds="7"), 0) == 7
    assert timeout_of(inputs(timeoutSeconds="7"), 9) == 9
    assert timeout_of({}, 0) == 600
