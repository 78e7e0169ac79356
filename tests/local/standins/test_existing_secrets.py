"""Passwords from Secrets that are there already, read from a real API server by the real engine."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import bcrypt
import pulumi
import pytest
from pulumi_project import Program, Project, nothing

from components.authorities import Authorities
from components.credential import Credential, held_data, password_parts
from components.discovery import DiscoveryAccount
from components.gateway_config import htpasswd
from components.objects import create
from fleet import manifests
from fleet.compiler import compile_page
from fleet.page import read_page
from fleet.plan import Plan

pytestmark = [
    pytest.mark.cluster,
    # The SDK drops the pending outputs of a program whose `up` failed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FIRST = "correct horse battery"
SECOND = "staple for the next one"


def fleet(brought: Mapping[str, object]) -> Plan:
    clusters = {
        "hub": {"tier": "global", "discover": {"team-a": {"namespace": "a"}}},
        "eu-1": {"tier": "leaf"},
    }
    page = {
        "namespace": "default",
        "keys": {
            "edges": {name: {"password": {**brought, "key": name}} for name in ("hub-federates-eu-1", "hub-discovers")}
        },
        "readers": {"grafana": {"clusters": "hub", "password": {**brought, "key": "grafana"}}},
        "clusters": {name: {"context": name, **each} for name, each in clusters.items()},
    }
    return compile_page(read_page(page, {}))


def program(brought: Mapping[str, object]) -> Program:
    """What of a fleet handles passwords, all in one cluster."""
    plan = fleet(brought)

    def run(options: pulumi.ResourceOptions) -> None:
        hub, leaf = plan.clusters["hub"], plan.clusters["eu-1"]
        credential = Credential(plan.federation[0], Authorities(plan.authority), options)
        assert hub.discovery is not None
        discovery = DiscoveryAccount(hub, hub.discovery, options)
        create("held", manifests.federation_credentials(hub, held_data([credential, discovery])), options)
        create("accounts", manifests.gateway_secret(leaf, {"auth": htpasswd([credential])}), options)
        (reader,) = hub.readers
        parts = password_parts(reader, discovery)
        create("readers", manifests.gateway_readers(hub, {"grafana": parts["password"]}), options)

    return run


@pytest.fixture
def kept(project: Project) -> Any:
    """Writes the Secret as users do; it goes when the test does."""
    names: list[str] = []

    def keep(name: str, password: bytes, *keys: str) -> Mapping[str, object]:
        names.append(name)
        data = {key: base64.b64encode(password + (key.encode() if password else b"")).decode() for key in keys}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "kube-public"},
            "data": data,
        }
        # By `kubectl apply`, whose annotation holds all of it once more.
        project.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(secret))
        return {"secret": name, "namespace": "kube-public"}

    yield keep
    project.destroy()
    for name in names:
        project.cluster.kubectl("delete", "secret", name, "-n", "kube-public", "--ignore-not-found")


Keep = Callable[..., Mapping[str, object]]
KEYS = ("hub-federates-eu-1", "hub-discovers", "grafana")


def data(project: Project, name: str) -> dict[str, str]:
    live: dict[str, str] = project.live("secret", name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in live.items()}


def arrived(project: Project, password: str) -> None:
    held = data(project, "federation-credentials")
    assert held["eu-1"] == password + "hub-federates-eu-1"
    assert held["auto-discover.password"] == password + "hub-discovers"
    assert data(project, "gateway-readers")["grafana"] == password + "grafana"
    for name, key in (("prometheus-gateway", "hub-federates-eu-1"), ("discovery-account", "hub-discovers")):
        user, hashed = data(project, name)["auth"].strip().split(":")
        assert user == "hub"
        assert bcrypt.checkpw((password + key).encode(), hashed.encode())


def nowhere_in_clear(project: Project, *passwords: str) -> None:
    shown = project.kept_text() + project.output
    for password in passwords:
        assert password not in shown
        # Of any offset: base64 of three bytes are four characters, whatever stands before.
        for start in range(3):
            assert base64.b64encode(password[start:].encode()[:12]).decode() not in shown


def test_a_password_is_read_from_its_secret_and_a_changed_one_with_the_next_update(
    project: Project, kept: Keep
) -> None:
    brought = kept("brought", FIRST.encode(), *KEYS)
    project.settings["enable_secret_mutable"] = True
    project.up(program(brought))
    arrived(project, FIRST)
    nowhere_in_clear(project, FIRST)
    again = project.up(program(brought))
    assert again.keys() <= {"same", "read"}, again
    kept("brought", SECOND.encode(), *KEYS)
    changed = project.up(program(brought))
    # Both ends and what discovery and the reader are given, but nothing beside them.
    assert changed["update"] == 4, changed
    arrived(project, SECOND)
    nowhere_in_clear(project, FIRST, SECOND)


def test_the_secret_stays_when_the_program_goes(project: Project, kept: Keep) -> None:
    project.up(program(kept("brought", FIRST.encode(), *KEYS)))
    project.up(nothing)
    assert project.cluster.kubectl("get", "secret", "brought", "-n", "kube-public", "-o", "name").strip()


def test_a_secret_that_is_missing_is_named_with_its_edge_before_anything_is_written(project: Project) -> None:
    said = project.fails(program({"secret": "nowhere", "namespace": "kube-public"}))
    assert re.search(r"Secret \((hub-federates-eu-1|hub-discovers|grafana-reads-hub)\.password\)", said)
    assert "'kube-public/nowhere' does not exist" in said
    assert "Traceback" not in said
    assert "federation-credentials" not in project.cluster.kubectl("get", "secret", "-o", "name")


def test_a_password_that_does_not_do_changes_neither_end(project: Project, kept: Keep) -> None:
    brought = kept("brought", FIRST.encode(), *KEYS)
    project.up(program(brought))
    for unfit, reason in (
        ({"password": b""}, "has no key"),
        (dict.fromkeys(KEYS, b"\xff" * 16), "is not UTF-8 text"),
        (dict.fromkeys(KEYS, b"hunter2"), "at least 12 characters"),
        (dict.fromkeys(KEYS, b"hunter2hunter2\n"), "neither begins nor ends with a blank or a newline"),
    ):
        body = {key: base64.b64encode(value).decode() for key, value in unfit.items()}
        metadata = {"name": "brought", "namespace": "kube-public"}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": body}
        project.cluster.kubectl("replace", "-f", "-", stdin=json.dumps(secret))
        said = project.fails(program(brought))
        assert reason in said
        assert "Secret kube-public/brought of cluster" in said
        assert "Traceback" not in said
        nowhere_in_clear(project, FIRST, "hunter2")
        arrived(project, FIRST)
