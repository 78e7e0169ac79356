"""The four kinds: each exists in the state alone, is made once, and is replaced on a change of what it is made of."""

import datetime as dt
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final

from cryptography.hazmat.primitives.serialization import Encoding
from pulumi.runtime.proto import provider_pb2 as pb

from local.standins.diffs import Change, changes, response
from local.standins.host import Host, StandInError
from local.standins.kinds import ResourceKind
from local.standins.properties import (
    UNKNOWN,
    Json,
    JsonObject,
    annotate,
    from_json,
    has_unknown,
    marshal,
    plain_map,
    pluck,
    pluck_int,
    pluck_list,
    pluck_str,
    unmarshal,
)
from local.standins.tls import certificates
from local.standins.tls.certificates import Holder, Terms
from local.standins.tls.inputs import (
    FLAG,
    SOME_TEXT,
    TEXT,
    Input,
    Inputs,
    at_least,
    complete,
    each,
    failures,
    one_of,
    record,
)

RENEWAL: Final = "readyForRenewal"
EARLY: Final = "earlyRenewalHours"
PATH_LENGTH: Final = "maxPathLength"

_SUBJECT: Final = record(dict.fromkeys(certificates.SUBJECT, TEXT) | {"streetAddresses": each(TEXT)})

_HOLDER: Final[Inputs] = {
    "privateKeyPem": Input(TEXT, required=True),
    "subject": Input(_SUBJECT),
    "dnsNames": Input(each(TEXT)),
    "ipAddresses": Input(each(SOME_TEXT)),
    "uris": Input(each(SOME_TEXT)),
}
_TERMS: Final[Inputs] = {
    "validityPeriodHours": Input(at_least(0), required=True),
    "allowedUses": Input(each(one_of([*certificates.KEY_USES, *certificates.EXTENDED_USES])), required=True),
    EARLY: Input(at_least(0), default=0),
    "isCaCertificate": Input(FLAG, default=False),
    PATH_LENGTH: Input(at_least(-1)),
    "setSubjectKeyId": Input(FLAG, default=False),
}


class Kind(ResourceKind):
    inputs: ClassVar[Inputs]
    made: ClassVar[tuple[str, ...]]
    """Outputs that only making it tells."""
    secrets: ClassVar[frozenset[str]]
    """Inputs and outputs, as the SDK's own `additional_secret_outputs` has them."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @abstractmethod
    async def make(self, urn: str, inputs: JsonObject) -> tuple[str, Mapping[str, str]]:
        """The id and the outputs named in `made`."""

    async def check(self, request: pb.CheckRequest) -> pb.CheckResponse:
        problems = failures(plain_map(unmarshal(request.news)), self.inputs, type(self).__name__)
        return pb.CheckResponse(inputs=request.news, failures=problems)

    async def diff(self, request: pb.DiffRequest) -> pb.DiffResponse:
        state = plain_map(unmarshal(request.olds))
        found = changes(self.settings(state), complete(plain_map(unmarshal(request.news)), self.inputs))
        return response(found, replacing=[()])

    def settings(self, state: JsonObject) -> JsonObject:
        """The inputs that the state was made of."""
        return {name: state[name] for name in self.inputs if state.get(name) is not None}

    async def create(self, request: pb.CreateRequest) -> pb.CreateResponse:
        given = unmarshal(request.properties)
        inputs = complete(plain_map(given), self.inputs)
        outputs = {name: annotate(value, given.get(name)) for name, value in inputs.items()}
        outputs |= {name: from_json(value) for name, value in self.foreseen(inputs).items()}
        if request.preview or has_unknown(inputs):
            resource_id, made = "", dict.fromkeys(("id", *self.made), UNKNOWN)
        else:
            resource_id, found = await self.make(request.urn, inputs)
            made = {"id": resource_id, **found}
        outputs |= {name: from_json(value) for name, value in made.items()}
        outputs |= {name: outputs[name].with_secret(is_secret=True) for name in self.secrets}
        return pb.CreateResponse(id=resource_id, properties=marshal(outputs))

    def foreseen(self, inputs: JsonObject) -> JsonObject:
        """Outputs that a preview can tell."""
        del inputs
        return {}

    async def read(self, request: pb.ReadRequest) -> pb.ReadResponse:
        if not request.properties.fields:
            raise StandInError(f"{type(self).__name__} cannot be imported; the official tls plugin cannot either")
        return pb.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    async def update(self, request: pb.UpdateRequest) -> pb.UpdateResponse:
        return pb.UpdateResponse(properties=request.olds)

    async def delete(self, request: pb.DeleteRequest) -> None:
        """Nothing exists outside of the state."""


class PrivateKey(Kind):
    inputs: ClassVar[Inputs] = {
        "algorithm": Input(one_of(certificates.ALGORITHMS), required=True),
        "ecdsaCurve": Input(one_of(certificates.CURVES), default="P224"),
        "rsaBits": Input(at_least(1), default=2048),
    }
    secrets = frozenset({"privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"})
    made = (
        *sorted(secrets),
        "publicKeyPem",
        "publicKeyOpenssh",
        "publicKeyFingerprintMd5",
        "publicKeyFingerprintSha256",
    )

    async def make(self, urn: str, inputs: JsonObject) -> tuple[str, Mapping[str, str]]:
        del urn
        key = certificates.new_key(
            pluck_str(inputs, "algorithm"), pluck_str(inputs, "ecdsaCurve"), pluck_int(inputs, "rsaBits")
        )
        return certificates.public_id(key), certificates.private_forms(key) | certificates.public_forms(key)


class CertRequest(Kind):
    inputs = _HOLDER
    secrets = frozenset({"privateKeyPem"})
    made = ("certRequestPem", "keyAlgorithm")

    async def make(self, urn: str, inputs: JsonObject) -> tuple[str, Mapping[str, str]]:
        del urn
        key = certificates.read_key(pluck_str(inputs, "privateKeyPem"), "privateKeyPem")
        request = certificates.request(key, _holder(inputs))
        return certificates.request_id(request), {
            "certRequestPem": request.public_bytes(Encoding.PEM).decode(),
            "keyAlgorithm": certificates.algorithm_of(key),
        }


class Certificate(Kind):
    async def diff(self, request: pb.DiffRequest) -> pb.DiffResponse:
        state = plain_map(unmarshal(request.olds))
        old, new = self.settings(state), complete(plain_map(unmarshal(request.news)), self.inputs)
        # The official plugin takes a limit that is no longer given for the one of the state.
        new = {name: old[name] for name in (PATH_LENGTH,) if name in old} | new
        found = changes(old, new)
        if is_due(state, new[EARLY]):
            found[RENEWAL,] = Change.UPDATE
        answer = response(found, replacing=[(name,) for name in (*self.inputs, RENEWAL) if name != EARLY])
        if RENEWAL in answer.detailedDiff:
            answer.detailedDiff[RENEWAL].inputDiff = False
        return answer

    def foreseen(self, inputs: JsonObject) -> JsonObject:
        hours, early = inputs["validityPeriodHours"], inputs[EARLY]
        if not isinstance(hours, int) or not isinstance(early, int):
            return {RENEWAL: UNKNOWN}
        return {RENEWAL: early >= hours}

    async def read(self, request: pb.ReadRequest) -> pb.ReadResponse:
        answer = await super().read(request)
        state = unmarshal(request.properties)
        if is_due(plain_map(state), pluck(plain_map(state), EARLY)):
            answer.properties.CopyFrom(marshal({**state, RENEWAL: from_json(value=True)}))
        return answer

    async def update(self, request: pb.UpdateRequest) -> pb.UpdateResponse:
        """Takes a new `earlyRenewalHours` into the state: nothing else changes in place."""
        early = complete(plain_map(unmarshal(request.news)), self.inputs)[EARLY]
        state = unmarshal(request.olds) | {EARLY: from_json(early), RENEWAL: from_json(value=False)}
        return pb.UpdateResponse(properties=marshal(state))


class SelfSignedCert(Certificate):
    inputs: ClassVar[Inputs] = {**_HOLDER, **_TERMS, "setAuthorityKeyId": Input(FLAG, default=False)}
    secrets = frozenset({"privateKeyPem"})
    made = ("certPem", "keyAlgorithm", "validityStartTime", "validityEndTime")

    async def make(self, urn: str, inputs: JsonObject) -> tuple[str, Mapping[str, str]]:
        del urn
        key = certificates.read_key(pluck_str(inputs, "privateKeyPem"), "privateKeyPem")
        start = dt.datetime.now(dt.UTC)
        terms = _terms(inputs)
        certificate = certificates.self_signed(key, _holder(inputs), terms, start)
        return str(certificate.serial_number), {
            "certPem": certificate.public_bytes(Encoding.PEM).decode(),
            "keyAlgorithm": certificates.algorithm_of(key),
            **_validity(start, terms),
        }


class LocallySignedCert(Certificate):
    inputs: ClassVar[Inputs] = {
        "caCertPem": Input(TEXT, required=True),
        "caPrivateKeyPem": Input(TEXT, required=True),
        "certRequestPem": Input(TEXT, required=True),
        **_TERMS,
    }
    secrets = frozenset({"caPrivateKeyPem"})
    made = ("certPem", "caKeyAlgorithm", "validityStartTime", "validityEndTime")

    async def make(self, urn: str, inputs: JsonObject) -> tuple[str, Mapping[str, str]]:
        request = certificates.read_request(pluck_str(inputs, "certRequestPem"), "certRequestPem")
        key = certificates.read_key(pluck_str(inputs, "caPrivateKeyPem"), "caPrivateKeyPem")
        authority = certificates.read_certificate(pluck_str(inputs, "caCertPem"), "caCertPem")
        if not certificates.is_authority(authority):
            await self.host.warn(urn, "caCertPem is no authority's certificate: verifiers may refuse what it signs")
        start = dt.datetime.now(dt.UTC)
        terms = _terms(inputs)
        certificate = certificates.signed(request, authority, key, terms, start)
        return str(certificate.serial_number), {
            "certPem": certificate.public_bytes(Encoding.PEM).decode(),
            "caKeyAlgorithm": certificates.algorithm_of(key),
            **_validity(start, terms),
        }


def is_due(state: JsonObject, early: Json) -> bool:
    """Whether the certificate has ended or will within `early` hours; an unknown `early` decides nothing."""
    if not isinstance(early, int):
        return False
    end = dt.datetime.fromisoformat(pluck_str(state, "validityEndTime"))
    return end - dt.datetime.now(dt.UTC) <= dt.timedelta(hours=early)


def _texts(inputs: Json, *path: str) -> list[str]:
    return [item for item in pluck_list(inputs, *path) if isinstance(item, str)]


def _holder(inputs: JsonObject) -> Holder:
    parts = {
        part: _texts(inputs, "subject", part) or [text for text in (pluck_str(inputs, "subject", part),) if text]
        for part in certificates.SUBJECT
    }
    names = certificates.names(_texts(inputs, "dnsNames"), _texts(inputs, "ipAddresses"), _texts(inputs, "uris"))
    return Holder(certificates.subject(parts), names)


def _terms(inputs: JsonObject) -> Terms:
    return Terms(
        hours=pluck_int(inputs, "validityPeriodHours"),
        uses=tuple(_texts(inputs, "allowedUses")),
        is_authority=inputs["isCaCertificate"] is True,
        path_length=pluck_int(inputs, PATH_LENGTH, default=-1),
        subject_key_id=inputs["setSubjectKeyId"] is True,
        authority_key_id=inputs.get("setAuthorityKeyId") is True,
    )


def _validity(start: dt.datetime, terms: Terms) -> dict[str, str]:
    times = {"validityStartTime": start, "validityEndTime": certificates.end_of(start, terms.hours)}
    return {name: time.isoformat().replace("+00:00", "Z") for name, time in times.items()}


def kinds(host: Host) -> dict[str, ResourceKind]:
    """By token."""
    return {
        "tls:index/privateKey:PrivateKey": PrivateKey(host),
        "tls:index/certRequest:CertRequest": CertRequest(host),
        "tls:index/selfSignedCert:SelfSignedCert": SelfSignedCert(host),
        "tls:index/locallySignedCert:LocallySignedCert": LocallySignedCert(host),
    }
