"""A real Caddy, scraped by a real Prometheus that evaluates the recording rules of gateways."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import attacks
import httpx
import pytest
import yaml
from attacks import ATTEMPTS, AUTHORITY, CALLERS, SOME, TLS
from isolation import own_network
from running_gateway import LOOPBACK, gateway, prometheus, wait_until

from fleet.gateway import caddy_config
from fleet.plan import Plan
from fleet.rules import rule_groups
from fleet.scrape import gateway_jobs

pytestmark = pytest.mark.cluster


@pytest.fixture
def attempted(dev: Plan, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Tries one of `ATTEMPTS` by its name; a leaf's Prometheus and the global one's are the same here."""
    # Of edges the global cluster records what a leaf records of itself.
    groups = {group.name: group.spec() for name in ("hub", "eu-1") for group in rule_groups(dev.clusters[name])}
    every_second = [{**group, "interval": "1s"} for group in groups.values()]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": every_second}))
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": gateway_jobs(timedelta(seconds=1)),
        "rule_files": [str(tmp_path / "rules.yaml")],
    }
    with contextlib.ExitStack() as running:
        running.enter_context(own_network())
        running.enter_context(gateway(tmp_path / "gateway", caddy_config(CALLERS, TLS)))
        running.enter_context(prometheus(tmp_path / "prometheus", config))
        for name, pair in attacks.CERTIFICATES.items():
            (tmp_path / f"{name}.pem").write_text(pair.certificate + pair.key)
        named = {attempt.name: attempt for attempt in ATTEMPTS if attempt.gateway == SOME}
        yield lambda name: attacks.outcome(named[name], tmp_path)


def recorded(record: str) -> float | None:
    url = f"http://{LOOPBACK}:9090/api/v1/query"
    found = httpx.get(url, params={"query": record}, trust_env=False).json()["data"]["result"]
    return float(found[0]["value"][1]) if found else None


@pytest.mark.parametrize(
    ("record", "attempt", "outcome"),
    [
        ("gateway_refused_requests:rate5m", "no credentials", "401"),
        ("gateway_refused_requests:rate5m", "an extra selector", "403"),
        ("gateway_old_key_requests:rate5m", "the password of the previous generation", "200"),
        ("gateway_old_key_requests:rate5m", "the previous generation's certificate", "200"),
    ],
)
def test_what_caddy_counts_is_what_the_rules_read(
    attempted: Callable[[str], str], record: str, attempt: str, outcome: str
) -> None:
    def is_zero() -> bool:
        assert attempted("the planned scrape") == "200"
        return recorded(f"cluster:{record}") == 0

    def rises() -> bool:
        # A counter that appears has not risen yet: only the second one counts.
        assert attempted(attempt) == outcome
        return (recorded(f"cluster:{record}") or 0) > 0 and (recorded(f"global:{record}") or 0) > 0

    wait_until(is_zero, f"{record} is zero while all callers are let in with the current key")
    wait_until(rises, f"{record} rises")
    other = {"gateway_refused_requests:rate5m", "gateway_old_key_requests:rate5m"} - {record}
    assert [recorded(f"cluster:{each}") for each in other] == [0]


@pytest.mark.usefixtures("attempted")
def test_the_first_certificate_that_ends_is_known_to_the_second() -> None:
    ends = int(AUTHORITY.certificate.not_valid_after_utc.timestamp())
    expiry = "certificate_expiry_timestamp_seconds:min"
    for tier in ("cluster", "global"):
        wait_until(lambda tier=tier: recorded(f"{tier}:{expiry}") is not None, f"the facts are recorded as {tier}:*")
    # The gateway's own is signed after its authority, for as long.
    assert recorded(f"cluster:{expiry}") == recorded(f"global:{expiry}") == ends
