"""Keys and certificates: what a verifier makes of them, alone and through the engine."""

import asyncio
import datetime as dt
import ipaddress
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import pulumi
import pulumi_tls as tls
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi_project import Project

from local.standins.host import Host, StandInError
from local.standins.properties import UNKNOWN, Json, JsonObject, from_json, marshal, plain_map, unmarshal
from local.standins.tls.certificates import EXTENDED_USES, KEY_USES
from local.standins.tls.resources import Kind, kinds

URN = "urn:pulumi:test::standins::{}::it"
KEY = "tls:index/privateKey:PrivateKey"
REQUEST = "tls:index/certRequest:CertRequest"
SELF_SIGNED = "tls:index/selfSignedCert:SelfSignedCert"
SIGNED = "tls:index/locallySignedCert:LocallySignedCert"
AUTHORITY = {"allowedUses": ["cert_signing"], "isCaCertificate": True, "subject": {"commonName": "authority"}}


def made(token: str, **inputs: Json) -> dict[str, str]:
    """The outputs of the resource, once its inputs passed the check."""
    bag = marshal({key: from_json(value) for key, value in inputs.items()})
    assert not refusals(token, **inputs)
    answer = asyncio.run(kinds(Host())[token].create(pb.CreateRequest(urn=URN.format(token), properties=bag)))
    return cast("dict[str, str]", plain_map(unmarshal(answer.properties)))


def refusals(token: str, **inputs: Json) -> str:
    bag = marshal({key: from_json(value) for key, value in inputs.items()})
    answer = asyncio.run(kinds(Host())[token].check(pb.CheckRequest(urn=URN.format(token), news=bag)))
    return "\n".join(failure.reason for failure in answer.failures)


def key(algorithm: str = "ECDSA", **inputs: Json) -> dict[str, str]:
    return made(KEY, **{"algorithm": algorithm, "ecdsaCurve": "P256", **inputs})


def authority(key: Mapping[str, str], **inputs: Json) -> dict[str, str]:
    wanted: JsonObject = {"privateKeyPem": key["privateKeyPem"], "validityPeriodHours": 24, **AUTHORITY, **inputs}
    return made(SELF_SIGNED, **wanted)


def signed(key: Mapping[str, str], ca_key: Mapping[str, str], ca: Mapping[str, str], **inputs: Json) -> dict[str, str]:
    """A certificate of the key; `holder` is what its request has beside the key."""
    holder = inputs.pop("holder", {"dnsNames": ["eu-1.prometheus-fleet.internal"]})
    assert isinstance(holder, dict)
    request = made(REQUEST, privateKeyPem=key["privateKeyPem"], **holder)
    wanted: JsonObject = {
        "certRequestPem": request["certRequestPem"],
        "caCertPem": ca["certPem"],
        "caPrivateKeyPem": ca_key["privateKeyPem"],
        "validityPeriodHours": 2,
        "allowedUses": ["digital_signature", "server_auth"],
        **inputs,
    }
    return made(SIGNED, **wanted)


def certificate(resource: Mapping[str, str]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(resource["certPem"].encode())


ALGORITHMS = [
    ("RSA", {"rsaBits": 2048}, "RSA PRIVATE KEY"),
    ("ECDSA", {"ecdsaCurve": "P224"}, "EC PRIVATE KEY"),
    ("ECDSA", {"ecdsaCurve": "P256"}, "EC PRIVATE KEY"),
    ("ECDSA", {"ecdsaCurve": "P384"}, "EC PRIVATE KEY"),
    ("ECDSA", {"ecdsaCurve": "P521"}, "EC PRIVATE KEY"),
    ("ED25519", {}, "PRIVATE KEY"),
]


@pytest.mark.parametrize(("algorithm", "inputs", "preamble"), ALGORITHMS)
def test_every_form_of_a_key_is_the_same_key(algorithm: str, inputs: dict[str, Json], preamble: str) -> None:
    one = key(algorithm, **inputs)
    assert one["privateKeyPem"].startswith(f"-----BEGIN {preamble}-----\n")
    pem, pkcs8 = (
        serialization.load_pem_private_key(one[form].encode(), None) for form in ("privateKeyPem", "privateKeyPemPkcs8")
    )
    public = serialization.load_pem_public_key(one["publicKeyPem"].encode())
    assert pem.public_key() == pkcs8.public_key() == public
    openssh = ("privateKeyOpenssh", "publicKeyOpenssh", "publicKeyFingerprintMd5", "publicKeyFingerprintSha256")
    if inputs.get("ecdsaCurve") == "P224":
        assert [one[form] for form in openssh] == [""] * 4
        return
    assert serialization.load_ssh_private_key(one["privateKeyOpenssh"].encode(), None).public_key() == public
    assert serialization.load_ssh_public_key(one["publicKeyOpenssh"].encode()) == public
    assert one["publicKeyFingerprintSha256"].startswith("SHA256:")
    assert len(one["publicKeyFingerprintMd5"].split(":")) == 16


@pytest.mark.parametrize(("algorithm", "inputs", "preamble"), ALGORITHMS)
def test_openssl_verifies_a_chain_of_every_kind_of_key(
    algorithm: str, inputs: dict[str, Json], preamble: str, tmp_path: Path
) -> None:
    del preamble
    ca_key, leaf_key = key(algorithm, **inputs), key(algorithm, **inputs)
    ca = authority(ca_key)
    leaf = signed(leaf_key, ca_key, ca)
    assert ca["keyAlgorithm"] == leaf["caKeyAlgorithm"] == algorithm
    (tmp_path / "ca.crt").write_text(ca["certPem"])
    (tmp_path / "leaf.crt").write_text(leaf["certPem"])
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.crt", "leaf.crt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "leaf.crt: OK\n", done.stderr


def test_a_chain_holds_for_its_names_and_its_authority_alone() -> None:
    ca_key, other_key = key(), key()
    ca, other = authority(ca_key), authority(other_key)
    leaf = certificate(signed(key(), ca_key, ca, holder={"dnsNames": ["eu-1.internal"]}))

    def verify(name: str, trusted: Mapping[str, str]) -> list[x509.Certificate]:
        store = verification.Store([certificate(trusted)])
        verifier = verification.PolicyBuilder().store(store).build_server_verifier(x509.DNSName(name))
        return verifier.verify(leaf, [])

    assert verify("eu-1.internal", ca) == [leaf, certificate(ca)]
    renewed = authority(ca_key)
    assert verify("eu-1.internal", renewed) == [leaf, certificate(renewed)]
    with pytest.raises(verification.VerificationError):
        verify("eu-2.internal", ca)
    with pytest.raises(verification.VerificationError):
        verify("eu-1.internal", other)


class Healthy(BaseHTTPRequestHandler):
    """Answers as Prometheus does, and keeps the URIs of the client's certificate."""

    callers: list[str]

    def do_GET(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        alternative = (self.connection.getpeercert() or {}).get("subjectAltName", ())
        self.callers += [value for kind, value in cast("tuple[tuple[str, str], ...]", alternative) if kind == "URI"]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """The test says what it saw."""


class Listening(ThreadingHTTPServer):
    def __init__(self, handler: type[Healthy]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.refused: SimpleQueue[str] = SimpleQueue()
        """Why a handshake ended; its caller may hear of that, or of a connection that is gone."""

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 (the base class passes them)
        self.refused.put(str(sys.exception()))


EDGE = "urn:prometheus-fleet:global/eu:3"


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Listening, list[str]]]:
    """A server that wants client certificates, with the folder of all files and the callers that it saw."""
    folder = tmp_path_factory.mktemp("wire")
    ca_key, server_key, client_key, other_key = key(), key(), key(), key()
    ca, other = authority(ca_key), authority(other_key)
    uses = {"holder": {"uris": [EDGE]}, "allowedUses": ["digital_signature", "client_auth"]}
    for name, holder_key, resource in (
        ("ca", ca_key, ca),
        ("other", other_key, other),
        ("server", server_key, signed(server_key, ca_key, ca)),
        ("client", client_key, signed(client_key, ca_key, ca, **uses)),
        ("stranger", client_key, signed(client_key, other_key, other, **uses)),
    ):
        (folder / f"{name}.crt").write_text(resource["certPem"])
        (folder / f"{name}.key").touch(mode=0o600)
        (folder / f"{name}.key").write_text(holder_key["privateKeyPem"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    callers: list[str] = []
    handler = type("Kept", (Healthy,), {"callers": callers})
    with Listening(handler) as server:
        # The handshake is the handler thread's, so that a refused one ends no server.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, server, callers
        server.shutdown()


@pytest.mark.parametrize(
    ("ca", "server_name", "client", "said"),
    [
        ("ca", "eu-1.prometheus-fleet.internal", "client", "SUCCESS"),
        ("ca", "eu-2.prometheus-fleet.internal", "client", "certificate is valid for eu-1.prometheus-fleet.internal"),
        ("other", "eu-1.prometheus-fleet.internal", "client", "certificate signed by unknown authority"),
        ("ca", "eu-1.prometheus-fleet.internal", "stranger", None),
    ],
)
def test_prometheus_own_client_and_a_server_tell_each_other_apart(
    wire: tuple[Path, Listening, list[str]], ca: str, server_name: str, client: str, said: str | None
) -> None:
    folder, server, callers = wire
    callers.clear()
    files = {"ca_file": f"{ca}.crt", "cert_file": f"{client}.crt", "key_file": f"{client}.key"}
    config = {"tls_config": {name: str(folder / file) for name, file in files.items()} | {"server_name": server_name}}
    (folder / "client.yaml").write_text(yaml.safe_dump(config))
    command = [
        "promtool",
        "check",
        "healthy",
        f"--url=https://127.0.0.1:{server.server_port}",
        "--http.config.file=client.yaml",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if said is None:
        assert done.returncode != 0
        # Others' reasons may come before it. None at all raises Empty.
        while "unable to get local issuer certificate" not in server.refused.get(timeout=10):
            continue
    else:
        assert said in done.stdout + done.stderr
    assert callers == ([EDGE] if said == "SUCCESS" else [])


def test_a_certificate_says_what_its_inputs_say() -> None:
    holder: JsonObject = {
        "subject": {"commonName": "eu-1", "organization": "fleet", "streetAddresses": ["one", "two"], "country": "NZ"},
        "dnsNames": ["eu-1.internal"],
        "ipAddresses": ["192.0.2.1", "2001:db8::1"],
        "uris": [EDGE],
    }
    wanted = certificate(
        made(
            SELF_SIGNED,
            privateKeyPem=key()["privateKeyPem"],
            validityPeriodHours=3,
            allowedUses=["key_agreement", *KEY_USES, *EXTENDED_USES],
            setSubjectKeyId=True,
            setAuthorityKeyId=True,
            **holder,
        )
    )
    assert wanted.not_valid_after_utc - wanted.not_valid_before_utc == dt.timedelta(hours=3)
    assert abs(wanted.not_valid_before_utc - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert wanted.subject.rfc4514_string() == "CN=eu-1,O=fleet,STREET=one+STREET=two,C=NZ"
    assert wanted.issuer == wanted.subject
    extensions = wanted.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["eu-1.internal"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address(address) for address in ("192.0.2.1", "2001:db8::1")
    ]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [EDGE]
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert all(getattr(usage.value, argument) for argument in KEY_USES.values())
    extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [use.dotted_string for use in extended] == [*EXTENDED_USES.values()]
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    own = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own


@pytest.mark.parametrize(("given", "limit"), [(None, None), (-1, None), (0, None), (2, 2)])
def test_an_authority_is_one_and_limits_those_below_it_from_one_on(given: int | None, limit: int | None) -> None:
    one = certificate(authority(key(), **({} if given is None else {"maxPathLength": given})))
    constraints = one.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, limit)


def test_a_signed_certificate_takes_names_of_its_request_and_points_at_its_authority() -> None:
    ca_key = key()
    ca = authority(ca_key)
    holder: JsonObject = {"subject": {"commonName": "eu-1", "emailAddress": "eu@example.com"}, "uris": [EDGE]}
    leaf = certificate(signed(key(), ca_key, ca, holder=holder))
    assert [(part.oid, part.value) for part in leaf.subject] == [(NameOID.COMMON_NAME, "eu-1")]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [EDGE]
    own = certificate(ca).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own
    nameless = certificate(signed(key(), ca_key, ca)).extensions
    assert nameless.get_extension_for_class(x509.SubjectAlternativeName).critical


class Listener(Host):
    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    async def warn(self, urn: str, message: str) -> None:
        del urn
        self.warnings.append(message)


def test_signing_with_what_is_no_authority_is_warned_of() -> None:
    one = key()
    for is_authority in (True, False):
        listener = Listener()
        request = made(REQUEST, privateKeyPem=key()["privateKeyPem"])["certRequestPem"]
        ca = authority(one, isCaCertificate=is_authority)["certPem"]
        inputs: JsonObject = {"certRequestPem": request, "caCertPem": ca, "caPrivateKeyPem": one["privateKeyPem"]}
        bag = marshal(
            {name: from_json(value) for name, value in {**inputs, "validityPeriodHours": 1, "allowedUses": []}.items()}
        )
        asyncio.run(kinds(listener)[SIGNED].create(pb.CreateRequest(urn=URN.format(SIGNED), properties=bag)))
        assert bool(listener.warnings) is not is_authority


@pytest.mark.parametrize(
    ("token", "inputs", "reason"),
    [
        (KEY, {}, "algorithm is required"),
        (KEY, {"algorithm": "DSA"}, "algorithm must be one of RSA, ECDSA, ED25519"),
        (KEY, {"algorithm": "ECDSA", "ecdsaCurve": "P-256"}, "ecdsaCurve must be one of P224, P256, P384, P521"),
        (KEY, {"algorithm": "ECDSA", "curve": "P256"}, "PrivateKey has no input 'curve'"),
        (REQUEST, {"dnsNames": ["a"]}, "privateKeyPem is required"),
        (REQUEST, {"dnsNames": "a"}, "dnsNames must be a list, each item a text"),
        (REQUEST, {"uris": [""]}, "uris must be a list, each item a text that is not empty"),
        (REQUEST, {"subject": {"common_name": "a"}}, "subject must be an object of country (a text), "),
        (SELF_SIGNED, {"allowedUses": ["sign"]}, "allowedUses must be a list, each item one of digital_signature, "),
        (SELF_SIGNED, {"earlyRenewalHours": -1}, "earlyRenewalHours must be a whole number of at least 0"),
        (SELF_SIGNED, {"maxPathLength": -2}, "maxPathLength must be a whole number of at least -1"),
        (SIGNED, {"validityPeriodHours": True}, "validityPeriodHours must be a whole number of at least 0"),
        (SIGNED, {"setAuthorityKeyId": True}, "LocallySignedCert has no input 'setAuthorityKeyId'"),
    ],
)
def test_inputs_of_a_wrong_shape_are_refused(token: str, inputs: dict[str, Json], reason: str) -> None:
    assert reason in refusals(token, **inputs)


def test_what_cannot_be_made_is_refused_without_a_word_of_the_key() -> None:
    one, other = key(), key()
    ca = authority(one)
    body = one["privateKeyPem"].splitlines()[1]
    for make, reason in (
        (lambda: authority({"privateKeyPem": body}), "privateKeyPem holds no unencrypted private key in PEM"),
        (lambda: authority({"privateKeyPem": X25519}), "that is none of RSA, ECDSA, ED25519"),
        (lambda: authority(one, subject={}), "isCaCertificate needs a subject"),
        (lambda: authority(one, isCaCertificate=False, maxPathLength=1), "maxPathLength needs isCaCertificate"),
        (lambda: authority(one, isCaCertificate=False, setAuthorityKeyId=True), "needs setSubjectKeyId or"),
        (lambda: authority(one, ipAddresses=["192.0.2"]), "ipAddresses: '192.0.2' does not appear to be"),
        (lambda: authority(one, dnsNames=["\u00fc.internal"]), "dnsNames: "),
        (lambda: authority(one, subject={"country": "New Zealand"}), "subject.country: "),
        (lambda: authority(one, validityPeriodHours=10**9), "ends after the year 9999"),
        (lambda: signed(other, other, ca), "caPrivateKeyPem is not the key of caCertPem"),
        (lambda: signed(other, one, {"certPem": "x"}), "caCertPem holds no certificate in PEM"),
        (lambda: signed(other, one, ca, certRequestPem="x"), "certRequestPem holds no certificate request in PEM"),
        (lambda: key("RSA", rsaBits=512), "rsaBits: "),
    ):
        with pytest.raises(StandInError) as refused:
            make()
        assert reason in str(refused.value)
        assert body not in str(refused.value)


def diff(token: str, state: Mapping[str, Json], **inputs: Json) -> pb.DiffResponse:
    olds, news = (marshal({name: from_json(value) for name, value in bag.items()}) for bag in (state, inputs))
    return asyncio.run(kinds(Host())[token].diff(pb.DiffRequest(urn=URN.format(token), olds=olds, news=news)))


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        (KEY, {"algorithm": "ED25519"}),
        (REQUEST, {"dnsNames": ["eu-1.internal"]}),
        (SELF_SIGNED, {"validityPeriodHours": 24, "earlyRenewalHours": 1, **AUTHORITY}),
    ],
)
def test_any_input_that_a_resource_is_made_of_replaces_it_when_it_changes(token: str, inputs: JsonObject) -> None:
    kind = kinds(Host())[token]
    assert isinstance(kind, Kind)
    if "privateKeyPem" in kind.inputs:
        inputs = {**inputs, "privateKeyPem": key()["privateKeyPem"]}
    state = made(token, **inputs)
    assert diff(token, state, **inputs).changes == pb.DiffResponse.DIFF_NONE
    assert diff(token, state, __defaults=[], **inputs).changes == pb.DiffResponse.DIFF_NONE
    for name in kind.inputs:
        answer = diff(token, state, **{**inputs, name: UNKNOWN})
        assert answer.diffs == [name]
        assert [*answer.replaces] == ([] if name == "earlyRenewalHours" else [name])


def test_a_limit_of_authorities_that_is_no_longer_given_stays() -> None:
    one = key()
    inputs: JsonObject = {"privateKeyPem": one["privateKeyPem"], "validityPeriodHours": 24, **AUTHORITY}
    state = authority(one, maxPathLength=1)
    assert diff(SELF_SIGNED, state, **inputs).changes == pb.DiffResponse.DIFF_NONE
    assert [*diff(SELF_SIGNED, state, **inputs, maxPathLength=2).replaces] == ["maxPathLength"]


def test_a_refresh_tells_that_a_certificate_is_due() -> None:
    state: JsonObject = {**authority(key(), validityPeriodHours=3)}
    for early, due in ((2, False), (4, True)):
        bag = marshal({name: from_json(value) for name, value in {**state, "earlyRenewalHours": early}.items()})
        request = pb.ReadRequest(id="1", urn=URN.format(SELF_SIGNED), properties=bag)
        answer = asyncio.run(kinds(Host())[SELF_SIGNED].read(request))
        assert plain_map(unmarshal(answer.properties))["readyForRenewal"] is due


@pytest.mark.parametrize("preview", [True, False])
def test_private_keys_leave_the_plugin_as_secrets_whatever_they_came_as(*, preview: bool) -> None:
    for token, inputs, secrets in (
        (KEY, {"algorithm": "ED25519"}, {"privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"}),
        (REQUEST, {"privateKeyPem": key()["privateKeyPem"]}, {"privateKeyPem"}),
    ):
        bag = marshal({name: from_json(value) for name, value in inputs.items()})
        request = pb.CreateRequest(urn=URN.format(token), properties=bag, preview=preview)
        outputs = unmarshal(asyncio.run(kinds(Host())[token].create(request)).properties)
        assert {name for name, value in outputs.items() if value.is_secret} == secrets


X25519 = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq
-----END PRIVATE KEY-----
"""
"""The one of RFC 7748's own example."""


class Chain:
    """A program of an authority and one certificate below it; its fields are the test's to change."""

    def __init__(self) -> None:
        self.names = ["eu-1.internal"]
        self.curve = "P256"
        self.valid = {"validity_period_hours": 24, "early_renewal_hours": 2}
        self.ca: dict[str, Any] = {}

    def __call__(self, _: pulumi.ResourceOptions) -> None:
        ca_key = tls.PrivateKey("ca-key", algorithm="ECDSA", ecdsa_curve="P256")
        ca = tls.SelfSignedCert(
            "ca",
            private_key_pem=ca_key.private_key_pem,
            validity_period_hours=24,
            allowed_uses=["cert_signing"],
            is_ca_certificate=True,
            subject={"common_name": "authority"},
            **self.ca,
        )
        leaf_key = tls.PrivateKey("leaf-key", algorithm="ECDSA", ecdsa_curve=self.curve)
        request = tls.CertRequest("request", private_key_pem=leaf_key.private_key_pem, dns_names=self.names)
        leaf = tls.LocallySignedCert(
            "leaf",
            cert_request_pem=request.cert_request_pem,
            ca_cert_pem=ca.cert_pem,
            ca_private_key_pem=ca_key.private_key_pem,
            allowed_uses=["digital_signature", "server_auth"],
            **self.valid,
        )
        for name, value in {
            "key": leaf_key.private_key_pem,
            "pkcs8": leaf_key.private_key_pem_pkcs8,
            "openssh": leaf_key.private_key_openssh,
            "public": leaf_key.public_key_pem,
            "cert": leaf.cert_pem,
            "ready": leaf.ready_for_renewal,
            "end": leaf.validity_end_time,
        }.items():
            pulumi.export(name, value)


RESOURCES = 5
OTHERS = 2
"""The stack, and the provider of Kubernetes that every test's project has."""


@pytest.mark.cluster
def test_keys_stay_secret_and_whatever_is_made_of_a_changed_input_is_replaced(project: Project) -> None:
    chain = Chain()
    # Everything below the keys is unknown here.
    assert project.preview(chain)["create"] == RESOURCES + OTHERS
    project.up(chain)
    outputs = project.stack(chain).outputs()
    assert {name for name, output in outputs.items() if output.secret} == {"key", "pkcs8", "openssh"}
    for name in ("key", "pkcs8", "openssh"):
        assert outputs[name].value.splitlines()[1] not in project.kept_text()
    assert "PRIVATE KEY" not in project.kept_text()
    assert outputs["cert"].value.splitlines()[1] in project.kept_text()
    assert project.state("leaf")["id"] == str(certificate({"certPem": outputs["cert"].value}).serial_number)
    assert project.up(chain) == {"same": RESOURCES + OTHERS}
    assert project.refresh() == {"same": RESOURCES + OTHERS}

    chain.names = ["eu-1.internal", "eu-1.example"]
    assert project.preview(chain) == {"same": RESOURCES + OTHERS - 2, "replace": 2}
    assert project.up(chain) == {"same": RESOURCES + OTHERS - 2, "replace": 2}
    chain.curve = "P384"
    assert project.up(chain) == {"same": RESOURCES + OTHERS - 3, "replace": 3}
    assert project.stack(chain).outputs()["key"].value != outputs["key"].value
    project.destroy()


@pytest.mark.cluster
def test_a_certificate_is_replaced_once_it_is_due_and_kept_before(project: Project) -> None:
    chain = Chain()
    chain.valid = {"validity_period_hours": 3, "early_renewal_hours": 2}
    project.up(chain)
    first = project.stack(chain).outputs()
    assert first["ready"].value is False
    chain.valid["early_renewal_hours"] = 1
    assert project.up(chain) == {"same": RESOURCES + OTHERS - 1, "update": 1}
    assert project.stack(chain).outputs()["cert"].value == first["cert"].value

    chain.valid["early_renewal_hours"] = 4
    for _ in range(2):
        before = project.stack(chain).outputs()["cert"].value
        assert project.preview(chain) == {"same": RESOURCES + OTHERS - 1, "replace": 1}
        assert "readyForRenewal" in project.output
        assert project.up(chain) == {"same": RESOURCES + OTHERS - 1, "replace": 1}
        after = project.stack(chain).outputs()
        assert after["cert"].value != before
        assert after["ready"].value is True

    chain.valid["early_renewal_hours"] = 0
    assert project.up(chain) == {"same": RESOURCES + OTHERS - 1, "update": 1}
    assert project.stack(chain).outputs()["ready"].value is False
    assert project.up(chain) == {"same": RESOURCES + OTHERS}
    project.destroy()


@pytest.mark.cluster
def test_a_renewed_authority_renews_what_it_signed(project: Project) -> None:
    chain = Chain()
    project.up(chain)
    chain.ca = {"early_renewal_hours": 24}
    assert project.preview(chain) == {"same": RESOURCES + OTHERS - 2, "replace": 2}
    assert project.up(chain) == {"same": RESOURCES + OTHERS - 2, "replace": 2}
    assert project.up(chain) == {"same": RESOURCES + OTHERS - 2, "replace": 2}
    project.destroy()


@pytest.mark.cluster
def test_what_the_stand_in_does_not_do_is_refused(project: Project) -> None:
    def function(_: pulumi.ResourceOptions) -> None:
        tls.get_certificate(url="https://192.0.2.1")

    def proxy(_: pulumi.ResourceOptions) -> None:
        provider = tls.Provider("proxied", proxy={"url": "http://192.0.2.1:3128"})
        tls.PrivateKey("key", algorithm="ED25519", opts=pulumi.ResourceOptions(provider=provider))

    def kept(_: pulumi.ResourceOptions) -> None:
        tls.PrivateKey("key", algorithm="ED25519", opts=pulumi.ResourceOptions(import_="x"))

    assert "does not know the function tls:index/getCertificate:getCertificate" in project.fails(function)
    assert "does not know the setting proxy" in project.fails(proxy)
    assert "PrivateKey cannot be imported" in project.fails(kept)
