"""What the gateway's configuration says; what it does is tried on a real Caddy in tests/local/test_attacks.py."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.compiler import compile_page
from fleet.gateway import Caller, MountedKeyPair, Tls, caddy_config, facts, match_query
from fleet.page import read_stack
from fleet.plan import Auth, Key, Plan
from fleet.scrape import federation_job
from tests.local.certificates import Authority

ROOT = Path(__file__).parents[2]


def callers(dev: Plan, cluster: str, auth: Auth = "basic") -> list[Caller]:
    edges = [replace(edge, key=Key(auth, 2)) for edge in dev.calls_to(cluster)]
    return [Caller(edge, {each: f"$hash of {edge.id} {each}" for each in edge.key.accepted}) for edge in edges]


def test_a_query_is_written_as_go_writes_it() -> None:
    matches = ['{__name__=~"cluster:.*"}', "a~b-c_d.e+f g/h\\é"]
    # url.Values{"match[]": matches}.Encode()
    assert match_query(matches) == (
        "match%5B%5D=%7B__name__%3D~%22cluster%3A.%2A%22%7D&match%5B%5D=a~b-c_d.e%2Bf+g%2Fh%5C%C3%A9"
    )


def test_what_a_parent_is_planned_to_ask_is_what_its_job_asks(dev: Plan) -> None:
    for edge in dev.federation:
        assert federation_job(edge, "address")["params"] == {"match[]": list(edge.matches)}


@given(user=st.from_regex(r"[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?", fullmatch=True), password=st.text(max_size=18))
def test_a_users_header_is_known_whatever_the_password(dev_plan: Plan, user: str, password: str) -> None:
    pattern = pattern_of(dev_plan, user)
    shown = base64.b64encode(f"{user}:{password}".encode()).decode()
    assert re.search(pattern, f"Basic {shown}")


@given(
    user=st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True),
    other=st.from_regex(r"[a-z0-9:]{0,7}", fullmatch=True),
    password=st.text(max_size=8),
)
def test_another_users_header_is_not(dev_plan: Plan, user: str, other: str, password: str) -> None:
    shown = base64.b64encode(f"{other}:{password}".encode()).decode()
    is_same = f"{other}:{password}".startswith(f"{user}:")
    assert bool(re.search(pattern_of(dev_plan, user), f"Basic {shown}")) is is_same


@given(
    user=st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True),
    known=st.lists(st.from_regex(r"[A-Za-z0-9]{8}", fullmatch=True), min_size=1, max_size=3),
    other=st.from_regex(r"[A-Za-z0-9]{8}", fullmatch=True),
    rest=st.text(max_size=8),
)
def test_a_password_is_compared_only_where_it_begins_as_one_that_is_accepted(
    dev_plan: Plan, user: str, known: list[str], other: str, rest: str
) -> None:
    """Each comparison takes of the processor that right callers need as well."""
    pattern = pattern_of(dev_plan, user, known)
    for beginning in (*known, other, other[:4], known[0][:7], ""):
        shown = base64.b64encode(f"{user}:{beginning}{rest}".encode()).decode()
        is_known = f"{beginning}{rest}".startswith(tuple(known))
        assert bool(re.search(pattern, f"Basic {shown}")) is is_known


@pytest.fixture(scope="module")
def dev_plan() -> Plan:
    return compile_page(read_stack("dev", ROOT, {}))


def pattern_of(plan: Plan, user: str, beginnings: Sequence[str] = ("",)) -> str:
    edge = replace(plan.federation[0], parent=user, key=Key(generation=2))
    known = dict(enumerate(beginnings, start=1))
    text = json.dumps(caddy_config([Caller(edge, dict.fromkeys(known, "$x"), known)], None))
    (found,) = re.findall(r'"\{http.request.header.Authorization\}": \{"pattern": ("[^"]*")', text)
    return json.loads(found)


@pytest.mark.parametrize(
    ("auths", "mode"),
    [
        (["basic", "basic"], None),
        (["basic", "mtls"], "verify_if_given"),
        (["basic", "both"], "verify_if_given"),
        (["both", "mtls"], "require_and_verify"),
    ],
)
def test_a_certificate_is_asked_for_where_one_is_needed(dev: Plan, auths: list[Auth], mode: str | None) -> None:
    known = [caller for auth in auths for caller in callers(dev, "eu-1", auth)]
    (policy,) = caddy_config(known, Tls([], []))["apps"]["http"]["servers"]["gateway"]["tls_connection_policies"]
    assert policy.get("client_authentication", {}).get("mode") == mode


def test_nothing_but_the_gateway_itself_listens_beyond_loopback(dev: Plan) -> None:
    servers = caddy_config(callers(dev, "hub"), Tls([], []))["apps"]["http"]["servers"]
    assert {name: server["listen"] for name, server in servers.items()} == {
        "gateway": [":9443"],
        "facts": ["127.0.0.1:9444"],
    }


def test_the_facts_hold_no_secret(dev: Plan) -> None:
    assert "$hash" not in facts(callers(dev, "hub"), Tls([], []))


def test_a_callers_certificate_is_heard_of_whoever_makes_the_gateways_own(dev: Plan) -> None:
    authority = Authority.new("authority 1 of dev")
    known = [
        replace(each, certificate=authority.signed(each.edge.caller, lifetime=timedelta(days=days)).certificate)
        for days, each in enumerate(callers(dev, "hub", "mtls"), 1)
    ]
    unknown = replace(callers(dev, "eu")[0], certificate=None)
    mounted = MountedKeyPair("/etc/gateway-certificate", "x")
    found = re.findall(
        r'certificate_expiry_timestamp_seconds{name="(.*)"} (\d+)', facts([*known, unknown], Tls([], [], mounted))
    )
    now = time()
    assert {name: round((int(at) - now) / 86400) for name, at in found} == {
        each.edge.id: days for days, each in enumerate(known, 1)
    }
    assert known


def test_the_same_plan_gives_the_same_bytes(dev: Plan) -> None:
    first, second = (json.dumps(caddy_config(callers(dev, "hub"), None)) for _ in range(2))
    assert first == second, "or every run would change the Secret"
