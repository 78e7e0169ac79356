"""Two real clusters, one of which is stopped for a while, and what somebody changes by hand."""

import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from two_clusters import STACK, TwoClusters, two_clusters

from fleet.drift.report import DRIFT, FAILED
from fleet.up import PARTIAL
from local import cluster as clusters
from local import toolchain
from local.clusters import LocalFleet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

DEBUG = {"prometheus": {"prometheusSpec": {"logLevel": "debug"}}}
NOWHERE = "https://172.30.9.9:6443"
"""On the bridge, and nobody's."""
KUBE_STATE_METRICS = "deployment/kube-prometheus-stack-kube-state-metrics"
PROMETHEUS = "kube-prometheus-stack-prometheus"
OPERATOR = "kube-prometheus-stack-operator"
PASSWORD = "hunter2-and-more"  # noqa: S105 (what somebody leaves in a Deployment)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoClusters]:
    with two_clusters(tmp_path_factory.mktemp("partial")) as fleet:
        fleet.write(fleet.page({}, {}, protect=False))
        yield fleet


def printed(done: CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def told(done: CompletedProcess[str], code: int = 0) -> str:
    assert done.returncode == code, printed(done)
    return printed(done)


def run(fleet: TwoClusters, *arguments: str) -> CompletedProcess[str]:
    return fleet.run([sys.executable, "-m", "fleet", *arguments, "--stack", STACK])


def up(fleet: TwoClusters) -> CompletedProcess[str]:
    return run(fleet, "up", "--yes")


def drifted(fleet: TwoClusters) -> dict[str, dict[str, list[str]]]:
    """What is the matter with each drifted object, by cluster."""
    clusters = json.loads(run(fleet, "drift", "--format", "json").stdout)
    return {
        cluster["cluster"]: {
            f"{each['kind']} {each['name']} {each['what']}": [f"{one['path']} {one['text']}" for one in each["fields"]]
            for each in cluster["objects"]
        }
        for cluster in clusters
    }


def state(fleet: TwoClusters, cluster: str) -> dict[str, Any]:
    """What the state holds of a cluster: ids and inputs by URN."""
    # Encrypted, a secret looks different each time.
    exported = json.loads(fleet.pulumi("stack", "export", "--show-secrets", f"--stack={STACK}").stdout)
    provider = f"::pulumi:providers:kubernetes::{cluster}::"
    return {
        each["urn"]: (each["id"], each["inputs"])
        for each in exported["deployment"]["resources"]
        if provider in each.get("provider", "")
    }


def log_level(fleet: TwoClusters, cluster: str) -> str:
    return fleet.kubectl(cluster, "get", f"prometheus/{PROMETHEUS}", "--namespace=monitoring")["spec"]["logLevel"]


def by_hand(fleet: TwoClusters, cluster: str, *arguments: str) -> None:
    kubeconfig = fleet.clusters[cluster].kubeconfig
    told(fleet.run(["kubectl", "--kubeconfig", str(kubeconfig), "--namespace=monitoring", *arguments]))


def test_a_fleet_all_of_which_can_be_reached_is_deployed_without_a_word_more(fleet: TwoClusters) -> None:
    text = told(up(fleet))
    assert "reached" not in text


def test_what_was_just_deployed_has_not_drifted(fleet: TwoClusters) -> None:
    text = told(run(fleet, "drift"))
    assert re.fullmatch(r"\d+ objects of 2 clusters compared, 0 drifted\n", text)


def test_a_cluster_out_of_reach_keeps_no_other_from_being_updated(fleet: TwoClusters, tmp_path: Path) -> None:
    """With a change, a new object, and one that goes, in each cluster; and with a new one that was never reached."""
    before = state(fleet, "eu-1")
    clusters.stop(fleet.folder.parent / ".local", "eu-1")
    more = {"readers": {"team": {"clusters": "eu-1"}}, "networkPolicies": False, "protect": False}
    page = fleet.page({"values": DEBUG}, {"values": DEBUG}, **more)
    page["clusters"]["eu-2"] = {
        "tier": "leaf",
        "kubeconfig": str(tmp_path / "eu-2.yaml"),
        "gateway": {"type": "NodePort", "host": "172.30.9.9"},
    }
    elsewhere = yaml.safe_load(fleet.clusters["hub"].kubeconfig.read_text())
    elsewhere["clusters"][0]["cluster"]["server"] = NOWHERE
    (tmp_path / "eu-2.yaml").write_text(yaml.safe_dump(elsewhere))
    fleet.write(page)

    text = told(up(fleet), PARTIAL)
    assert log_level(fleet, "hub") == "debug"
    assert fleet.kubectl("hub", "get", "networkpolicies", "--namespace=monitoring")["items"] == []
    assert state(fleet, "eu-1") == before
    assert state(fleet, "eu-2") == {}
    assert re.search(
        r"^eu-1: not reached \(API server of eu-1: .+\); nothing of it left the state$", text, re.MULTILINE
    )
    assert re.search(
        r"^eu-2: not reached \(API server of eu-2: .+\); nothing of it is deployed yet$", text, re.MULTILINE
    )
    assert text.rstrip().endswith("1 of 3 clusters updated; run this again once the others can be reached")


def test_a_cluster_out_of_reach_is_named_and_the_others_are_compared(fleet: TwoClusters) -> None:
    done = run(fleet, "drift")
    text = told(done, FAILED)
    assert re.search(r"^eu-1: cannot be compared: API server of eu-1: ", text, re.MULTILINE)
    assert re.search(r"^\d+ objects of 1 clusters compared, .+; not \(all\) compared: eu-1, eu-2$", text, re.MULTILINE)
    # The page has a child for it of which nothing is deployed yet.
    assert "hub: Release monitoring/kube-prometheus-stack was changed" in text


def test_a_real_failure_is_not_called_partial(fleet: TwoClusters) -> None:
    """A Prometheus that Kubernetes refuses, beside the cluster that is out of reach."""
    refused = {"prometheus": {"prometheusSpec": {"logLevel": "no-such-level"}}}
    page = fleet.page({"values": refused}, {"values": DEBUG}, protect=False, networkPolicies=False)
    fleet.write(page)
    text = told(up(fleet), 1)
    assert "hub: failed, as it says above" in text
    assert "eu-1: not reached" in text


def test_once_it_is_back_the_same_command_does_the_rest(fleet: TwoClusters) -> None:
    LocalFleet(fleet.folder.parent / ".local", toolchain.ensure()).up(["hub", "eu-1"])
    fleet.write(fleet.page({"values": DEBUG}, {"values": DEBUG}, protect=False))
    told(up(fleet))
    assert log_level(fleet, "eu-1") == "debug"
    assert drifted(fleet) == {"hub": {}, "eu-1": {}}


def test_what_is_changed_added_and_deleted_by_hand_is_found_and_named(fleet: TwoClusters) -> None:
    by_hand(fleet, "eu-1", "scale", KUBE_STATE_METRICS, "--replicas=0")
    by_hand(fleet, "eu-1", "patch", "prometheus", PROMETHEUS, "--type=merge", '--patch={"spec":{"retention":"5d"}}')
    secret = {"stringData": {"auth": f"eu:{PASSWORD}", "more": PASSWORD}}
    by_hand(fleet, "eu-1", "patch", "secret", "prometheus-gateway", f"--patch={json.dumps(secret)}")
    by_hand(fleet, "eu-1", "delete", "prometheusrule", "cluster-aggregations")
    by_hand(fleet, "hub", "label", "service", PROMETHEUS, "team=a")
    by_hand(fleet, "hub", "set", "env", f"deployment/{OPERATOR}", f"PASSWORD={PASSWORD}")
    by_hand(fleet, "hub", "create", "service", "nodeport", "open", "--tcp=9090:9090")
    # Not drift: what is running is as it was, only newer; and pods are their controllers'.
    by_hand(fleet, "eu-1", "rollout", "restart", f"deployment/{OPERATOR}")
    by_hand(fleet, "hub", "annotate", "pods", "--all", "touched=now")

    done = run(fleet, "drift")
    text = told(done, DRIFT)
    assert PASSWORD not in text + run(fleet, "drift", "--format", "json").stdout
    assert drifted(fleet) == {
        "eu-1": {
            "Secret prometheus-gateway was changed": ["data.auth was changed", "data.more was added"],
            "PrometheusRule cluster-aggregations is missing": [],
            "Deployment kube-prometheus-stack-kube-state-metrics was changed": ["spec.replicas is 0, should be 1"],
            f"Prometheus {PROMETHEUS} was changed": ['spec.retention differs, should be "24h"'],
        },
        "hub": {
            f"Service {PROMETHEUS} was changed": ["metadata.labels.team set by hand"],
            f"Deployment {OPERATOR} was changed": [
                "spec.template.spec.containers[kube-prometheus-stack].env[PASSWORD] set by hand"
            ],
            "Service open was added by hand": [],
        },
    }
    assert "Service monitoring/open was added by hand (by kubectl-create)" in text


def test_the_documented_commands_put_back_what_was_changed(fleet: TwoClusters) -> None:
    section = (Path(__file__).parents[2] / "docs" / "drift.md").read_text().partition("## Put it back")[2]
    for block in re.findall(r"```sh\n(.+?)```", section, re.DOTALL):
        command = block.replace("prod", STACK).replace("--refresh", "--refresh --yes --skip-preview")
        for cluster in ("eu-1", "hub"):
            kubeconfig = f"export KUBECONFIG={fleet.clusters[cluster].kubeconfig}; "
            told(fleet.shell("set -e -o pipefail; " + kubeconfig + re.sub(r"--(kube-)?context eu-1", "", command)))
    assert drifted(fleet) == {
        "eu-1": {"Secret prometheus-gateway was changed": ["data.more was added"]},
        "hub": {
            f"Service {PROMETHEUS} was changed": ["metadata.labels.team set by hand"],
            f"Deployment {OPERATOR} was changed": [
                "spec.template.spec.containers[kube-prometheus-stack].env[PASSWORD] set by hand"
            ],
            "Service open was added by hand": [],
        },
    }


def test_a_page_that_was_not_deployed_is_drift(fleet: TwoClusters) -> None:
    values = {"prometheus": {"prometheusSpec": {"logLevel": "warn"}}}
    fleet.write(fleet.page({"values": values}, {"values": DEBUG}, protect=False))
    assert drifted(fleet)["hub"]["Release kube-prometheus-stack was changed"] == [
        'values.prometheus.prometheusSpec.logLevel differs, should be "warn"'
    ]


def test_a_renewed_token_and_another_address_of_the_same_cluster_replace_nothing(fleet: TwoClusters) -> None:
    fleet.write(fleet.page({"values": DEBUG}, {"values": DEBUG}, protect=False))
    told(up(fleet))
    before = {name: state(fleet, name) for name in fleet.clusters}
    token = renewed_token(fleet, "eu-1")
    with forwarded((fleet.clusters["eu-1"].node.address, 6443)) as address:
        document = yaml.safe_load(fleet.clusters["eu-1"].kubeconfig.read_text())
        document["clusters"][0]["cluster"]["server"] = f"https://{address}"
        document["users"][0]["user"] = {"token": token}
        told(
            fleet.pulumi(
                *("config", "set", "--secret", f"--stack={STACK}", "eu-1-kubeconfig"), stdin=yaml.safe_dump(document)
            )
        )
        text = told(up(fleet))
    assert re.search(r"~ +1 updated", text)
    assert not re.search(r"replaced|created|deleted", text)
    assert {name: state(fleet, name) for name in fleet.clusters} == before


def renewed_token(fleet: TwoClusters, cluster: str) -> str:
    by_hand(fleet, cluster, "create", "serviceaccount", "deployer", "--namespace=default")
    bound = (
        "create",
        "clusterrolebinding",
        "deployer",
        "--clusterrole=cluster-admin",
        "--serviceaccount=default:deployer",
    )
    by_hand(fleet, cluster, *bound)
    return str(fleet.kubectl(cluster, "create", "token", "deployer", "--namespace=default")["status"]["token"])


@contextmanager
def forwarded(target: tuple[str, int]) -> Iterator[str]:
    """Another address, on loopback, at which `target` is reached."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=_accept, args=(listener, target), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def _accept(listener: socket.socket, target: tuple[str, int]) -> None:
    while True:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        callee = socket.create_connection(target)
        for one, other in ((caller, callee), (callee, caller)):
            threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
