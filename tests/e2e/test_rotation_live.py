"""Every key and the authority of a fleet change while it works: nothing fails, nothing is lost, nothing restarts.

Four real clusters in a network namespace of their own, a scrape every second, and a sender whose every scrape carries
numbers of its own: one that did not arrive would be missed.
"""

import base64
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from kubectl import api, eventually, kubectl, objects, query, raw_samples
from live import ROOT
from program_copy import copy_program, kubeconfig, program_environment

from fleet.compiler import compile_fleet
from fleet.gateway import match_query
from fleet.page import read_fleet
from fleet.plan import AlertEdge, Edge, FederationEdge, Plan, RemoteWriteEdge
from local import images, toolchain
from local.clusters import LocalFleet
from local.network import HOST_ADDRESS, node_address
from local.rendering import image_references
from local.stack import mend
from tests.local.isolation import own_network

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(2400)]

CLUSTERS = {
    "eu-1": {"tier": "leaf", "region": "eu"},
    "eu": {"tier": "regional", "region": "eu"},
    "hub": {"tier": "global"},
    "shop-1": {"tier": "edge"},
}
STACK = "rotating"
FEDERATED = "1s"
SENDERS = ("eu-1", "eu")
"""Of alerts."""
INTERVALS = {
    "scrape": "900ms",
    "rules": "900ms",
    "federation": {"floor": FEDERATED, "regional": FEDERATED, "global": FEDERATED},
}
SERIES = 500
PODS = ("pods", "--namespace=monitoring", "--selector=operator.prometheus.io/name")


class Load(ThreadingHTTPServer):
    """`load_total` of every answer is one more than of the answer before, whoever asks."""

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), _Answer)  # noqa: S104 (in a network namespace of the test's own)
        self.answered = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Answer(BaseHTTPRequestHandler):
    server: Load

    def do_GET(self) -> None:
        self.server.answered += 1
        lines = (f'load_total{{number="{number}"}} {self.server.answered}\n' for number in range(SERIES))
        body = ("# TYPE load_total counter\n" + "".join(lines)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
        pass


@dataclass(frozen=True)
class Shown:
    """What a caller shows, as its Secret has it."""

    username: str
    password: str
    certificate: str
    key: str
    ca: str


@dataclass
class Rotated:
    plan: Plan
    began: float
    ended: float = 0
    pods: Mapping[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    stolen: dict[str, Shown] = field(default_factory=dict)
    """By edge, before the first rotation."""
    recorded_when_killed: Mapping[str, int] = field(default_factory=dict)
    notified: dict[str, tuple[dict[str, float], dict[str, float]]] = field(default_factory=dict)
    """By sender, alerts before and after."""
    answers_before_new_authority: dict[str, Any] = field(default_factory=dict)

    @property
    def window(self) -> str:
        return f"{self.ended - self.began:.0f}s"


def run(folder: Path, *command: str, within: float = 900) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=within, check=False
    )


def succeeds(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("rotation")
    chart = copy_program(folder)
    located: dict[str, Any] = {}
    for number, (name, cluster) in enumerate(CLUSTERS.items(), 1):
        located[name] = {**cluster, "kubeconfig": kubeconfig(folder, name)}
        if cluster["tier"] != "edge":
            located[name]["gateway"] = {"type": "NodePort", "host": node_address(number), "port": 30443}
    page = {
        "chart": {"source": str(chart)},
        "values": {"prometheusOperator": {"admissionWebhooks": {"enabled": False}, "tls": {"enabled": False}}},
        "protect": False,
        "intervals": INTERVALS,
        "keep": ["load_total"],
        "keys": {"auth": "both"},
        "clusters": located,
    }
    document = {"config": {"prometheus-fleet:fleet": page}}
    (folder / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    with program_environment(folder, CLUSTERS):
        yield folder


@pytest.fixture(scope="module")
def plan(program: Path) -> Plan:
    return compile_fleet(read_fleet(STACK, program, {}))


@pytest.fixture(scope="module")
def fleet(program: Path, plan: Plan) -> Iterator[Path]:
    """Deployed, and every edge carries samples."""
    tools = toolchain.ensure()
    references = image_references(plan, toolchain.version("kubectl"))
    archives = {name: images.archive({*references[name]}, tools) for name in CLUSTERS}
    with own_network():
        clusters = LocalFleet(program / ".local", tools)
        try:
            for cluster in clusters.up([*CLUSTERS]):
                cluster.import_images(archives[cluster.node.name])
            succeeds(run(program, "pulumi", "stack", "select", "--create", STACK))
            up = ("pulumi", "--non-interactive", "up", "--yes", "--skip-preview", "--suppress-outputs")
            settings = program / "policies.json"
            dev = json.loads((ROOT / "policies" / "config" / "prometheus-fleet.dev.json").read_text())
            settings.write_text(json.dumps({**dev, "intervals": {"shortest": FEDERATED}}))
            policies = (f"--policy-pack={ROOT / 'policies'}", f"--policy-pack-config={settings}")
            succeeds(run(program, *up, f"--stack={STACK}", *policies))
            kubectl("shop-1", "apply", "--filename=-", stdin=load_scrape(Load().server_address[1]))
            for sender in SENDERS:
                kubectl(sender, "apply", "--filename=-", stdin=flapping_alert())
            eventually(all_is_well, within=240)
            yield program
        finally:
            clusters.down()


def load_scrape(port: int) -> str:
    spec = {
        "jobName": "load",
        "scrapeInterval": "1s",
        "scrapeTimeout": "1s",
        "staticConfigs": [{"targets": [f"{HOST_ADDRESS}:{port}"]}],
    }
    kind = {"apiVersion": "monitoring.coreos.com/v1alpha1", "kind": "ScrapeConfig"}
    return yaml.safe_dump({**kind, "metadata": {"name": "load", "namespace": "monitoring"}, "spec": spec})


def flapping_alert() -> str:
    """One that fires and ends every few seconds: each time it is told."""
    alert = {"alert": "Flapping", "expr": "vector(time() % 6) < 3", "labels": {"severity": "none"}}
    spec = {"groups": [{"name": "flapping", "rules": [alert]}]}
    kind = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule"}
    return yaml.safe_dump({**kind, "metadata": {"name": "flapping", "namespace": "monitoring"}, "spec": spec})


def notified(cluster: str) -> dict[str, float]:
    """Alerts that its Prometheus has sent, and those that it could not send."""
    (pod,) = objects(cluster, *PODS)
    path = f"/api/v1/namespaces/monitoring/pods/{named(pod)}:9090/proxy/metrics"
    lines = kubectl(cluster, "get", "--raw", path).splitlines()
    return {
        what: sum(
            float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"prometheus_notifications_{what}")
        )
        for what in ("sent_total", "errors_total", "dropped_total")
    }


def all_is_well() -> None:
    for sender in SENDERS:
        assert notified(sender)["sent_total"] > 0
    for parent, job in (("eu", "federate-eu-1"), ("hub", "federate-eu")):
        assert [value for _, value in query(parent, f'min_over_time(up{{job="{job}"}}[20s])')] == [1]
        assert [value >= 15 for _, value in query(parent, f'count_over_time(up{{job="{job}"}}[20s])')] == [True]
    assert query("hub", 'count(count_over_time(load_total{cluster="shop-1"}[10s]) > 7)')[0][1] == SERIES


def rotate(folder: Path, *arguments: str) -> tuple[str, float]:
    started = time.monotonic()
    said = succeeds(run(folder, sys.executable, "-m", "fleet", "rotate", "--yes", "--stack", STACK, *arguments))
    return said, time.monotonic() - started


def output(folder: Path) -> Any:
    return json.loads(succeeds(run(folder, "pulumi", "stack", "output", "fleet", "--json", f"--stack={STACK}")))


def killed_half_way(folder: Path) -> str:
    """A rotation of all keys whose Pulumi, and all with it, is killed once a first Secret is written."""
    command = [sys.executable, "-m", "fleet", "rotate", "--yes", "--stack", STACK, "keys"]
    said = ""
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if "core/v1:Secret" in line and "updated" in line:
                break
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, said
    return said


def held(edge: Edge) -> Shown:
    name = {
        FederationEdge: "federation-credentials",
        RemoteWriteEdge: "remote-write-credentials",
        AlertEdge: "alert-credentials",
    }[type(edge)]
    (secret,) = [each for each in objects(edge.caller, "secrets", "--namespace=monitoring") if named(each) == name]
    data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    password = data[edge.callee] if isinstance(edge, FederationEdge) else data[f"{edge.callee}.password"]
    certificate, key, ca = (data[f"{edge.callee}.{ending}"] for ending in ("crt", "key", "ca"))
    return Shown(edge.caller, password, certificate, key, ca)


def named(found: Mapping[str, Any]) -> str:
    return found["metadata"]["name"]


def call(plan: Plan, edge: Edge, shown: tuple[Shown, Shown], ca: str, folder: Path) -> int | str:
    """Status of the answer to one's password with another's certificate, or `refused` where TLS comes to nothing."""
    password, certificate = shown
    files = [folder / "client.crt", folder / "client.key"]
    for file, text in zip(files, (certificate.certificate, certificate.key), strict=True):
        file.touch(mode=0o600)
        file.write_text(text)
    context = ssl.create_default_context(cadata=ca)
    context.load_cert_chain(*files)
    gateway = plan.clusters[edge.callee].gateway
    assert gateway is not None
    assert edge.server is not None
    posted: dict[str, Any] = {}
    match edge:
        case FederationEdge():
            method, path = "GET", f"/federate?{match_query(edge.matches)}"
        case RemoteWriteEdge():
            method, path = "POST", "/api/v1/write"
        case AlertEdge():
            method, path = "POST", "/api/v2/alerts"
            posted["json"] = [{"labels": {"alertname": "Rotation", **edge.labels}}]
    with httpx.Client(verify=context, auth=(password.username, password.password), trust_env=False) as client:
        request = client.build_request(
            method,
            f"https://{gateway.host}:{gateway.port}{path}",
            **posted,
            extensions={"sni_hostname": edge.server.name},
        )
        try:
            return client.send(request).status_code
        except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError) as error:
            return f"refused: {error}"


def prometheus_pods() -> dict[str, Any]:
    """Identity, containers' restarts and start times, by cluster."""
    return {
        cluster: [
            (
                pod["metadata"]["uid"],
                sorted(
                    (each["name"], each["restartCount"], each["state"]["running"]["startedAt"])
                    for each in pod["status"]["containerStatuses"]
                ),
            )
            for pod in objects(cluster, *PODS)
        ]
        for cluster in CLUSTERS
    }


@pytest.fixture(scope="module")
def rotated(fleet: Path, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Rotated:
    """Every key twice, once killed half-way and continued, and then the authority."""
    folder = tmp_path_factory.mktemp("stolen")
    result = Rotated(plan, began=time.time())
    result.pods = prometheus_pods()
    notified_before = {sender: notified(sender) for sender in SENDERS}
    result.stolen = {edge.id: held(edge) for edge in plan.edges}
    result.said["first"], result.seconds["first"] = rotate(fleet, "keys")
    result.said["killed"] = killed_half_way(fleet)
    mend(fleet / "state")
    result.recorded_when_killed = output(fleet)["keys"]
    succeeds(run(fleet, "pulumi", "cancel", "--yes", f"--stack={STACK}"))
    result.said["continued"], result.seconds["continued"] = rotate(fleet, "keys")
    for edge in plan.edges:
        stolen, now = result.stolen[edge.id], held(edge)
        result.answers_before_new_authority[edge.id] = (
            call(plan, edge, (now, now), now.ca, folder),
            call(plan, edge, (stolen, now), now.ca, folder),
            call(plan, edge, (now, stolen), now.ca, folder),
        )
    result.said["authority"], result.seconds["authority"] = rotate(fleet, "authority")
    result.notified = {sender: (notified_before[sender], notified(sender)) for sender in SENDERS}
    result.ended = time.time()
    return result


def test_what_was_killed_is_continued_and_not_begun_anew(fleet: Path, rotated: Rotated) -> None:
    page = yaml.safe_load((fleet / f"Pulumi.{STACK}.yaml").read_text())["config"]["prometheus-fleet:fleet"]
    assert page["keys"] == {"auth": "both", "generation": 3}
    assert page["authority"] == {"trust": [2], "issue": 2}
    assert set(rotated.recorded_when_killed.values()) == {2}
    assert output(fleet)["keys"] == dict.fromkeys((edge.id for edge in rotated.plan.edges), 3)
    assert output(fleet)["authority"] == {"trust": [2], "issue": 2}


@pytest.mark.parametrize(("parent", "job"), [("eu", "federate-eu-1"), ("hub", "federate-eu")])
def test_no_scrape_of_a_federation_fails_or_is_left_out(rotated: Rotated, parent: str, job: str) -> None:
    samples = raw_samples(parent, f'up{{job="{job}"}}[{rotated.window}] @ {rotated.ended:.3f}')
    assert {value for _, value in samples} == {1}
    moments = [when for when, _ in samples]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    print(f"{job}: {len(samples)} scrapes in {rotated.window}, at most {max(gaps):.1f} s apart")  # noqa: T201 (a figure)
    assert len(samples) >= 0.98 * (rotated.ended - rotated.began)
    assert max(gaps) < 2.5


def test_no_sample_of_the_sender_is_lost(rotated: Rotated) -> None:
    window = f'load_total{{cluster="shop-1"}}[{rotated.window}] @ {rotated.ended - 20:.3f}'
    missing = query("hub", f"max_over_time({window}) - min_over_time({window}) + 1 - count_over_time({window})")
    assert len(missing) == SERIES
    assert {value for _, value in missing} == {0}
    ((_, arrived),) = query("hub", f"sum(count_over_time({window}))")
    print(f"{arrived:.0f} samples arrived in {rotated.window}")  # noqa: T201 (a figure)
    assert arrived >= 0.9 * SERIES * (rotated.ended - rotated.began)


@pytest.mark.usefixtures("rotated")
def test_the_sender_counts_nothing_as_failed_or_dropped() -> None:
    (pod,) = objects("shop-1", *PODS)
    path = f"/api/v1/namespaces/monitoring/pods/{named(pod)}:9090/proxy/metrics"
    lines = kubectl("shop-1", "get", "--raw", path).splitlines()
    counted = {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith("prometheus_remote_storage_")
    }
    failed = {name: value for name, value in counted.items() if "_samples_failed_total" in name}
    # What the edge keeps to itself by relabelling is dropped on purpose.
    dropped = {
        name: value
        for name, value in counted.items()
        if "_samples_dropped_total" in name and '"dropped_series"' not in name
    }
    retried = {name: value for name, value in counted.items() if "_samples_retried_total" in name}
    print(f"failed {failed}, dropped {dropped}, retried {retried}")  # noqa: T201 (a figure)
    assert set(failed.values()) == {0}
    assert set(dropped.values()) <= {0}


@pytest.mark.parametrize("sender", SENDERS)
def test_no_alert_is_refused_or_left_out(rotated: Rotated, sender: str) -> None:
    before, after = rotated.notified[sender]
    sent = after["sent_total"] - before["sent_total"]
    print(f"{sender}: {sent:.0f} alerts in {rotated.window}")  # noqa: T201 (a figure)
    # It fires and ends every six seconds.
    assert sent >= (rotated.ended - rotated.began) / 6
    assert {name: after[name] - before[name] for name in ("errors_total", "dropped_total")} == {
        "errors_total": 0,
        "dropped_total": 0,
    }


def test_no_prometheus_and_no_gateway_restarts(rotated: Rotated) -> None:
    assert prometheus_pods() == rotated.pods


def test_a_password_or_a_certificate_of_two_generations_ago_is_refused(rotated: Rotated) -> None:
    for edge, (now, old_password, old_certificate) in rotated.answers_before_new_authority.items():
        assert now in {200, 204, 400}, edge
        assert old_password == 401, edge
        assert old_certificate in {401, 403}, edge


def test_what_the_old_authority_signed_is_refused_by_both_ends(rotated: Rotated, tmp_path: Path) -> None:
    for edge in rotated.plan.edges:
        stolen, now = rotated.stolen[edge.id], held(edge)
        assert call(rotated.plan, edge, (now, now), now.ca, tmp_path) in {200, 204, 400}
        assert str(call(rotated.plan, edge, (now, stolen), now.ca, tmp_path)).startswith("refused")
        assert "CERTIFICATE_VERIFY_FAILED" in str(call(rotated.plan, edge, (now, now), stolen.ca, tmp_path))


UP = ("pulumi", "--non-interactive", "up", "--yes", "--skip-preview", f"--stack={STACK}")


def with_generation(fleet: Path, generation: int) -> None:
    path = fleet / f"Pulumi.{STACK}.yaml"
    document = yaml.safe_load(path.read_text())
    document["config"]["prometheus-fleet:fleet"]["keys"]["generation"] = generation
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def credentials_of_eu() -> str:
    return kubectl("eu", "get", "--namespace=monitoring", "secret/federation-credentials", "--output=yaml")


@pytest.mark.usefixtures("rotated")
def test_the_program_refuses_a_step_too_large_before_it_makes_anything(fleet: Path) -> None:
    before = credentials_of_eu()
    with_generation(fleet, 5)
    for command in (("pulumi", "--non-interactive", "preview", f"--stack={STACK}"), UP):
        done = run(fleet, *command)
        said = done.stdout + done.stderr
        assert done.returncode != 0
        assert "keys.generation: generation 3 is deployed, and gateways accept 2 to 4" in said
        assert "generation: 4" in said
        assert "Traceback" not in said
    with_generation(fleet, 3)
    assert credentials_of_eu() == before


@pytest.mark.usefixtures("rotated")
def test_the_program_refuses_a_step_that_a_running_process_is_not_ready_for(fleet: Path) -> None:
    """A Prometheus that does not say what it holds may hold anything."""
    told = json.loads(kubectl("eu", "get", *SECRET, "--output=json"))["data"]["keys.json"]
    put_held_keys(base64.b64encode(b"[]").decode())
    eventually(lambda: says_held_keys(said=False), within=120)
    before = credentials_of_eu()
    with_generation(fleet, 4)
    done = run(fleet, *UP)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "keys do not change yet" in said
    assert "- eu does not say with which generation it calls along eu-federates-eu-1" in said
    assert "- hub" not in said
    assert "Traceback" not in said
    assert credentials_of_eu() == before
    with_generation(fleet, 3)
    put_held_keys(told)
    eventually(lambda: says_held_keys(said=True), within=120)


SECRET = ("--namespace=monitoring", "secret/federation-credentials")


def put_held_keys(text: str) -> None:
    kubectl("eu", "patch", *SECRET, "--patch", json.dumps({"data": {"keys.json": text}}))


def says_held_keys(*, said: bool) -> None:
    """Of its key for the leaf; that for its alerts lies in another Secret."""
    found = api("eu", "targets", state="dropped", scrapePool="keys")["droppedTargets"]
    assert ("eu-federates-eu-1" in {each["discoveredLabels"]["edge"] for each in found}) is said


def test_an_update_without_a_change_asks_nobody_and_changes_nothing(fleet: Path, rotated: Rotated) -> None:
    succeeds(run(fleet, *UP, "--expect-no-changes"))
    print({name: f"{seconds:.0f} s" for name, seconds in rotated.seconds.items()})  # noqa: T201 (a figure)
