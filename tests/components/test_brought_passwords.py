"""Passwords that somebody brings, from Secrets of the clusters and from the config, on mocks: which end gets what."""

import base64
import gc
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import bcrypt
import pulumi
import pytest
from test_program import Recorder, run_program

SECRET = "kubernetes:core/v1:Secret"  # noqa: S105 (a type)
PASSWORDS = {
    "hub-federates-eu": "federation's own password",
    "shop-1-writes-hub": "the sender's own password",
    "hub-discovers": "discovery's own password",
    "grafana-reads-hub": "grafana's own password at the hub",
    "grafana-reads-eu": "grafana's own password in eu",
}
LOWER = {
    "hub-federates-eu": "eu",
    "shop-1-writes-hub": "shop-1",
    "hub-discovers": "hub",
    "grafana-reads-hub": "hub",
    "grafana-reads-eu": "eu",
}
"""By key: the cluster whose metrics it opens."""


class Clusters(Recorder):
    """In which Secrets lie already."""

    def __init__(self, data: Mapping[str, object] | None = None) -> None:
        super().__init__()
        self.data = data
        """Of all of them; a password of its own in each where absent."""
        self.read: dict[str, pulumi.runtime.MockResourceArgs] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, object]]:
        name, outputs = super().new_resource(args)
        if args.typ == SECRET and args.resource_id:
            self.read[args.name] = args
            password = PASSWORDS[args.name.removesuffix(".password")]
            data = {"password": base64.b64encode(password.encode()).decode()} if self.data is None else self.data
            return args.resource_id, {**outputs, "kind": "Secret", "data": data}
        return name, outputs


@pytest.fixture(scope="module", autouse=True)
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("brought") / "kubeconfig"
    path.write_text("kubeconfig of all")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBECONFIG", str(path))
        patched.delenv("FLEET_CHART", raising=False)
        yield


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Coroutines of a program that failed complain when they are collected: here, where nothing else runs."""
    yield
    gc.collect()


def page(edges: Mapping[str, object], reader: Mapping[str, object]) -> dict[str, object]:
    host = {"gateway": {"type": "Host"}}
    clusters: dict[str, dict[str, object]] = {
        "hub": {"tier": "global", "discover": {"team-a": {"namespace": "a"}}, "gateway": {"host": "hub.example.com"}},
        "eu": {"tier": "leaf", "gateway": {"host": "eu.example.com"}},
        "shop-1": {"tier": "edge"},
    }
    return {
        **host,
        "keys": {"edges": {name: {"password": each} for name, each in edges.items()}},
        "readers": {"grafana": {"clusters": ["hub", "eu"], **reader}},
        "clusters": {name: {"context": name, **each} for name, each in clusters.items()},
    }


def of_secrets() -> dict[str, object]:
    edges = ("hub-federates-eu", "shop-1-writes-hub", "hub-discovers")
    return page(
        {name: {"secret": name, "namespace": "credentials"} for name in edges},
        {"password": {"secret": "grafana", "namespace": "credentials"}},
    )


def of_config() -> dict[str, object]:
    edges = ("hub-federates-eu", "shop-1-writes-hub", "hub-discovers")
    brought = page({name: {"config": name} for name in edges}, {"password": {"config": "grafana"}})
    return {**brought, "readers": {"grafana": {"clusters": "hub", "password": {"config": "grafana-reads-hub"}}}}


@pytest.fixture(scope="module")
def program() -> Clusters:
    recorder = Clusters()
    run_program(of_secrets(), recorder=recorder)
    return recorder


def test_a_secret_is_read_from_the_cluster_whose_metrics_it_opens(program: Clusters) -> None:
    providers = {name.removesuffix(".password"): args.provider for name, args in program.read.items()}
    assert {
        name: str(provider).rpartition("::")[0].rpartition("::")[2] for name, provider in providers.items()
    } == LOWER
    assert {args.resource_id for args in program.read.values()} == {
        "credentials/hub-federates-eu",
        "credentials/shop-1-writes-hub",
        "credentials/hub-discovers",
        "credentials/grafana",
    }


def known(program: Recorder, secret: str) -> dict[str, str]:
    """Hashes by user, in an account's Secret."""
    lines = program.secret_data(secret)["auth"].splitlines()
    return dict(line.split(":") for line in lines)


@pytest.mark.parametrize("brought", [of_secrets, of_config])
def test_any_credential_may_be_somebodys_own(brought: Any) -> None:
    program = Clusters()
    run_program(brought(), {} if brought is of_secrets else PASSWORDS, recorder=program)
    held = {
        "hub-federates-eu": program.secret_data("hub-federation-credentials")["eu"],
        "shop-1-writes-hub": program.secret_data("shop-1-remote-write-credentials")["hub.password"],
        "hub-discovers": program.secret_data("hub-federation-credentials")["auto-discover.password"],
        "grafana-reads-hub": program.secret_data("hub-gateway-readers")["grafana"],
    }
    assert held == {name: PASSWORDS[name] for name in held}
    accounts = {
        "hub-federates-eu": known(program, "eu-gateway-accounts")["hub"],
        "shop-1-writes-hub": known(program, "hub-gateway-accounts")["shop-1"],
        "hub-discovers": known(program, "hub-discovery-account")["hub"],
        "grafana-reads-hub": known(program, "hub-gateway-accounts")["grafana"],
    }
    for name, hashed in accounts.items():
        assert bcrypt.checkpw(PASSWORDS[name].encode(), hashed.encode()), name
    made = [name for name in program.passwords() if not name.endswith(".salt")]
    assert not any(name.partition(".")[0] in PASSWORDS for name in made)


def test_a_gateway_knows_no_beginning_of_a_password_that_somebody_brings(program: Clusters) -> None:
    for cluster in ("eu", "hub"):
        config = program.secret_data(f"{cluster}-gateway-accounts")["caddy.json"]
        for name, password in PASSWORDS.items():
            user = name.partition("-")[0]
            shown = f"{user}:{password}"[: (len(user) + 4) // 3 * 3]
            assert len(shown) > len(f"{user}:")
            assert base64.b64encode(shown.encode()).decode() not in config


def b64(text: bytes) -> str:
    return base64.b64encode(text).decode()


UNFIT: Mapping[str, tuple[dict[str, str], str]] = MappingProxyType(
    {
        "no key": ({"passwort": b64(b"x" * 12)}, "has no key password: its keys are passwort; did you mean passwort?"),
        "nothing": ({}, "has no key password: it is empty"),
        "no text": ({"password": b64(b"\xff\xfe" * 8)}, "what its key password holds is not UTF-8 text"),
        "too short": ({"password": b64(b"hunter2")}, "key password: a password has at least 12 characters"),
        "a newline": ({"password": b64(b"hunter2hunter2\n")}, "neither begins nor ends with a blank or a newline"),
        "a control character": ({"password": b64(b"hunter2\0hunter2")}, "a password has no control characters"),
        "more than bcrypt reads": ({"password": b64(b"x" * 73)}, "a password has at most 72 bytes"),
    }
)


@pytest.mark.parametrize(("data", "message"), UNFIT.values(), ids=UNFIT)
def test_what_is_no_password_is_refused_and_not_repeated(data: dict[str, str], message: str) -> None:
    only = {"hub-federates-eu": {"secret": "mine", "namespace": "credentials"}}
    recorder = Clusters(data)
    with pytest.raises(pulumi.RunError) as refused:
        run_program(page(only, {}), recorder=recorder)
    told = str(refused.value)
    assert "keys.edges.hub-federates-eu.password: Secret credentials/mine of cluster eu" in told
    assert message in told
    assert "--from-file=password=FILE" in told
    for value in data.values():
        assert value not in told
        assert "hunter2" not in told
    written = json.dumps([args.inputs for args in recorder.resources.values()], default=str)
    assert "hunter2" not in written


def test_a_short_password_in_the_config_is_refused_and_not_repeated() -> None:
    with pytest.raises(pulumi.RunError) as refused:
        run_program(page({"hub-federates-eu": {"config": "mine"}}, {}), {"mine": "hunter2"})
    told = str(refused.value)
    assert "keys.edges.hub-federates-eu.password: config key prometheus-fleet:mine: a password has at least" in told
    assert "hunter2" not in told
