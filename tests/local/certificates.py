"""An authority and what it signs, for tests of who is let in."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet.gateway import KeyPair

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, name: str) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = _builder(name, name, key, dt.datetime.now(dt.UTC) + DAY).add_extension(constraints, critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @property
    def pem(self) -> str:
        return _pem(self.certificate)

    def signed(
        self,
        name: str,
        *,
        dns: Sequence[str] = (),
        addresses: Sequence[str] = (),
        uris: Sequence[str] = (),
        lifetime: dt.timedelta = DAY,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        names = [*map(x509.DNSName, dns), *map(x509.UniformResourceIdentifier, uris)]
        names += [x509.IPAddress(ip_address(each)) for each in addresses]
        builder = _builder(name, self.certificate.subject.rfc4514_string()[3:], key, dt.datetime.now(dt.UTC) + lifetime)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return KeyPair(_pem(builder.sign(self.key, hashes.SHA256())), text.decode())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, end: dt.datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(dt.datetime.now(dt.UTC), end) - DAY)
        .not_valid_after(end)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
