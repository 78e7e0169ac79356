"""Alerts of real Prometheuses on their way through a real Caddy to a real Alertmanager."""

import contextlib
import json
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from attacks import AUTHORITY, PLAN, bcrypt_hash
from isolation import own_network
from running_gateway import ALERTMANAGER, LOOPBACK, Program, alertmanager, gateway, prometheus, wait_until, write_config

from fleet.gateway import BEGINNING, Caller, Tls, caddy_config, certificate_identity
from fleet.notifier import alertmanagers
from fleet.plan import AlertEdge, Key

pytestmark = pytest.mark.cluster

GENERATION = 2
OF_REGION, OF_LEAF = (replace(edge, key=Key("both", GENERATION)) for edge in PLAN.alerts)
OTHER_LEAF = replace(OF_LEAF, sender="eu-2", clusters=("eu-2",))
SERVED = AUTHORITY.signed("hub", dns=["hub.prometheus-fleet.internal"])

RULES = {
    # What a rule may say of itself, and what JSON writes in other ways than people.
    "Odd": {
        "labels": {"severity": "warning", "cluster": "us-7", "region": "us", "path": 'C:\\a "b" <c> & \n\u2028 é 🦊'},
        "annotations": {"summary": '{{ $value }} "cluster":"us-7"', "cluster": "us-7", "empty": ""},
    },
    "Plain": {},
    "OfALeaf": {"labels": {"cluster": "eu-1"}},
}


def password(sender: str, generation: int) -> str:
    return f"{generation}-of-{sender}".ljust(32, "x")


def callers(generation: int = GENERATION) -> list[Caller]:
    """As the callee's side plans them at this generation."""

    def caller(edge: AlertEdge) -> Caller:
        keyed = replace(edge, key=replace(edge.key, generation=generation))
        passwords = {each: password(edge.sender, each) for each in keyed.key.accepted}
        hashes = {each: bcrypt_hash(text) for each, text in passwords.items()}
        return Caller(keyed, hashes, {each: text[:BEGINNING] for each, text in passwords.items()})

    return [caller(edge) for edge in (OF_REGION, OF_LEAF, OTHER_LEAF)]


def config(generation: int = GENERATION) -> dict[str, object]:
    return caddy_config(callers(generation), Tls([SERVED], [AUTHORITY.pem]), ALERTMANAGER)


@dataclass(frozen=True)
class Sender:
    """One Prometheus that sends along `edge`, with the files that its pod would have mounted."""

    edge: AlertEdge
    port: int
    folder: Path

    @property
    def keys(self) -> Path:
        return self.folder / "alert-credentials"

    def hold(self, generation: int, shown: str | None = None) -> None:
        """The key of this generation, or what is `shown` in the password's place."""
        pair = AUTHORITY.signed(self.edge.sender, uris=[certificate_identity(self.edge, generation)])
        parts = {
            "hub.password": shown or password(self.edge.sender, generation),
            "hub.ca": AUTHORITY.pem,
            "hub.crt": pair.certificate,
            "hub.key": pair.key,
        }
        self.keys.mkdir(exist_ok=True, parents=True)
        for name, text in parts.items():
            (self.keys / name).write_text(text)

    @contextlib.contextmanager
    def running(self, **external: str) -> Iterator[Program]:
        self.hold(GENERATION)
        self.rules(*RULES)
        told = alertmanagers(self.edge, f"{LOOPBACK}:9443").replace("/etc/prometheus/secrets", str(self.folder))
        config = {
            "global": {"evaluation_interval": "1s", "external_labels": {"level": "cluster", **external}},
            "rule_files": [str(self.folder / "rules.yaml")],
            "alerting": {"alertmanagers": yaml.safe_load(told)},
        }
        flags = ("--rules.alert.resend-delay=1s", "--web.enable-lifecycle")
        with prometheus(self.folder / "prometheus", config, *flags, port=self.port) as program:
            yield program

    def rules(self, *names: str) -> None:
        alerts = [{"alert": name, "expr": "vector(1)", **RULES[name]} for name in names]
        text = yaml.safe_dump({"groups": [{"name": "alerts", "rules": alerts}]})
        (self.folder / "rules.yaml").write_text(text)

    def reload(self) -> None:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{LOOPBACK}:{self.port}/-/reload", method="POST"), timeout=10
        ) as answer:
            assert answer.status == 200

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{"))

    @property
    def sent(self) -> float:
        """Prometheus counts what it fails to send as errors, and not as sent."""
        return self.metric("prometheus_notifications_sent_total")

    @property
    def failed(self) -> float:
        return self.metric("prometheus_notifications_errors_total")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """The folder of the gateway before an Alertmanager."""
    with (
        own_network(),
        alertmanager(tmp_path / "alertmanager"),
        gateway(tmp_path / "gateway", config(), LOOPBACK, "--watch"),
    ):
        yield tmp_path


def heard() -> list[Mapping[str, str]]:
    return [each["labels"] for each in alerts()]


def alerts() -> list[Any]:
    with urllib.request.urlopen(f"http://{LOOPBACK}:9093/api/v2/alerts", timeout=10) as answer:
        return json.load(answer)


def test_alerts_arrive_as_what_their_sender_is_whatever_their_rules_say(hub: Path) -> None:
    leaf, region = Sender(OF_LEAF, 9091, hub / "leaf"), Sender(OF_REGION, 9092, hub / "region")
    (hub / "leaf").mkdir()
    (hub / "region").mkdir()
    with leaf.running(region="us"), region.running(level="region"):
        wait_until(lambda: len(heard()) >= 2 * len(RULES), "all alerts are heard")
    whose = {(each["alertname"], each.get("cluster"), each.get("region")) for each in heard()}
    assert whose == {
        *((name, "eu-1", "eu") for name in RULES),
        # A region speaks for its leaves, and what is none of them is the region's own.
        *((name, {"OfALeaf": "eu-1"}.get(name), "eu") for name in RULES),
    }
    (odd,) = (each for each in alerts() if each["labels"].get("path") and "cluster" in each["labels"])
    assert odd["labels"]["path"] == RULES["Odd"]["labels"]["path"]
    assert odd["annotations"]["summary"] == '1 "cluster":"us-7"'


def test_two_replicas_are_heard_as_one_and_what_ends_is_resolved(hub: Path) -> None:
    senders = [Sender(OF_LEAF, port, hub / f"replica-{port}") for port in (9091, 9092)]
    for each in senders:
        each.folder.mkdir()
    with contextlib.ExitStack() as running:
        for each in senders:
            running.enter_context(each.running(prometheus_replica=f"replica-{each.port}"))
        wait_until(lambda: all(each.sent >= len(RULES) for each in senders), "both have sent theirs")
        assert len(heard()) == len(RULES)
        assert not any("prometheus_replica" in each for each in heard())
        for each in senders:
            each.rules("Plain")
            each.reload()
        wait_until(lambda: {each["alertname"] for each in heard()} == {"Plain"}, "the others are over")


def test_a_wrong_key_is_refused_while_others_go_on_and_a_new_one_is_taken_up_from_its_file(hub: Path) -> None:
    leaf, other = Sender(OF_LEAF, 9091, hub / "leaf"), Sender(OTHER_LEAF, 9092, hub / "other")
    leaf.folder.mkdir()
    other.folder.mkdir()
    with leaf.running() as program, other.running():
        wait_until(lambda: leaf.sent > 0 and other.sent > 0, "both are heard")
        assert leaf.failed == 0
        leaf.hold(GENERATION, shown="guessed-and-wrong")
        failed, sent = leaf.failed, other.sent
        wait_until(lambda: leaf.failed > failed, "the wrong one is refused")
        wait_until(lambda: other.sent > sent, "the other one goes on")
        # The next generation is accepted before the gateway has heard of it, and taken up without a reload.
        leaf.hold(GENERATION + 1)
        before = leaf.sent
        wait_until(lambda: leaf.sent > before, "the next key is taken up")
        write_config(hub / "gateway" / "caddy.json", config(GENERATION + 1))
        leaf.hold(GENERATION - 1)
        failed = leaf.failed
        wait_until(lambda: leaf.failed > failed, "the one before the last is refused")
        assert program.is_running()
