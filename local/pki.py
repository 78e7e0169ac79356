"""Keys and certificates of one local cluster: an authority of its own, and one identity for each component."""

import datetime as dt
import ipaddress
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_FOR = dt.timedelta(days=365)
RENEW_BEFORE = dt.timedelta(days=30)
SERVICE_SUBNET = ipaddress.IPv4Network("10.96.0.0/16")
API_SERVICE_ADDRESS = SERVICE_SUBNET[1]


@dataclass(frozen=True)
class Identity:
    """Who a certificate speaks for; an identity with names is a server's, one without is a client's."""

    common_name: str
    group: str = ""
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


def identities(name: str, address: str) -> dict[str, Identity]:
    """Every certificate of cluster `name` by file stem; its users and groups are those of Kubernetes' own RBAC."""
    return {
        "apiserver": Identity(
            "kube-apiserver",
            names=("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"),
            addresses=("127.0.0.1", address, str(API_SERVICE_ADDRESS)),
        ),
        "kubelet-server": Identity(f"system:node:{name}", names=(name,), addresses=(address,)),
        "apiserver-kubelet-client": Identity("kube-apiserver-kubelet-client", "system:masters"),
        "admin": Identity("admin", "system:masters"),
        "kubelet": Identity(f"system:node:{name}", "system:nodes"),
        "kube-controller-manager": Identity("system:kube-controller-manager"),
        "kube-scheduler": Identity("system:kube-scheduler"),
        "kube-proxy": Identity("system:kube-proxy"),
    }


def ensure(directory: Path, name: str, address: str) -> None:
    """Make `directory` hold, all 0600, `STEM.crt` and `STEM.key` of `ca` and each identity, and `sa.key`, `sa.pub`."""
    if is_current(directory, address):
        return
    shutil.rmtree(directory, ignore_errors=True)
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700, parents=True)
    _write(unfinished, name, address)
    unfinished.rename(directory)


def is_current(directory: Path, address: str) -> bool:
    """Whether the certificates there are for `address` and will not expire soon."""
    try:
        certificate = x509.load_pem_x509_certificate((directory / "apiserver.crt").read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    remaining = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return remaining > RENEW_BEFORE and ipaddress.ip_address(address) in names.get_values_for_type(x509.IPAddress)


def _write(directory: Path, name: str, address: str) -> None:
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = _subject(f"{name}-ca")
    certificate = (
        _builder(issuer, issuer, authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority, hashes.SHA256())
    )
    _save(directory, "ca", authority, certificate)
    for stem, identity in identities(name, address).items():
        key = ec.generate_private_key(ec.SECP256R1())
        _save(directory, stem, key, _sign(identity, key, issuer, authority))
    accounts = ec.generate_private_key(ec.SECP256R1())
    _save(directory, "sa", accounts)
    public = accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write_private(directory / "sa.pub", public)


def _sign(
    identity: Identity,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    authority: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    builder = _builder(_subject(identity.common_name, identity.group), issuer, key)
    usage = ExtendedKeyUsageOID.CLIENT_AUTH
    if identity.names:
        usage = ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(
            x509.SubjectAlternativeName(
                [
                    *(x509.DNSName(name) for name in identity.names),
                    *(x509.IPAddress(ipaddress.ip_address(address)) for address in identity.addresses),
                ]
            ),
            critical=False,
        )
    return builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False).sign(authority, hashes.SHA256())


def _subject(common_name: str, group: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(attributes)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))  # the clock of a virtual machine may step back
        .not_valid_after(now + VALID_FOR)
    )


def _save(
    directory: Path,
    stem: str,
    key: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate | None = None,
) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    _write_private(directory / f"{stem}.key", pem)
    if certificate:
        _write_private(directory / f"{stem}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _write_private(path: Path, data: bytes) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(data)
