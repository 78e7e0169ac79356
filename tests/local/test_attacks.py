"""A real Caddy before a real Prometheus: who is let in, and what an operator sees of it."""

import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import attacks
import pytest
from attacks import ATTEMPTS, EDGES, GENERATION, SOME, Attempt
from running_gateway import LOOPBACK, Program

from fleet.names import GATEWAY_FACTS_PORT
from fleet.pem import load

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning"),
]


@dataclass(frozen=True)
class Guarded:
    prometheus: Program
    gateways: Mapping[str, Program]
    folder: Path

    def outcome(self, attempt: Attempt) -> str:
        return attacks.outcome(attempt, self.folder)


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=10) as answer:
        return answer.read().decode()


def count(exposition: str, sample: str) -> float:
    """The sum of all samples that begin so."""
    return sum(float(line.rpartition(" ")[2]) for line in exposition.splitlines() if line.startswith(sample))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("attacked")
    with attacks.under_attack(folder) as (prometheus, gateways):
        yield Guarded(prometheus, gateways, folder)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    return {}


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_only_the_planned_is_let_in(guarded: Guarded, outcomes: dict[str, str], attempt: Attempt) -> None:
    def reached() -> float:
        """Requests that Prometheus and Alertmanager have had, but for those of this function."""
        own = 'handler="/metrics"'
        return sum(
            count("\n".join(line for line in get(port, "/metrics").splitlines() if own not in line), requests)
            for port, requests in (
                (9090, "prometheus_http_requests_total"),
                (9093, "alertmanager_http_request_duration_seconds_count"),
            )
        )

    before = reached()
    seen = outcomes[attempt.name] = guarded.outcome(attempt)
    assert seen == attempt.expected
    # What it passes on and then cuts off counts as well.
    if seen not in {"200", "400", "415"} and not attempt.chunked:
        assert reached() == before, "what is guarded was asked"


def test_after_all_of_it_prometheus_still_runs(guarded: Guarded, outcomes: Mapping[str, str]) -> None:
    assert len(outcomes) == len(ATTEMPTS)
    assert guarded.prometheus.is_running()
    called = re.findall(r'^prometheus_http_requests_total{.*handler="(.*)"} [1-9]', get(9090, "/metrics"), re.MULTILINE)
    let_in = {"/federate", "/api/v1/write", "/api/v1/query", "/api/v1/label/:name/values"}
    assert set(called) == {*let_in, "/metrics", "/-/ready"}
    heard = [each["labels"] for each in json.loads(get(9093, "/api/v2/alerts"))]
    own = {"alertname": "A", "severity": "none", "region": "eu"}
    assert sorted(heard, key=len) == [own, {**own, "cluster": "eu-1"}]


def test_the_document_tells_what_was_seen(outcomes: Mapping[str, str]) -> None:
    assert attacks.TABLE.text() == attacks.table(outcomes), f"{attacks.__doc__}"


def test_no_credential_is_in_a_log(guarded: Guarded, outcomes: Mapping[str, str]) -> None:
    assert outcomes
    log = guarded.gateways[SOME].log.read_text()
    assert "http.log.access.refused" in log, "or nothing would be proven"
    assert "Authorization" not in log
    assert "Basic " not in log
    for edge in EDGES.values():
        for generation in range(GENERATION - 2, GENERATION + 2):
            assert attacks.password(edge.caller, generation) not in log


def access_log(program: Program, name: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in program.log.read_text().splitlines())
    return [line for line in lines if line.get("logger") == f"http.log.access.{name}"]


@pytest.mark.parametrize(
    ("attempt", "edge"),
    [("the password of the previous generation", "eu"), ("the previous generation's certificate", "certified")],
)
def test_who_still_uses_another_generation_is_counted_and_named(guarded: Guarded, attempt: str, edge: str) -> None:
    (older,) = (each for each in ATTEMPTS if each.name == attempt)
    (planned,) = (each for each in ATTEMPTS if each.name == "the planned scrape")
    counter = 'caddy_http_requests_total{handler="log_append",server="gateway"}'
    before = count(get(GATEWAY_FACTS_PORT, "/metrics"), counter)
    assert guarded.outcome(planned) == guarded.outcome(older) == "200"
    assert count(get(GATEWAY_FACTS_PORT, "/metrics"), counter) == before + 1
    expected = {"edge": EDGES[edge].id, "generation": str(GENERATION - 1), "status": 200}
    assert expected.items() <= access_log(guarded.gateways[SOME], "other-generation")[-1].items()


@pytest.mark.usefixtures("guarded")
def test_the_facts_tell_what_is_accepted_and_until_when() -> None:
    found = get(GATEWAY_FACTS_PORT, "/facts")
    for edge in EDGES.values():
        sample = f'prometheus_fleet_accepted_generation{{edge="{edge.id}",caller="{edge.caller}"}} {GENERATION}'
        assert sample in found.splitlines()
    ends = {
        attacks.NAME: None,
        "fleet-1": attacks.AUTHORITY.certificate,
        **{each.edge.id: load(each.certificate)[0] for each in attacks.CALLERS if each.certificate is not None},
    }
    assert {"certified-federates-eu-1", "careful-federates-eu-1"} < ends.keys()
    for name, certificate in ends.items():
        at = re.search(
            rf'^prometheus_fleet_certificate_expiry_timestamp_seconds{{name="{name}"}} (\d+)$', found, re.MULTILINE
        )
        assert at is not None
        if certificate is not None:
            assert int(at[1]) == certificate.not_valid_after_utc.timestamp()
    assert re.search(
        r'^prometheus_fleet_trusted_authority{fingerprint="sha256:[0-9a-f]{64}",name="fleet-1"} 1$', found, re.MULTILINE
    )
