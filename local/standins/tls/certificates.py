"""What the official plugin makes of Go's `crypto/x509`, made here of `cryptography`; nothing of Pulumi.

Every function may raise StandInError, whose text never holds key material.
"""

import base64
import datetime as dt
import hashlib
import ipaddress
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from local.standins.host import StandInError

SigningKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

CURVES: Final[dict[str, Callable[[], ec.EllipticCurve]]] = {
    "P224": ec.SECP224R1,
    "P256": ec.SECP256R1,
    "P384": ec.SECP384R1,
    "P521": ec.SECP521R1,
}
ALGORITHMS: Final = ("RSA", "ECDSA", "ED25519")
_RSA_EXPONENT: Final = 65537

SUBJECT: Final = {
    "country": NameOID.COUNTRY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "streetAddresses": NameOID.STREET_ADDRESS,
    "postalCode": NameOID.POSTAL_CODE,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "commonName": NameOID.COMMON_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}
"""Parts of a subject in the order of Go's `pkix.Name`."""

KEY_USES: Final = {
    "digital_signature": "digital_signature",
    "content_commitment": "content_commitment",
    "key_encipherment": "key_encipherment",
    "data_encipherment": "data_encipherment",
    "key_agreement": "key_agreement",
    "cert_signing": "key_cert_sign",
    "crl_signing": "crl_sign",
    "encipher_only": "encipher_only",
    "decipher_only": "decipher_only",
}
"""`allowedUses` that are key usages, by their argument of `x509.KeyUsage`."""

EXTENDED_USES: Final = {
    "any_extended": "2.5.29.37.0",
    "server_auth": "1.3.6.1.5.5.7.3.1",
    "client_auth": "1.3.6.1.5.5.7.3.2",
    "code_signing": "1.3.6.1.5.5.7.3.3",
    "email_protection": "1.3.6.1.5.5.7.3.4",
    "ipsec_end_system": "1.3.6.1.5.5.7.3.5",
    "ipsec_tunnel": "1.3.6.1.5.5.7.3.6",
    "ipsec_user": "1.3.6.1.5.5.7.3.7",
    "timestamping": "1.3.6.1.5.5.7.3.8",
    "ocsp_signing": "1.3.6.1.5.5.7.3.9",
    "microsoft_server_gated_crypto": "1.3.6.1.4.1.311.10.3.3",
    "netscape_server_gated_crypto": "2.16.840.1.113730.4.1",
    "microsoft_commercial_code_signing": "1.3.6.1.4.1.311.2.1.22",
    "microsoft_kernel_code_signing": "1.3.6.1.4.1.311.61.1.1",
}


@dataclass(frozen=True)
class Holder:
    """Whom a certificate speaks for."""

    subject: x509.Name
    names: tuple[x509.GeneralName, ...] = ()


@dataclass(frozen=True)
class Terms:
    """What a certificate says beyond its holder."""

    hours: int
    uses: tuple[str, ...]
    is_authority: bool = False
    path_length: int = -1
    """How many authorities may follow an authority; no limit where it is not above 0."""
    subject_key_id: bool = False
    authority_key_id: bool = False
    """For a self-signed one; of others, the authority's own identifier decides."""


def new_key(algorithm: str, curve: str, bits: int) -> SigningKey:
    """One of ALGORITHMS; `curve` counts for ECDSA, and `bits` for RSA."""
    if algorithm == "RSA":
        with _as_refusal("rsaBits"):
            return rsa.generate_private_key(_RSA_EXPONENT, bits)
    return ec.generate_private_key(CURVES[curve]()) if algorithm == "ECDSA" else ed25519.Ed25519PrivateKey.generate()


def algorithm_of(key: SigningKey) -> str:
    match key:
        case rsa.RSAPrivateKey():
            return "RSA"
        case ec.EllipticCurvePrivateKey():
            return "ECDSA"
        case ed25519.Ed25519PrivateKey():
            return "ED25519"


def read_key(text: str, what: str) -> SigningKey:
    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StandInError(f"{what} holds no unencrypted private key in PEM") from error
    if not isinstance(key, SigningKey):
        raise StandInError(f"{what} holds a private key that is none of {', '.join(ALGORITHMS)}")
    return key


def read_certificate(text: str, what: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        raise StandInError(f"{what} holds no certificate in PEM") from error


def read_request(text: str, what: str) -> x509.CertificateSigningRequest:
    try:
        return x509.load_pem_x509_csr(text.encode())
    except ValueError as error:
        raise StandInError(f"{what} holds no certificate request in PEM") from error


def private_forms(key: SigningKey) -> dict[str, str]:
    """The key by output."""
    plain = NoEncryption()
    traditional = PrivateFormat.PKCS8 if algorithm_of(key) == "ED25519" else PrivateFormat.TraditionalOpenSSL
    return {
        "privateKeyPem": key.private_bytes(Encoding.PEM, traditional, plain).decode(),
        "privateKeyPemPkcs8": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, plain).decode(),
        "privateKeyOpenssh": key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, plain).decode()
        if _openssh_knows(key)
        else "",
    }


def public_forms(key: SigningKey) -> dict[str, str]:
    """The public half by output."""
    public = key.public_key()
    openssh = md5 = sha256 = ""
    if _openssh_knows(key):
        line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        body = base64.b64decode(line.split()[1])
        openssh = line.decode() + "\n"
        md5 = hashlib.md5(body, usedforsecurity=False).digest().hex(":")
        sha256 = "SHA256:" + base64.b64encode(hashlib.sha256(body).digest()).decode().rstrip("=")
    return {
        "publicKeyPem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "publicKeyOpenssh": openssh,
        "publicKeyFingerprintMd5": md5,
        "publicKeyFingerprintSha256": sha256,
    }


def public_id(key: SigningKey) -> str:
    return _digest(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def request_id(request: x509.CertificateSigningRequest) -> str:
    return _digest(request.public_bytes(Encoding.DER))


def _digest(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _openssh_knows(key: SigningKey) -> bool:
    return not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP224R1))


def subject(parts: dict[str, list[str]]) -> x509.Name:
    """Several values of one part stand side by side, as in Go."""
    sets: list[x509.RelativeDistinguishedName] = []
    for part, oid in SUBJECT.items():
        with _as_refusal(f"subject.{part}"):
            attributes = [x509.NameAttribute(oid, value) for value in parts.get(part, [])]
            if attributes:
                sets.append(x509.RelativeDistinguishedName(attributes))
    return x509.Name(sets)


def names(dns: Sequence[str], addresses: Sequence[str], uris: Sequence[str]) -> tuple[x509.GeneralName, ...]:
    found: list[x509.GeneralName] = []
    with _as_refusal("dnsNames"):
        found += [x509.DNSName(name) for name in dns]
    with _as_refusal("ipAddresses"):
        found += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    with _as_refusal("uris"):
        found += [x509.UniformResourceIdentifier(uri) for uri in uris]
    return tuple(found)


def request(key: SigningKey, holder: Holder) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(holder.subject)
    if holder.names:
        builder = builder.add_extension(x509.SubjectAlternativeName(holder.names), critical=False)
    return builder.sign(key, _hash(key))


def holder_of(request: x509.CertificateSigningRequest) -> Holder:
    """What the official plugin takes of a request: neither its e-mail addresses nor what else it asks for."""
    kept = [part for part in request.subject.rdns if all(item.oid != NameOID.EMAIL_ADDRESS for item in part)]
    try:
        asked = list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        asked = []
    taken = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier)
    return Holder(x509.Name(kept), tuple(name for kind in taken for name in asked if isinstance(name, kind)))


def self_signed(key: SigningKey, holder: Holder, terms: Terms, start: dt.datetime) -> x509.Certificate:
    builder = _builder(holder, key.public_key(), terms, start).issuer_name(holder.subject)
    if terms.authority_key_id:
        if not (terms.subject_key_id or terms.is_authority):
            raise StandInError("setAuthorityKeyId needs setSubjectKeyId or isCaCertificate")
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = _with_authority(builder, identifier)
    return builder.sign(key, _hash(key))


def signed(
    request: x509.CertificateSigningRequest,
    authority: x509.Certificate,
    authority_key: SigningKey,
    terms: Terms,
    start: dt.datetime,
) -> x509.Certificate:
    if authority.public_key() != authority_key.public_key():
        raise StandInError("caPrivateKeyPem is not the key of caCertPem")
    public = request.public_key()
    if not isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise StandInError(f"certRequestPem is of a key that is none of {', '.join(ALGORITHMS)}")
    holder = holder_of(request)
    builder = _builder(holder, public, terms, start).issuer_name(authority.subject)
    identifier = _subject_key_id(authority)
    if identifier and holder.subject != authority.subject:
        builder = _with_authority(builder, identifier)
    return builder.sign(authority_key, _hash(authority_key))


def is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _builder(
    holder: Holder,
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
    terms: Terms,
    start: dt.datetime,
) -> x509.CertificateBuilder:
    if terms.is_authority and not holder.subject.rdns:
        raise StandInError("a certificate with isCaCertificate needs a subject with at least one part")
    # Go's x509 reads the official plugin's 0 as "no limit", so that is what 0 means here as well.
    limit = terms.path_length if terms.path_length > 0 else None
    if limit is not None and not terms.is_authority:
        raise StandInError("maxPathLength needs isCaCertificate")
    builder = (
        x509.CertificateBuilder()
        .subject_name(holder.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end_of(start, terms.hours))
        .add_extension(x509.BasicConstraints(ca=terms.is_authority, path_length=limit), critical=True)
    )
    for usage, critical in _usages(terms.uses):
        builder = builder.add_extension(usage, critical=critical)
    if terms.subject_key_id or terms.is_authority:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    if holder.names:
        builder = builder.add_extension(x509.SubjectAlternativeName(holder.names), critical=not holder.subject.rdns)
    return builder


def end_of(start: dt.datetime, hours: int) -> dt.datetime:
    try:
        return start + dt.timedelta(hours=hours)
    except OverflowError as error:
        raise StandInError("validityPeriodHours ends after the year 9999") from error


def _usages(uses: Sequence[str]) -> Iterator[tuple[x509.ExtensionType, bool]]:
    if any(use in KEY_USES for use in uses):
        with _as_refusal("allowedUses"):
            usage = x509.KeyUsage(**{argument: use in uses for use, argument in KEY_USES.items()})
        yield usage, True
    extended = [x509.ObjectIdentifier(EXTENDED_USES[use]) for use in dict.fromkeys(uses) if use in EXTENDED_USES]
    if extended:
        yield x509.ExtendedKeyUsage(extended), False


def _subject_key_id(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None


def _with_authority(builder: x509.CertificateBuilder, identifier: x509.SubjectKeyIdentifier) -> x509.CertificateBuilder:
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    return builder.add_extension(authority, critical=False)


def _hash(key: SigningKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    match key:
        case ed25519.Ed25519PrivateKey():
            return None
        case ec.EllipticCurvePrivateKey() if isinstance(key.curve, ec.SECP384R1):
            return hashes.SHA384()
        case ec.EllipticCurvePrivateKey() if isinstance(key.curve, ec.SECP521R1):
            return hashes.SHA512()
        case _:
            return hashes.SHA256()


@contextmanager
def _as_refusal(what: str) -> Generator[None]:
    """For what `cryptography` does not take, be it an address or an outdated key size."""
    try:
        yield
    except ValueError as error:
        raise StandInError(f"{what}: {error}") from error
