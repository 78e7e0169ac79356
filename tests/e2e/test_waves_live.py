"""Two real clusters in two waves: what holds the second one back, and what keeps both from being deleted."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from two_clusters import TwoClusters, two_clusters

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

CRASHING = {"prometheus": {"prometheusSpec": {"additionalArgs": [{"name": "no-such-flag"}]}}}
CHANGED = {"prometheus": {"prometheusSpec": {"logLevel": "debug"}}}
PATIENT = {"healthyFor": "5s", "timeout": "5m"}
HURRIED = {"healthyFor": "5s", "timeout": "20s"}
AGENT_AND_SERVER_PODS = ("--namespace=monitoring", "--selector=operator.prometheus.io/name")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoClusters]:
    with two_clusters(tmp_path_factory.mktemp("waves")) as fleet:
        yield fleet


def printed(done: CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def succeeds(done: CompletedProcess[str]) -> str:
    assert done.returncode == 0, printed(done)
    return printed(done)


def when(fleet: TwoClusters, cluster: str, *what: str) -> str:
    """When the object was made, as Kubernetes writes times: they sort as they follow."""
    return fleet.kubectl(cluster, "get", *what)["metadata"]["creationTimestamp"]


def everything(fleet: TwoClusters, cluster: str) -> dict[str, str]:
    """Identity by name of all that the program made there; a thing that is made again has another."""
    kinds = "namespaces,secrets,services,prometheusrules,prometheuses,deployments,statefulsets"
    listed = fleet.kubectl(cluster, "get", kinds, "--all-namespaces")["items"]
    return {f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["uid"] for each in listed}


def test_a_new_fleet_comes_up_wave_by_wave(fleet: TwoClusters) -> None:
    fleet.write(fleet.page({"wave": 1}, {"wave": 2}, waves=PATIENT))
    text = succeeds(fleet.up())
    assert "wave 2 waits for hub: to be healthy for 5s" in text
    (pod,) = fleet.kubectl("hub", "get", "pods", *AGENT_AND_SERVER_PODS)["items"]
    (ready,) = [each for each in pod["status"]["conditions"] if each["type"] == "Ready"]
    first_of_wave_2 = when(fleet, "eu-1", "deployment/kube-prometheus-stack-operator", "--namespace=monitoring")
    assert ready["lastTransitionTime"] < first_of_wave_2
    # What others need of it did not wait.
    assert when(fleet, "eu-1", "secret/prometheus-gateway", "--namespace=monitoring") < ready["lastTransitionTime"]


def test_healthy_clusters_are_passed_without_a_word(fleet: TwoClusters) -> None:
    text = succeeds(fleet.up())
    assert "waits for" not in text
    assert re.search(r"\d+ unchanged", text)
    assert not re.search(r"\d+ (created|updated)", text)


def test_a_wave_that_does_not_become_healthy_holds_the_next_one_back(fleet: TwoClusters) -> None:
    fleet.write(fleet.page({"wave": 1, "values": CRASHING}, {"wave": 2, "values": CHANGED}, waves=HURRIED))
    before = fleet.revision("hub"), fleet.revision("eu-1")
    done = fleet.up()
    text = printed(done)
    assert done.returncode != 0
    assert "wave 2 does not begin: hub is not healthy after 20s: 0 of 1 replicas" in text
    assert "Traceback" not in text
    assert (fleet.revision("hub"), fleet.revision("eu-1")) == (before[0] + 1, before[1])


def test_a_key_of_a_cluster_is_neither_told_nor_left_behind(fleet: TwoClusters, tmp_path: Path) -> None:
    fleet.environment["TMPDIR"] = str(tmp_path)
    try:
        text = printed(fleet.up())
    finally:
        del fleet.environment["TMPDIR"]
    assert "wave 2 does not begin" in text
    key = fleet.kubectl("hub", "config", "view", "--raw")["users"][0]["user"]["client-key-data"]
    state = fleet.pulumi("stack", "export", "--stack=two").stdout
    assert key not in text + state
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in left if b"PRIVATE KEY" in path.read_bytes()]


def test_once_mended_the_next_update_goes_on_with_the_next_wave(fleet: TwoClusters) -> None:
    fleet.write(fleet.page({"wave": 1}, {"wave": 2, "values": CHANGED}, waves=PATIENT))
    before = fleet.revision("hub"), fleet.revision("eu-1")
    succeeds(fleet.up())
    assert (fleet.revision("hub"), fleet.revision("eu-1")) == (before[0] + 1, before[1] + 1)


def test_a_change_that_only_the_operator_carries_out_is_waited_for(fleet: TwoClusters) -> None:
    """Prometheus's own object stays as it was, healthy to look at, until the new operator has begun."""
    slower = {"prometheusOperator": {"prometheusConfigReloader": {"resources": {"requests": {"cpu": "7m"}}}}}
    patient = {"healthyFor": "15s", "timeout": "5m"}
    fleet.write(fleet.page({"values": slower}, {"wave": 2, "values": {**CHANGED, **slower}}, waves=patient))
    succeeds(fleet.up())
    (pod,) = fleet.kubectl("hub", "get", "pods", *AGENT_AND_SERVER_PODS)["items"]
    (record,) = fleet.kubectl(
        "eu-1", "get", "secrets", "--namespace=monitoring", "--selector=owner=helm,status=deployed"
    )["items"]
    assert pod["metadata"]["creationTimestamp"] < record["metadata"]["creationTimestamp"]


def test_what_is_protected_is_the_namespace_and_what_stands_for_all_in_it(fleet: TwoClusters) -> None:
    state = json.loads(fleet.pulumi("stack", "export", "--stack=two").stdout)
    protected = {each["urn"].rpartition("::")[2] for each in state["deployment"]["resources"] if each.get("protect")}
    assert protected == {f"{name}-{what}" for name in fleet.clusters for what in ("namespace", "protection")}


def test_a_protected_fleet_is_not_destroyed_in_any_part(fleet: TwoClusters) -> None:
    before = {name: everything(fleet, name) for name in fleet.clusters}
    done = fleet.pulumi("destroy", "--yes", "--skip-preview", "--stack=two")
    assert done.returncode != 0
    assert "pulumi state unprotect" in printed(done)
    assert {name: everything(fleet, name) for name in fleet.clusters} == before


def test_a_cluster_that_is_taken_off_the_page_keeps_all_it_has(fleet: TwoClusters) -> None:
    before = everything(fleet, "eu-1")
    page = fleet.page({}, {})
    del page["clusters"]["eu-1"]
    fleet.write(page)
    previewed, done = fleet.pulumi("preview", "--stack=two"), fleet.up()
    for each in (previewed, done):
        assert each.returncode != 0
        assert "eu-1-protection" in printed(each)
    assert everything(fleet, "eu-1") == before


def test_it_is_let_go_by_the_command_of_the_documentation(fleet: TwoClusters) -> None:
    text = (Path(__file__).parents[2] / "docs" / "page.md").read_text()
    command = re.search(r"^(pulumi state unprotect .*(?:\n +.*)*)$", text, re.MULTILINE)
    assert command
    shell = command[1].replace("\\\n", " ").replace("STACK", "two").replace("CLUSTER", "eu-1")
    succeeds(fleet.shell(shell))
    succeeds(fleet.up())
    left = everything(fleet, "eu-1")
    assert "Namespace/monitoring" not in left
    assert "Namespace/default" in left


def test_a_fleet_that_says_so_is_destroyed_freely(fleet: TwoClusters) -> None:
    page = fleet.page({}, {})
    del page["clusters"]["eu-1"]
    fleet.write({**page, "protect": False})
    succeeds(fleet.up())
    succeeds(fleet.pulumi("destroy", "--yes", "--skip-preview", "--stack=two"))
    assert "Namespace/monitoring" not in everything(fleet, "hub")
