"""The whole program on mocks: what is registered, on which provider, in which order. Mocks prove wiring alone."""

import asyncio
import datetime as dt
import functools
import json
import runpy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import bcrypt
import pulumi
import pulumi.runtime.mocks
import pulumi.runtime.settings
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fleet.adopt import import_file
from fleet.alerts import alert_groups
from fleet.keys import generated_hash
from fleet.names import HELD_KEYS
from fleet.pem import load
from fleet.plan import Plan
from tests.leaks import SIGNATURE

ROOT = Path(__file__).parents[2]
RELEASE = "kubernetes:helm.sh/v3:Release"


class Recorder(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.resources: dict[str, pulumi.runtime.MockResourceArgs] = {}
        self.last_outputs: Mapping[str, object] = {}
        """Of this very stack, as the last update left them."""
        self.kinds: dict[str, dict[str, pulumi.runtime.MockResourceArgs]] = {}
        self.urns: set[str] = set()
        """Of all that was registered, components as well."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, object]]:
        if not args.typ.startswith("prometheus-fleet:"):
            self.resources[args.name] = args
            self.kinds.setdefault(args.typ, {})[args.name] = args
        outputs = dict(args.inputs)
        if args.typ == "random:index/randomPassword:RandomPassword":
            outputs |= {"result": f"password of {args.name}"}
            if args.name.endswith(".salt"):
                outputs["result"] = "salt" * 4
        if args.typ == "tls:index/privateKey:PrivateKey":
            outputs |= {"privateKeyPemPkcs8": f"private key of {args.name}"}
        if args.typ.startswith("tls:index/certRequest"):
            outputs |= {"certRequestPem": f"request of {args.name}"}
        if args.typ.startswith(("tls:index/selfSignedCert", "tls:index/locallySignedCert")):
            outputs |= {"certPem": certificate(args.name)}
        if args.typ == "kubernetes:core/v1:Service":
            outputs |= {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
            outputs["spec"] = {**args.inputs.get("spec", {}), "clusterIP": "198.51.100.9"}
        return args.name, outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> object:
        assert args.token.endswith(":readStackOutputs"), f"the program calls {args.token}"
        assert args.args["name"] == f"organization/prometheus-fleet/{self.stack}"
        return {"outputs": self.last_outputs}

    def resources_of(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Inputs by name."""
        return {name: args.inputs for name, args in self.kinds.get(kind, {}).items()}

    def named(self, name: str) -> pulumi.runtime.MockResourceArgs:
        return self.resources[name]

    def secret_data(self, name: str) -> dict[str, str]:
        """The data of a Secret, which must have been marked as secret: then it comes wrapped."""
        data = self.named(name).inputs["stringData"]["value"]
        return {key: value for key, value in data.items() if key != HELD_KEYS}

    def held_keys(self, name: str) -> list[dict[str, str]]:
        """What a caller's Secret says of the keys in it."""
        return [each["labels"] for each in json.loads(self.named(name).inputs["stringData"]["value"][HELD_KEYS])]

    def passwords(self) -> list[str]:
        return sorted(name for name, args in self.resources.items() if args.typ.startswith("random:"))

    def releases(self) -> dict[str, pulumi.runtime.MockResourceArgs]:
        return {name: args for name, args in self.resources.items() if args.typ == RELEASE}


@functools.cache
def certificate(name: str) -> str:
    """A real one, since the program reads in it when it ends."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + dt.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Stack dev's, with kubeconfigs that exist."""
    page = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]["prometheus-fleet:fleet"]
    folder = tmp_path_factory.mktemp("dev")
    kubeconfigs = folder / ".local" / "kubeconfigs"
    kubeconfigs.mkdir(parents=True)
    for name in page["clusters"]:
        (kubeconfigs / f"{name}.yaml").write_text(f"kubeconfig of {name}")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.delenv("FLEET_CHART", raising=False)
        yield page


@pytest.fixture(scope="module")
def program(page: dict[str, Any]) -> Recorder:
    return run_program(page)


def run_program(
    page: dict[str, object],
    secrets: Mapping[str, str] = MappingProxyType({}),
    *,
    stack: str = "dev",
    recorder: Recorder | None = None,
    preview: bool = False,
) -> Recorder:
    recorder = recorder or Recorder()
    recorder.stack = stack
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(
        recorder, project="prometheus-fleet", stack=stack, organization="organization", preview=preview
    )
    named = {f"prometheus-fleet:{key}": value for key, value in secrets.items()}
    pulumi.runtime.set_all_config({"prometheus-fleet:fleet": json.dumps(page), **named})

    def run() -> None:
        runpy.run_path(str(ROOT / "__main__.py"))

    try:
        loop.run_until_complete(pulumi.runtime.stack.run_pulumi_func(run))
        monitor = pulumi.runtime.settings.get_monitor()
        assert isinstance(monitor, pulumi.runtime.mocks.MockMonitor)
        recorder.urns = {*monitor.get_registered_resources()}
    finally:
        # A program that failed leaves the SDK with its error, and the loop with what still waits.
        waiting = asyncio.all_tasks(loop)
        for task in waiting:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
        pulumi.runtime.settings.SETTINGS.rpc_manager.clear()
        pulumi.runtime.settings.SETTINGS.outputs.clear()
        loop.close()
    return recorder


def test_every_cluster_gets_one_release_on_its_own_provider(program: Recorder) -> None:
    assert {name: args.provider.rsplit("::", 2)[1] for name, args in program.releases().items()} == {
        f"{name}-release": name for name in ("eu-1", "eu-2", "eu", "hub", "shop-1")
    }


def test_every_kubernetes_object_is_on_the_provider_of_its_cluster(program: Recorder) -> None:
    objects = [args for args in program.resources.values() if args.typ.startswith("kubernetes:")]
    for args in objects:
        provider = args.provider.rsplit("::", 2)[1]
        assert args.name == provider or args.name.startswith(f"{provider}-"), args.name
    assert {"eu-1-gateway-accounts", "hub-gateway-service", "shop-1-remote-write-credentials"} <= {
        args.name for args in objects
    }


def test_every_edge_has_passwords_of_its_own_for_this_generation_and_the_next(program: Recorder) -> None:
    assert program.passwords() == [
        f"{edge}.{generation}"
        for edge in (
            *("eu-1-alerts-hub", "eu-2-alerts-hub", "eu-alerts-hub"),
            *("eu-federates-eu-1", "eu-federates-eu-2", "hub-federates-eu", "shop-1-writes-hub"),
        )
        for generation in (1, 2)
    ]


def test_no_secret_is_in_the_values_of_a_release(program: Recorder) -> None:
    assert program.releases()
    for args in program.releases().values():
        text = json.dumps(args.inputs)
        assert "password of" not in text
        assert "$2b$" not in text
        assert "key of" not in text


def test_a_secret_is_in_no_input_that_state_would_hold_in_clear(program: Recorder) -> None:
    def in_clear(node: object) -> object:
        """What is left without the values that are wrapped as secret."""
        if isinstance(node, dict):
            return None if SIGNATURE in node else {key: in_clear(value) for key, value in node.items()}
        return [in_clear(item) for item in node] if isinstance(node, list) else node

    text = json.dumps([in_clear(args.inputs) for args in program.resources.values()])
    everything = json.dumps([args.inputs for args in program.resources.values()])
    for secret in ("password of", "$2b$", "kubeconfig of"):
        assert secret in everything
        assert secret not in text


@pytest.mark.parametrize("on", [True, False])
def test_every_cluster_has_network_policies_unless_the_page_says_otherwise(
    page: dict[str, Any], program: Recorder, *, on: bool
) -> None:
    recorder = program if on else run_program({**page, "networkPolicies": False})
    created = [args for args in recorder.resources.values() if args.typ.endswith(":NetworkPolicy")]
    denying = {name for name in recorder.resources if name.endswith("-policy-default-deny")}
    assert denying == ({f"{name}-policy-default-deny" for name in page["clusters"]} if on else set())
    assert bool(created) is on


def test_a_gateway_accepts_its_callers_and_nobody_else(program: Recorder) -> None:
    def accounts(cluster: str) -> str:
        return program.secret_data(f"{cluster}-gateway-accounts")["auth"]

    assert accounts("eu-1") == htpasswd("eu", "eu-federates-eu-1")
    assert accounts("eu") == htpasswd("hub", "hub-federates-eu")
    assert accounts("hub") == "".join(
        htpasswd(user, edge)
        for user, edge in (
            ("shop-1", "shop-1-writes-hub"),
            *((sender, f"{sender}-alerts-hub") for sender in ("eu-1", "eu-2", "eu")),
        )
    )


def hash_of(edge: str, generation: int) -> str:
    return generated_hash(f"password of {edge}.{generation}")


def htpasswd(user: str, edge: str, generations: Sequence[int] = (1, 2)) -> str:
    return "".join(f"{user}:{hash_of(edge, generation)}\n" for generation in generations)


def test_a_parent_holds_one_key_for_each_child_and_whom_to_trust(program: Recorder) -> None:
    assert program.secret_data("eu-federation-credentials") == {
        "eu-1": "password of eu-federates-eu-1.1",
        "eu-1.ca": certificate("authority-1"),
        "eu-2": "password of eu-federates-eu-2.1",
        "eu-2.ca": certificate("authority-1"),
    }


def test_a_gateway_shows_a_certificate_of_its_own(program: Recorder) -> None:
    def loaded(cluster: str) -> object:
        config = json.loads(program.secret_data(f"{cluster}-gateway-accounts")["caddy.json"])
        return config["apps"]["tls"]["certificates"]["load_pem"]

    for cluster in ("eu-1", "eu", "hub"):
        name = f"{cluster}-gateway"
        assert loaded(cluster) == [{"certificate": certificate(name), "key": f"private key of {name}"}]
        assert program.resources_of("tls:index/certRequest:CertRequest")[name]["dnsNames"] == [
            f"{cluster}.prometheus-fleet.internal"
        ]


def test_in_the_second_generation_a_gateway_accepts_three_and_its_caller_uses_that_one(
    program: Recorder, page: dict[str, Any]
) -> None:
    recorder = run_program({**page, "keys": {"edges": {"hub-federates-eu": {"generation": 2}}}})
    assert recorder.secret_data("eu-gateway-accounts")["auth"] == htpasswd("hub", "hub-federates-eu", (2, 1, 3))
    assert recorder.secret_data("hub-federation-credentials")["eu"] == "password of hub-federates-eu.2"
    assert recorder.secret_data("eu-federation-credentials") == program.secret_data("eu-federation-credentials")


def test_a_password_that_somebody_brings_is_used_as_it_is(program: Recorder, page: dict[str, Any]) -> None:
    edges = {"edges": {"hub-federates-eu": {"password": {"config": "mine"}}}}
    recorder = run_program({**page, "keys": edges}, {"mine": "brought along"})
    assert recorder.secret_data("hub-federation-credentials")["eu"] == "brought along"
    user, hashed = recorder.secret_data("eu-gateway-accounts")["auth"].strip().split(":")
    assert user == "hub"
    assert bcrypt.checkpw(b"brought along", hashed.encode())
    assert "hub-federates-eu.1" in program.passwords()
    assert "hub-federates-eu.1" not in recorder.passwords()


def test_a_certificate_is_of_one_edge_and_one_generation(page: dict[str, Any]) -> None:
    recorder = run_program({**page, "keys": {"auth": "mtls"}})
    assert recorder.passwords() == []
    assert recorder.secret_data("shop-1-remote-write-credentials") == {
        "hub.ca": certificate("authority-1"),
        "hub.crt": certificate("shop-1-writes-hub.1"),
        "hub.key": "private key of shop-1-writes-hub.1",
    }
    request = recorder.resources_of("tls:index/certRequest:CertRequest")["shop-1-writes-hub.1"]
    assert request["uris"] == ["urn:prometheus-fleet:shop-1-writes-hub:1"]


def test_while_an_authority_is_replaced_everybody_trusts_both_and_one_signs(page: dict[str, Any]) -> None:
    recorder = run_program({**page, "authority": {"trust": [1, 2], "issue": 2}, "keys": {"auth": "both"}})
    both = certificate("authority-1") + certificate("authority-2")
    assert recorder.secret_data("eu-federation-credentials")["eu-1.ca"] == both
    signed = recorder.resources_of("tls:index/locallySignedCert:LocallySignedCert")
    assert {each["caCertPem"] for each in signed.values()} == {certificate("authority-2")}
    config = json.loads(recorder.secret_data("eu-1-gateway-accounts")["caddy.json"])
    (policy,) = config["apps"]["http"]["servers"]["gateway"]["tls_connection_policies"]
    assert len(policy["client_authentication"]["ca"]["trusted_ca_certs"]) == 2


def test_a_certificate_of_cert_manager_is_asked_for_and_mounted(page: dict[str, Any]) -> None:
    tls = {"mode": "cert-manager", "issuer": {"name": "internal"}, "ca": certificate("internal")}
    recorder = run_program({**page, "tls": tls})
    asked = recorder.named("eu-1-gateway-certificate").inputs["spec"]
    assert asked["dnsNames"] == ["eu-1.prometheus-fleet.internal"]
    assert asked["ipAddresses"] == ["172.30.1.2"]
    spec = recorder.releases()["eu-1-release"].inputs["values"]["prometheus"]["prometheusSpec"]
    mounted = {each["name"]: each.get("secret") for each in spec["volumes"]}
    assert mounted["prometheus-gateway-certificate"] == {"secretName": asked["secretName"], "optional": True}
    assert recorder.secret_data("eu-federation-credentials")["eu-1.ca"] == certificate("internal")
    config = json.loads(recorder.secret_data("eu-1-gateway-accounts")["caddy.json"])
    assert config["apps"]["tls"]["certificates"]["load_pem"] == []
    assert "get_certificate" in json.dumps(config["apps"]["tls"]["automation"])


@pytest.mark.parametrize("tls", [{}, {"mode": "existing", "secret": "tls", "ca": None}])
def test_until_when_callers_certificates_last_is_among_every_gateways_facts(
    page: dict[str, Any], tls: dict[str, Any]
) -> None:
    given = {**tls, "ca": certificate("internal")} if tls else tls
    recorder = run_program({**page, "tls": given, "keys": {"auth": "mtls"}})
    for cluster, edge in (("eu-1", "eu-federates-eu-1"), ("eu", "hub-federates-eu"), ("hub", "shop-1-writes-hub")):
        config = recorder.secret_data(f"{cluster}-gateway-accounts")["caddy.json"]
        (ends,) = (each.not_valid_after_utc for each in load(certificate(f"{edge}.1")))
        assert f'certificate_expiry_timestamp_seconds{{name=\\"{edge}\\"}} {ends.timestamp():.0f}' in config
        assert "private key of shop-1-writes-hub" not in config


def test_alerts_are_objects_of_every_cluster_that_evaluates_them(program: Recorder, dev: Plan) -> None:
    rules = {name for name, args in program.resources.items() if args.typ.endswith(":PrometheusRule")}
    alerts = {name for name in rules if "-alerts-" in name}
    assert alerts == {
        f"{name}-{group.name}" for name, cluster in dev.clusters.items() for group in alert_groups(dev, cluster)
    }
    assert {name.partition("-alerts-")[0] for name in alerts} == {"eu-1", "eu-2", "eu", "hub"}


def test_a_sender_of_alerts_holds_its_key_and_where_they_are_heard(program: Recorder) -> None:
    held = program.secret_data("eu-1-alert-credentials")
    (alertmanager,) = json.loads(held.pop("alertmanagers.yaml"))
    assert alertmanager["static_configs"] == [{"targets": ["172.30.4.2:30443"]}]
    assert alertmanager["basic_auth"]["username"] == "eu-1"
    assert held == {"hub.password": "password of eu-1-alerts-hub.1", "hub.ca": certificate("authority-1")}
    assert "eu-1-alert-credentials" in program.resources
    assert "shop-1-alert-credentials" not in program.resources


def test_kubeconfigs_reach_their_provider(program: Recorder) -> None:
    assert program.named("eu-1").inputs["kubeconfig"]["value"] == "kubeconfig of eu-1"


def test_dashboards_lie_in_the_global_cluster_and_nowhere_else(program: Recorder) -> None:
    maps = [args for args in program.resources.values() if args.typ == "kubernetes:core/v1:ConfigMap"]
    assert sorted(args.inputs["metadata"]["name"] for args in maps) == [
        "prometheus-fleet-cluster",
        "prometheus-fleet-cost",
        "prometheus-fleet-federation",
        "prometheus-fleet-overview",
        "prometheus-fleet-region",
        "prometheus-fleet-remote-write",
    ]
    for args in maps:
        assert args.provider.rsplit("::", 2)[1] == "hub"
        assert args.inputs["metadata"]["labels"]["grafana_dashboard"] == "1"
        ((file, text),) = args.inputs["data"].items()
        assert f"{json.loads(text)['uid']}.json" == file


def test_grafana_starts_with_a_password_of_its_own_that_lies_in_a_secret() -> None:
    clusters = {"hub": {"tier": "global", "kubeconfigSecret": "hub-kubeconfig"}}
    recorder = run_program({"grafana": True, "clusters": clusters}, {"hub-kubeconfig": "kubeconfig of hub"})
    secret = recorder.secret_data("hub-grafana-admin-secret")
    assert secret == {"admin-user": "admin", "admin-password": "password of hub-grafana-admin"}
    assert "password of" not in json.dumps(recorder.releases()["hub-release"].inputs["values"])
    role = recorder.named("hub-grafana-role").inputs
    assert [each["resources"] for each in role["rules"]] == [["configmaps"]]


def test_what_is_imported_is_what_the_program_registers(program: Recorder, dev: Plan) -> None:
    resources = import_file(dev, [*dev.clusters], "dev")["resources"]
    types = {resource["name"]: resource["type"] for resource in resources}
    # A mock's URN begins with the parent's type.
    above = {each["name"]: f"{types[each['parent']]}$" if "parent" in each else "" for each in resources}
    imported = {f"{above[name]}{type_}::{name}" for name, type_ in types.items()}
    assert len(imported) == 3 * len(dev.clusters)
    registered = {urn.split("::", 2)[2].removeprefix("pulumi:pulumi:Stack$") for urn in program.urns}
    assert imported - registered == set()


def test_alertmanager_runs_beside_the_global_prometheus_alone(program: Recorder) -> None:
    enabled = {name: args.inputs["values"]["alertmanager"]["enabled"] for name, args in program.releases().items()}
    assert [name for name, is_enabled in enabled.items() if is_enabled] == ["hub-release"]
