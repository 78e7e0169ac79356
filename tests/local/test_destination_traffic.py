"""A real Prometheus writes to destinations, by the configuration that the operator makes of what is rendered."""

import contextlib
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from certificates import Authority
from destinations import CLUSTERS, Page, documented, generated, plan, queues, selected_secrets
from isolation import own_network
from running_gateway import LOOPBACK, prometheus, wait_until
from writes import TOKEN, Receiver, receiver

from fleet.names import DESTINATION_CREDENTIALS
from fleet.plan import Plan
from fleet.remote_write import InConfig, held_sources

AUTHORITY = Authority.new("authority 1 of test")
# At the address it gives tokens, and by the name it is written to.
SHOWN = AUTHORITY.signed("receiver", dns=["receiver.internal"], addresses=["127.0.0.1"])
CLIENT = AUTHORITY.signed("eu-1")
SENDER = 9090
RECORD, RAW = "cluster:namespace_cpu:sum", "prometheus_tsdb_head_series"
CONFIG = {"mimir-password": "mimir's password", "secret-access-key": "a secret access key", "client-secret": "hush"}
HERE = f"https://{LOOPBACK}:9443"
TLS = {"ca": AUTHORITY.pem, "serverName": "receiver.internal"}
EVERY_SECOND = {"scrapeInterval": "1s", "evaluationInterval": "1s"}
EVERY: Page = {"senders": "eu-1", "tls": TLS, "keep": ["cluster:.+"]}


def paged(**destinations: Page) -> Plan:
    return plan(
        {"clusters": CLUSTERS, "destinations": {name: {**EVERY, **each} for name, each in destinations.items()}}
    )


KINDS: dict[str, Page] = {
    "mimir": {
        "kind": "mimir",
        "url": f"{HERE}/mimir/api/v1/push",
        "tenant": "fleet",
        "auth": {"basic": {"username": "eu", "config": "mimir-password"}},
    },
    "thanos": {
        "kind": "thanos",
        "url": f"{HERE}/api/v1/receive",
        "tenant": "other",
        "auth": {"mtls": {"certificate": CLIENT.certificate, "config": "client-key"}},
    },
    "amazon": {
        "kind": "amazon",
        "url": f"{HERE}/workspaces/ws-1/api/v1/remote_write",
        "auth": {
            "sigv4": {"region": "eu-central-1", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "config": "secret-access-key"}
        },
    },
    "prometheus": {
        "kind": "prometheus",
        "url": f"{HERE}/api/v1/write",
        "auth": {"bearer": {"secret": "somebodys", "key": "token"}},
        "messageVersion": "V2.0",
    },
    "generic": {
        "kind": "generic",
        "url": f"{HERE}/push",
        "auth": {
            "oauth2": {
                "clientId": "eu",
                "config": "client-secret",
                "tokenUrl": f"https://{LOOPBACK}:9443/token",
                "ca": AUTHORITY.pem,
            }
        },
        "keep": [RAW],
        "metadata": False,
    },
}


def secrets_of(compiled: Plan, config: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What the program lays into the sender's Secret, with the texts of the stack's config."""
    held = {
        key: config[source.key] if isinstance(source, InConfig) else source
        for edge in compiled.clusters["eu-1"].destinations
        for key, source in held_sources(edge).items()
    }
    return {DESTINATION_CREDENTIALS: held, "somebodys": {"token": "somebody's token"}}


@dataclass
class Sender:
    """Its configuration is made anew for each `config`."""

    folder: Path
    compiled: Plan
    config: dict[str, str] = field(default_factory=dict[str, str])

    def made(self) -> dict[str, Any]:
        spec = {
            "remoteWrite": queues(self.compiled, "eu-1"),
            "externalLabels": {"cluster": "eu-1", "region": "eu"},
            "prometheusExternalLabelName": "",
            "replicaExternalLabelName": "",
            **EVERY_SECOND,
        }
        made, files = generated(spec, secrets_of(self.compiled, self.config))
        certificates = self.folder / "certs"
        certificates.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (certificates / name).write_text(text)
        rules = self.folder / "rules.yaml"
        lies = {"cluster": "us-1", "region": "us"}
        group = {"name": "one", "rules": [{"record": RECORD, "expr": "time()", "labels": lies}]}
        rules.write_text(yaml.safe_dump({"groups": [group]}))
        # What is there for a pod lies elsewhere here.
        text = yaml.safe_dump(made).replace("/etc/prometheus/certs", str(certificates))
        scraped = {"job_name": "self", "static_configs": [{"targets": [f"{LOOPBACK}:{SENDER}"]}]}
        return {**yaml.safe_load(text), "rule_files": [str(rules)], "scrape_configs": [scraped]}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with prometheus(self.folder / "prometheus", self.made(), "--web.enable-lifecycle", "--log.level=debug"):
            yield

    def reload(self, **config: str) -> None:
        self.config |= config
        (self.folder / "prometheus" / "prometheus.yaml").write_text(yaml.safe_dump(self.made()))
        httpx.post(f"http://{LOOPBACK}:{SENDER}/-/reload", trust_env=False).raise_for_status()

    def total(self, metric: str, name: str) -> float:
        """Of its own metrics, over what tells series of one queue apart."""
        own = httpx.get(f"http://{LOOPBACK}:{SENDER}/metrics", trust_env=False).text
        lines = [
            line for line in own.splitlines() if line.startswith(f"{metric}{{") and f'remote_name="{name}"' in line
        ]
        assert lines, f"there is no {metric} of {name}"
        return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.parametrize("example", documented().values(), ids=documented())
def test_prometheus_accepts_what_the_operator_makes_of_every_documented_example(example: Page, tmp_path: Path) -> None:
    compiled = plan(example)
    (written, *_) = filter(None, (queues(compiled, name) for name in compiled.clusters))
    secrets = selected_secrets(written)
    for texts in secrets.values():
        texts |= {key: CLIENT.certificate for key in texts if key.endswith(".crt")}
        texts |= {key: CLIENT.key for key in texts if key.endswith(".key")}
    made, files = generated({**EVERY_SECOND, "remoteWrite": written}, secrets)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump(made).replace("/etc/prometheus/certs", str(tmp_path)))
    checked = subprocess.run(["promtool", "check", "config", str(file)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert [each["name"] for each in made["remote_write"]] == [each["name"] for each in written]


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    folder = tmp_path_factory.mktemp("destinations")
    sender = Sender(folder, paged(**KINDS), {**CONFIG, "client-key": CLIENT.key})
    with own_network(), receiver(folder / "receiver", SHOWN, AUTHORITY) as found, sender.running():
        paths = [each["url"].removeprefix(HERE) for each in KINDS.values()]
        wait_until(lambda: all(found.taken(path) for path in paths), "every destination has samples")
        yield found


def last(traffic: Receiver, path: str) -> Mapping[str, str]:
    return traffic.to(path)[-1].headers


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.cluster
def test_each_receiver_is_shown_its_tenant_and_its_credential_and_no_others(traffic: Receiver) -> None:
    mimir, thanos = last(traffic, "/mimir/api/v1/push"), last(traffic, "/api/v1/receive")
    assert mimir["x-scope-orgid"] == "fleet"
    assert mimir["authorization"] == basic("eu", CONFIG["mimir-password"])
    assert thanos["thanos-tenant"] == "other"
    assert "authorization" not in thanos
    assert last(traffic, "/api/v1/write")["authorization"] == "Bearer somebody's token"
    assert last(traffic, "/push")["authorization"] == f"Bearer {TOKEN}"
    for path in ("/api/v1/receive", "/api/v1/write", "/push"):
        assert "x-scope-orgid" not in last(traffic, path)


@pytest.mark.cluster
def test_a_certificate_is_shown_to_whom_it_is_for(traffic: Receiver) -> None:
    callers = {path: traffic.to(path)[-1].caller for path in ("/api/v1/receive", "/mimir/api/v1/push")}
    assert callers == {"/api/v1/receive": "eu-1", "/mimir/api/v1/push": None}


@pytest.mark.cluster
def test_amazon_is_sent_a_signature_for_its_region(traffic: Receiver) -> None:
    signed = last(traffic, "/workspaces/ws-1/api/v1/remote_write")
    day = time.strftime("%Y%m%d", time.gmtime())
    assert signed["authorization"].startswith(
        f"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{day}/eu-central-1/aps/aws4_request"
    )


@pytest.mark.cluster
def test_a_token_is_asked_for_with_the_clients_secret(traffic: Receiver) -> None:
    (asked,) = set(traffic.asked)
    assert asked == (basic("eu", CONFIG["client-secret"]), "grant_type=client_credentials")


@pytest.mark.cluster
def test_each_receiver_gets_what_its_list_keeps_and_nothing_else(traffic: Receiver) -> None:
    for name, each in KINDS.items():
        names = {sample.labels["__name__"] for sample in traffic.taken(each["url"].removeprefix(HERE))}
        assert names == ({RAW} if name == "generic" else {RECORD}), name


@pytest.mark.cluster
def test_a_sender_speaks_for_itself_whatever_its_series_say(traffic: Receiver) -> None:
    for each in KINDS.values():
        for sample in traffic.taken(each["url"].removeprefix(HERE)):
            assert (sample.labels["cluster"], sample.labels["region"]) == ("eu-1", "eu")


@pytest.mark.cluster
def test_messages_are_of_the_version_that_the_page_names(traffic: Receiver) -> None:
    second, first = last(traffic, "/api/v1/write"), last(traffic, "/mimir/api/v1/push")
    assert "io.prometheus.write.v2.Request" in second["content-type"]
    assert second["x-prometheus-remote-write-version"].startswith("2.0")
    assert "v2" not in first["content-type"]
    assert first["x-prometheus-remote-write-version"].startswith("0.1")


MIMIR = "/mimir/api/v1/push"


def is_whole(found: Receiver) -> bool:
    """Whether no evaluation is missing: one a second, and the record's value is its time."""
    seconds = sorted({sample.milliseconds // 1000 for sample in found.taken(MIMIR)})
    return seconds == [*range(seconds[0], seconds[-1] + 1)]


@pytest.mark.cluster
def test_a_password_that_changes_is_taken_up_and_the_queue_goes_on(tmp_path: Path) -> None:
    sender = Sender(tmp_path, paged(mimir=KINDS["mimir"]), dict(CONFIG))
    with own_network(), receiver(tmp_path / "receiver", SHOWN, AUTHORITY) as found, sender.running():
        wait_until(lambda: len(found.taken(MIMIR)) > 0, "the first sample")
        before = sender.total("prometheus_remote_storage_samples_total", "mimir")
        sender.reload(**{"mimir-password": "another password"})
        wait_until(
            lambda: last(found, MIMIR)["authorization"] == basic("eu", "another password"), "the new password is shown"
        )
        assert sender.total("prometheus_remote_storage_samples_total", "mimir") >= before
        assert is_whole(found)


@pytest.mark.cluster
@pytest.mark.parametrize("status", [429, 503])
def test_what_a_receiver_has_no_room_for_is_sent_again_and_none_is_lost(tmp_path: Path, status: int) -> None:
    sender = Sender(tmp_path, paged(mimir=KINDS["mimir"]), dict(CONFIG))
    with own_network(), receiver(tmp_path / "receiver", SHOWN, AUTHORITY) as found, sender.running():
        wait_until(lambda: len(found.taken(MIMIR)) > 0, "the first sample")
        found.status = status
        wait_until(lambda: len(found.to(MIMIR, status)) > 1, "it was told to wait")
        refused = {sample.milliseconds for write in found.to(MIMIR, status) for sample in write.samples}
        found.status = 204
        wait_until(lambda: refused <= {each.milliseconds for each in found.taken(MIMIR)}, "what was refused has come")
        for lost in ("failed", "dropped"):
            with contextlib.suppress(AssertionError):
                assert sender.total(f"prometheus_remote_storage_samples_{lost}_total", "mimir") == 0
        assert sender.total("prometheus_remote_storage_samples_retried_total", "mimir") > 0
        assert is_whole(found)
