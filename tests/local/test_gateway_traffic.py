"""Real Prometheuses through a real Caddy: what is planned arrives, also while keys and certificates change."""

import contextlib
import json
import shutil
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from attacks import AUTHORITY, EDGES, GENERATION, NAME, SERVED, TLS, bcrypt_hash, certificate, password
from isolation import own_network
from running_gateway import LOOPBACK, Program, gateway, prometheus, wait_until, write_config

from fleet.gateway import Caller, KeyPair, MountedKeyPair, Tls, caddy_config
from fleet.names import FEDERATION_CREDENTIALS, GATEWAY_FACTS_PORT
from fleet.plan import FederationEdge
from fleet.scrape import federation_job

pytestmark = pytest.mark.cluster

CHILD, PARENT = 9090, 9091
RECORD = "cluster:answer:sum"


def ask(port: int, promql: str) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"query": promql})
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/api/v1/query?{query}", timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def read(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=10) as answer:
        return answer.read().decode()


HASHES = {
    (edge.caller, generation): bcrypt_hash(password(edge.caller, generation))
    for edge in EDGES.values()
    if edge.key.auth != "mtls"
    for generation in range(GENERATION - 1, GENERATION + 3)
}


def callers(generation: int = GENERATION) -> list[Caller]:
    """As the callee's side plans them at this generation."""

    def caller(name: str) -> Caller:
        edge = replace(EDGES[name], key=replace(EDGES[name].key, generation=generation))
        hashes = {each: HASHES[name, each] for each in edge.key.accepted} if edge.key.auth != "mtls" else {}
        return Caller(edge, hashes)

    return [caller(name) for name in EDGES]


def parental(folder: Path) -> dict[str, Any]:
    """Several jobs for each way to show who one is, and a queue; all with the keys of `GENERATION`."""
    folder.mkdir()
    (folder / "ca.crt").write_text(AUTHORITY.pem)
    tls: dict[str, object] = {"ca_file": str(folder / "ca.crt"), "server_name": NAME}

    def keyed(name: str) -> dict[str, object]:
        pair = certificate(EDGES[name])
        (folder / f"{name}.crt").write_text(pair.certificate)
        (folder / f"{name}.key").write_text(pair.key)
        return {**tls, "cert_file": str(folder / f"{name}.crt"), "key_file": str(folder / f"{name}.key")}

    def job(name: str, number: int) -> dict[str, Any]:
        edge = EDGES[name]
        assert isinstance(edge, FederationEdge)
        second = timedelta(seconds=1)
        made: dict[str, Any] = {
            **federation_job(replace(edge, scheme="https", interval=second, timeout=second), f"{LOOPBACK}:9443"),
            "job_name": f"{name}-{number}",
            "tls_config": tls if edge.key.auth == "basic" else keyed(name),
        }
        (folder / edge.child).write_text("")
        if edge.key.auth == "mtls":
            del made["basic_auth"]
        else:
            (folder / name).write_text(password(name, GENERATION))
            made["basic_auth"] = {"username": edge.caller, "password_file": str(folder / name)}
        return made

    (folder / "shop-1").write_text(password("shop-1", GENERATION))
    queue = {
        "url": f"https://{LOOPBACK}:9443/api/v1/write",
        "basic_auth": {"username": "shop-1", "password_file": str(folder / "shop-1")},
        "tls_config": tls,
    }
    jobs = [job(name, number) for name in ("eu", "us", "certified", "careful") for number in range(2)]
    return {"scrape_configs": jobs, "remote_write": [queue]}


def child(folder: Path) -> dict[str, Any]:
    rules = folder / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [{"record": RECORD, "expr": "vector(42)"}]}]}))
    return {"global": {"evaluation_interval": "1s"}, "rule_files": [str(rules)]}


@dataclass(frozen=True)
class Traffic:
    folder: Path
    gateway: Program
    config: Path

    def rewrite(self, generation: int) -> None:
        write_config(self.config, caddy_config(callers(generation), TLS))
        accepted = f'prometheus_fleet_accepted_generation{{edge="{EDGES["eu"].id}",caller="eu"}} {generation}'

        def is_accepted() -> bool:
            # A connection that waits to be accepted when the old listener closes is reset.
            with contextlib.suppress(ConnectionError):
                return accepted in read(GATEWAY_FACTS_PORT, "/facts")
            return False

        wait_until(is_accepted, f"generation {generation} is accepted")


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    folder = tmp_path_factory.mktemp("traffic")
    with contextlib.ExitStack() as running:
        running.enter_context(own_network())
        running.enter_context(prometheus(folder / "child", child(folder), "--web.enable-remote-write-receiver"))
        proxy = running.enter_context(gateway(folder / "gateway", caddy_config(callers(), TLS), LOOPBACK, "--watch"))
        running.enter_context(prometheus(folder / "parent", parental(folder / "keys"), port=PARENT))
        wait_until(lambda: len(ask(PARENT, "up == 1")) == 8, "every job has scraped")
        yield Traffic(folder, proxy, folder / "gateway" / "caddy.json")


@pytest.mark.usefixtures("traffic")
def test_a_parent_federates_through_the_gateway_whichever_way_it_shows_who_it_is() -> None:
    found = {series["metric"]["cluster"]: series["value"][1] for series in ask(PARENT, RECORD)}
    assert found == {"eu-1": "42"}


@pytest.mark.usefixtures("traffic")
def test_a_sender_writes_through_the_gateway() -> None:
    wait_until(lambda: len(ask(CHILD, 'up{cluster="eu-1"}')) > 0, "samples arrived")


def test_a_configuration_that_changes_again_and_again_costs_no_request(traffic: Traffic) -> None:
    started = time.time()
    for number in range(20):
        traffic.rewrite(GENERATION + (number + 1) % 2)
    passed = int(time.time() - started)
    scrapes = [float(value) for series in ask(PARENT, f"up[{passed}s]") for _, value in series["values"]]
    assert len(scrapes) >= 8 * (passed - 2)
    assert set(scrapes) == {1}
    own = read(PARENT, "/metrics")
    for lost in ("failed", "dropped"):
        totals = [
            line for line in own.splitlines() if line.startswith(f"prometheus_remote_storage_samples_{lost}_total")
        ]
        assert all(line.endswith(" 0") for line in totals), totals
    print(len(scrapes), passed, [l for l in own.splitlines() if l.startswith("prometheus_remote_storage_samples")])
