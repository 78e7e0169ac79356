"""A parent's discovery against a real API server, and children that lie: each is confined to its own name.

Real etcd, API server and Prometheus in a network namespace; the Services' addresses lie on its loopback.
"""

import base64
import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import bcrypt
import httpx
import pytest
import yaml
from chart_reference import TIERS, render
from isolation import own_network

from fleet.compiler import compile_page
from fleet.gateway import Caller, caddy_config
from fleet.names import DISCOVERY_JOB, DISCOVERY_KEY, FEDERATION_CREDENTIALS, service_labels
from fleet.page import read_page
from fleet.plan import Plan
from fleet.render import rendered_values
from local.api_server import ApiServer, api_server, free_ports
from local.chart_assembly import assemble

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
PASSWORD = "the-shared-one"  # noqa: S105 (of this test's own children)
ROLE = "kube-prometheus-stack-prometheus"
RECORD = "cluster:namespace_cpu:sum"
FORGED = {"cluster": "eu-1", "region": "moon", "level": "regional", "datacenter": "x", "job": "x", "instance": "x"}

PAGE = {
    "intervals": {
        "scrape": "1s",
        "rules": "1s",
        "federation": {"floor": "2s", "regional": "2s", "global": "2s"},
    },
    "clusters": {
        "hub": {"tier": "global", "context": "hub"},
        "eu": {
            "tier": "regional",
            "region": "eu",
            "context": "eu",
            "discover": {
                "forger": {"namespace": "shop"},
                "guarded": {"namespace": "shop", "port": "gateway"},
                "rogue": {"namespace": "ware"},
                "redirector": {"namespace": "ware"},
                "outsider": {"namespace": "ware"},
                "twins": {"namespace": "ware"},
                "large": {"namespace": "ware", "budget": 40, "expect": {"namespaces": 1, "services": 1, "nodes": 1}},
                "absent": {"namespace": "ware"},
            },
        },
        "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
    },
}


@dataclass
class Child:
    """A child that answers whatever it likes, at an address of its own, and remembers who called."""

    address: str
    answer: str = ""
    location: str | None = None
    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(path, value of Authorization)."""

    @contextlib.contextmanager
    def serving(self) -> Iterator["Child"]:
        child = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                child.calls.append((self.path, self.headers.get("Authorization", "")))
                self.send_response(302 if child.location else 200)
                if child.location:
                    self.send_header("Location", child.location)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(child.answer.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
                """Test output is no place for an access log."""

        server = ThreadingHTTPServer((self.address, 9090), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


def service(namespace: str, cluster: str, address: str | None, name: str | None = None) -> dict[str, Any]:
    """As the program labels a leaf's; without an address, a name outside of the cluster."""
    outside = {"type": "ExternalName", "externalName": "localhost"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name or cluster, "namespace": namespace, "labels": service_labels(cluster)},
        "spec": {
            **({"clusterIP": address} if address else outside),
            "ports": [
                {"name": name, "port": port}
                for name, port in {"http-web": 9090, "reloader-web": 8080, "gateway": 9443}.items()
            ],
        },
    }


CHILDREN = {
    name: Child(f"10.96.7.{number}")
    for number, name in enumerate(
        ("forger", "rogue", "redirector", "bystander", "stranger", "impostor", "twins", "twins-2", "large"), start=1
    )
}
GUARDED = "10.96.7.99"
"""Where the forger answers as well, to who has the credential."""
OBJECTS = [
    *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("shop", "ware", "elsewhere")),
    *(service("ware", name, CHILDREN[name].address) for name in ("rogue", "redirector", "twins", "large")),
    service("shop", "forger", CHILDREN["forger"].address),
    service("shop", "guarded", GUARDED),
    service("ware", "twins", CHILDREN["twins-2"].address, name="twins-2"),
    service("ware", "outsider", None),
    service("shop", "stranger", CHILDREN["stranger"].address),
    service("elsewhere", "forger", CHILDREN["impostor"].address),
    service("shop", "eu-1", CHILDREN["bystander"].address),
]


@dataclass(frozen=True)
class Parent:
    client: httpx.Client

    def query(self, promql: str) -> list[dict[str, str]]:
        """Labels of the series that there are now."""
        answer = self.client.get("/api/v1/query", params={"query": promql}).raise_for_status().json()
        return [series["metric"] for series in answer["data"]["result"]]

    def targets(self, cluster: str) -> list[dict[str, Any]]:
        params = {"state": "active", "scrapePool": f"{DISCOVERY_JOB}/{cluster}"}
        answer = self.client.get("/api/v1/targets", params=params).raise_for_status().json()
        return answer["data"]["activeTargets"]

    def error(self, cluster: str) -> str:
        """What the last scrape of its only target failed at, once it did."""
        return eventually(lambda: next((each["lastError"] for each in self.targets(cluster)), ""))


_T = TypeVar("_T")


def eventually(ask: Callable[[], _T]) -> _T:
    """The first answer that is not empty."""
    deadline = time.monotonic() + 30
    while not (found := ask()):
        assert time.monotonic() < deadline, "nothing came within 30 s"
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def prometheus(folder: Path, config: Mapping[str, Any], address: str, *more: str) -> Iterator[Parent]:
    folder.mkdir()
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}"]
    listen = [f"--web.listen-address={each}" for each in (address, *more)]
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen([*command, *listen], stdout=output, stderr=output) as process,
        httpx.Client(base_url=f"http://{address}", trust_env=False) as client,
    ):
        try:
            eventually(lambda: process.poll() is not None or _is_ready(client))
            assert process.poll() is None, log.read_text()
            yield Parent(client)
        finally:
            process.kill()


def _is_ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return client.get("/-/ready").is_success
    return False


def forging(folder: Path) -> dict[str, Any]:
    """A real Prometheus that records what the fleet records, in another cluster's name, under every label there is."""
    names = [RECORD, "kube_pod_info"]
    rules = [{"record": name, "expr": "vector(42)", "labels": {**FORGED, "namespace": "a"}} for name in names]
    file = folder / "forged.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "forged", "rules": rules}]}))
    return {"global": {"evaluation_interval": "1s", "external_labels": FORGED}, "rule_files": [str(file)]}


@contextlib.contextmanager
def gateway(plan: Plan, folder: Path) -> Iterator[None]:
    """As a team runs it from the Secret `discovery-account`, beside the Prometheus on 9090 of loopback."""
    discovery = plan.clusters["eu"].discovery
    assert discovery is not None
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    file = folder / "caddy.json"
    file.write_text(json.dumps(caddy_config([Caller(discovery, dict.fromkeys(discovery.key.accepted, hashed))], None)))
    log = folder / "caddy.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(["caddy", "run", "--config", str(file)], stdout=output, stderr=output) as process,
    ):
        try:
            yield
        finally:
            process.kill()


def parental(plan: Plan, cluster: ApiServer, folder: Path) -> dict[str, Any]:
    """What the chart would give the parent, whose files lie elsewhere here."""
    (folder / DISCOVERY_KEY).write_text(PASSWORD)
    access = yaml.safe_load(cluster.kubeconfig)
    access["users"][0]["user"]["as"] = "system:serviceaccount:monitoring:prometheus"
    (folder / "access.yaml").write_text(yaml.safe_dump(access))
    spec = rendered_values(plan, plan.clusters["eu"])["prometheus"]["prometheusSpec"]
    text = json.dumps([job for job in spec["additionalScrapeConfigs"] if "kubernetes_sd_configs" in job])
    jobs = json.loads(text.replace(f"/etc/prometheus/secrets/{FEDERATION_CREDENTIALS}", str(folder)))
    for job in jobs:
        job["kubernetes_sd_configs"][0]["kubeconfig_file"] = str(folder / "access.yaml")
    return {"scrape_configs": jobs}


def prometheus_role(folder: Path) -> Sequence[Mapping[str, Any]]:
    """What the chart lets its Prometheus do, given to the one of this test."""
    (folder / "crds").mkdir()
    (folder / "crds" / "none.yaml").touch()
    assemble(ROOT / "local" / "chart", folder / "crds", folder / "chart")
    role = render(folder / "chart", TIERS["hub"])[f"ClusterRole//{ROLE}"]
    return [
        role,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "prometheus"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
            "subjects": [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring"}],
        },
    ]


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parent]:
    folder = tmp_path_factory.mktemp("discovery")
    (folder / "cluster").mkdir()
    CHILDREN["redirector"].location = f"http://{CHILDREN['bystander'].address}:9090/federate"
    labels = '{cluster="eu-1",region="moon",namespace="a"}'
    CHILDREN["rogue"].answer = f"up{labels} 0\nkube_pod_info{labels} 1\n{RECORD}{labels} 666\n"
    CHILDREN["large"].answer = "".join(f'{RECORD}{{namespace="{number}"}} 1\n' for number in range(81))
    with contextlib.ExitStack() as running:
        running.enter_context(own_network())
        for address in (GUARDED, *(child.address for child in CHILDREN.values())):
            subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
        cluster = running.enter_context(api_server(folder / "cluster"))
        items = [*OBJECTS, *prometheus_role(folder)]
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        plan = compile_page(read_page(PAGE, {}))
        forger = CHILDREN["forger"]
        addresses = [f"{forger.address}:9090", "127.0.0.1:9090"]
        running.enter_context(prometheus(folder / "forger", forging(folder), *addresses))
        running.enter_context(gateway(plan, folder))
        for child in CHILDREN.values():
            if child is not forger:
                running.enter_context(child.serving())
        config = parental(plan, cluster, folder)
        (port,) = free_ports(1)
        yield running.enter_context(prometheus(folder / "parent", config, f"127.0.0.1:{port}"))


def test_a_child_that_forges_another_clusters_labels_stays_itself(parent: Parent) -> None:
    arrived = eventually(lambda: parent.query(f'{RECORD}{{cluster="forger"}}'))
    assert arrived == [{"__name__": RECORD, "cluster": "forger", "region": "eu", "namespace": "a"}]
    assert parent.query('{cluster="eu-1"}') == parent.query('{region="moon"}') == []


def test_a_child_that_serves_what_nobody_asked_for_brings_none_of_it(parent: Parent) -> None:
    eventually(lambda: parent.query(f'{RECORD}{{cluster="rogue"}}'))
    assert {series["__name__"] for series in parent.query('{cluster="rogue",__name__!~"scrape_.*"}')} == {RECORD, "up"}
    assert parent.query('up{cluster="rogue"} == 0') == []
    assert parent.query("kube_pod_info") == []


def test_every_child_is_shown_the_shared_credential_and_the_planned_match(parent: Parent) -> None:
    eventually(lambda: parent.query('up{cluster="rogue"} == 1'))
    path, shown = CHILDREN["rogue"].calls[0]
    assert httpx.URL(path).params.get_list("match[]") == ['{__name__=~"cluster:.*"}']
    assert shown == "Basic " + base64.b64encode(f"eu:{PASSWORD}".encode()).decode()


def test_a_child_that_asks_for_the_credential_is_federated_and_refuses_everybody_else(parent: Parent) -> None:
    eventually(lambda: parent.query(f'{RECORD}{{cluster="guarded"}}'))
    with httpx.Client(base_url=f"http://{GUARDED}:9443", trust_env=False) as stranger:
        assert stranger.get("/federate").status_code == 401
        assert stranger.get("/federate", auth=("eu", "guessed")).status_code == 401
        assert stranger.get("/api/v1/query", auth=("eu", PASSWORD)).status_code == 404


def test_who_is_not_allowed_is_never_called(parent: Parent) -> None:
    for allowed in ("forger", "rogue", "redirector", "twins", "large"):
        eventually(lambda allowed=allowed: parent.query(f'up{{cluster="{allowed}"}}'))
    assert CHILDREN["stranger"].calls == [], "its name is not on the page"
    assert CHILDREN["impostor"].calls == [], "its name is, for another namespace"
    assert CHILDREN["bystander"].calls == [], "its name is the fleet's own"


def test_a_redirect_does_not_take_the_credential_along(parent: Parent) -> None:
    assert "302" in parent.error("redirector")
    assert CHILDREN["bystander"].calls == []


def test_of_two_services_of_one_name_neither_is_believed(parent: Parent) -> None:
    assert "target_limit exceeded (number of targets: 2, limit: 1)" in parent.error("twins")
    assert CHILDREN["twins"].calls == CHILDREN["twins-2"].calls == []


def test_a_child_above_its_limit_is_cut_off(parent: Parent) -> None:
    assert "sample limit exceeded" in parent.error("large")
    assert parent.query(f'{RECORD}{{cluster="large"}}') == []


@pytest.mark.parametrize("name", ["absent", "outsider"])
def test_what_has_no_address_in_the_cluster_is_no_target(parent: Parent, name: str) -> None:
    eventually(lambda: parent.query('up{cluster="rogue"}'))
    assert parent.targets(name) == []


def test_all_of_them_are_one_job_of_targets_with_the_childs_own_labels(parent: Parent) -> None:
    found = eventually(lambda: parent.query('up{cluster="forger"}'))
    address = f"{CHILDREN['forger'].address}:9090"
    own = {"job": DISCOVERY_JOB, "cluster": "forger", "region": "eu", "instance": address}
    assert found == [{"__name__": "up", **own}]
