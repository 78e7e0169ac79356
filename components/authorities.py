"""The fleet's certificate authorities and what they sign. Keys are made and kept by the engine, as secrets of state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pulumi
import pulumi_tls as tls

from fleet.names import authority_name
from fleet.page import Authority

_HOUR = timedelta(hours=1)
_AUTHORITY_VALID_FOR = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM texts."""

    certificate: pulumi.Output[str]
    key: pulumi.Output[str]
    """Secret."""


def made(output: pulumi.Output[str]) -> pulumi.Output[str]:
    """Empty where an update with `--target` leaves the resource out, of which there is no output then."""
    return output.apply(lambda value: value or "")


class Authorities(pulumi.ComponentResource):
    """One authority for each number that the page trusts; the one that issues signs every certificate of this stack."""

    bundle: pulumi.Output[str]
    """Certificates of all that are trusted, as PEM."""

    def __init__(self, authority: Authority) -> None:
        super().__init__("prometheus-fleet:index:Authorities", "authorities")
        self._authority = authority
        numbered = {number: self._make(number) for number in authority.trust}
        self._issuer = numbered[authority.issue]
        self.bundle = pulumi.Output.concat(*(each.certificate for each in numbered.values()))
        self.register_outputs({"bundle": self.bundle})

    def server_certificate(self, name: str, dns_name: str) -> Certificate:
        return self._sign(name, dns_name, "server_auth", dns_names=[dns_name])

    def client_certificate(self, name: str, uri: str) -> Certificate:
        return self._sign(name, name, "client_auth", uris=[uri])

    def _make(self, number: int) -> Certificate:
        name, child = f"authority-{number}", pulumi.ResourceOptions(parent=self)
        key = _private_key(name, child)
        certificate = tls.SelfSignedCert(
            name,
            private_key_pem=key,
            subject={"common_name": _common_name(authority_name(pulumi.get_stack(), number))},
            # Renewing one in place would end everybody's trust at once: authorities are replaced one after another.
            validity_period_hours=_AUTHORITY_VALID_FOR // _HOUR,
            allowed_uses=["cert_signing", "crl_signing"],
            is_ca_certificate=True,
            set_subject_key_id=True,
            opts=child,
        )
        return Certificate(made(certificate.cert_pem), key)

    def _sign(
        self,
        name: str,
        subject: str,
        use: Literal["server_auth", "client_auth"],
        *,
        dns_names: Sequence[str] = (),
        uris: Sequence[str] = (),
    ) -> Certificate:
        child = pulumi.ResourceOptions(parent=self)
        key = _private_key(name, child)
        request = tls.CertRequest(
            name,
            private_key_pem=key,
            subject={"common_name": _common_name(subject)},
            dns_names=list(dns_names),
            uris=list(uris),
            opts=child,
        )
        signed = tls.LocallySignedCert(
            name,
            cert_request_pem=request.cert_request_pem,
            ca_cert_pem=self._issuer.certificate,
            ca_private_key_pem=self._issuer.key,
            validity_period_hours=self._authority.valid_for // _HOUR,
            early_renewal_hours=self._authority.renew_before // _HOUR,
            allowed_uses=["digital_signature", use],
            set_subject_key_id=True,
            opts=child,
        )
        return Certificate(made(signed.cert_pem), key)


def _common_name(name: str) -> str:
    """X.520 allows it 64 characters. It is for people: what counts are alternative names."""
    return name[:64]


def _private_key(name: str, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    return made(tls.PrivateKey(name, algorithm="ECDSA", ecdsa_curve="P256", opts=opts).private_key_pem_pkcs8)
