"""Two real Prometheuses behind a real Caddy: callers see the first of them that is ready."""

import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from attacks import AUTHORITY, EDGES, GENERATION, NAME, PLANNED, TLS, bcrypt_hash, password
from isolation import own_network
from running_gateway import LOOPBACK, Program, gateway, prometheus, wait_until

from fleet.gateway import Caller, caddy_config

pytestmark = pytest.mark.cluster

RECORD = "cluster:answer:sum"
PORTS = {"first": 9191, "second": 9192}
ANSWERS = {"first": 41, "second": 42}


def replica(folder: Path, name: str) -> dict[str, Any]:
    rules = folder / f"{name}.yaml"
    rule = {"record": RECORD, "expr": f"vector({ANSWERS[name]})"}
    rules.write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [rule]}]}))
    return {"global": {"evaluation_interval": "1s"}, "rule_files": [str(rules)]}


def recorded(federated: str) -> int | None:
    """The value; the last word of a line is its time."""
    return next((int(line.split()[-2]) for line in federated.splitlines() if line.startswith(RECORD)), None)


def has_recorded(port: int) -> bool:
    return recorded(httpx.get(f"http://{LOOPBACK}:{port}{PLANNED}", trust_env=False).text) is not None


@dataclass(frozen=True)
class Pair:
    folder: Path
    first: Program
    client: httpx.Client

    def answering(self) -> str:
        """Which of them the gateway has asked."""
        answer = self.client.get(f"https://{LOOPBACK}:9443{PLANNED}", extensions={"sni_hostname": NAME})
        answer.raise_for_status()
        return next((name for name, value in ANSWERS.items() if recorded(answer.text) == value), "nobody")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    edge = EDGES["eu"]
    caller = Caller(edge, {GENERATION: bcrypt_hash(password("eu", GENERATION))})
    config = caddy_config([caller], TLS, replicas=[f"{LOOPBACK}:{port}" for port in PORTS.values()])
    trusted = ssl.create_default_context(cadata=AUTHORITY.pem)
    credentials = (edge.caller, password("eu", GENERATION))
    with ExitStack() as running:
        running.enter_context(own_network())
        first, _ = (
            running.enter_context(prometheus(tmp_path / name, replica(tmp_path, name), port=port))
            for name, port in PORTS.items()
        )
        running.enter_context(gateway(tmp_path / "gateway", config))
        client = httpx.Client(verify=trusted, auth=credentials, trust_env=False, timeout=30)
        found = Pair(tmp_path, first, running.enter_context(client))
        wait_until(lambda: all(map(has_recorded, PORTS.values())), "both have recorded")
        yield found


def test_callers_see_one_replica_while_both_are_there(pair: Pair) -> None:
    assert {pair.answering() for _ in range(50)} == {"first"}


def test_no_call_fails_when_it_ends_and_it_is_asked_again_once_it_is_back(pair: Pair) -> None:
    pair.first.process.kill()
    pair.first.process.wait()
    assert {pair.answering() for _ in range(50)} == {"second"}
    with prometheus(pair.folder / "again", replica(pair.folder, "first"), port=PORTS["first"]):
        wait_until(lambda: pair.answering() == "first", "the first one answers again")


def test_one_that_hangs_is_passed_over_before_the_second_scrape(pair: Pair) -> None:
    pair.client.timeout = httpx.Timeout(2)
    pair.first.process.send_signal(signal.SIGSTOP)

    def answers() -> bool:
        try:
            return pair.answering() == "second"
        except httpx.TimeoutException:
            return False

    try:
        wait_until(answers, "the second one answers")
    finally:
        pair.first.process.send_signal(signal.SIGCONT)
