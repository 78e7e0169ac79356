"""The parts of an edge's key: which the caller holds, as files of its Prometheus, and which the callee knows it by."""

import string
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import TypedDict

import bcrypt

from fleet.names import ALERT_CREDENTIALS, DISCOVERY_KEY, FEDERATION_CREDENTIALS, REMOTE_WRITE_CREDENTIALS
from fleet.pem import authorities_in, signers_of
from fleet.plan import (
    FLEET,
    PUBLIC,
    AlertEdge,
    Discovery,
    Edge,
    FederationEdge,
    Key,
    OwnWriteEdge,
    RemoteWriteEdge,
    StoreEdge,
)


class TargetGroup(TypedDict):
    """In the form of Prometheus's file discovery."""

    targets: list[str]
    labels: dict[str, str]


Part = str
"""`generation` (of what the caller holds), `username`, `password`, `certificate`, `key`, `ca` (who signed for the
callee), `client_ca` (who signed for the caller), `hash-GENERATION` and, of a password that was made here,
`beginning-GENERATION`, and where a receiver's certificate is the sender's to make `server_certificate` and
`server_key`."""


def hash_part(generation: int) -> Part:
    return f"hash-{generation}"


def beginning_part(generation: int) -> Part:
    return f"beginning-{generation}"


def generated_hash(password: str) -> str:
    """Of a password that nobody can guess: cheap to check, or a flood of wrong ones would keep right callers waiting.

    What makes bcrypt slow protects passwords that people think of. This one also needs no salt but its own.
    """
    # Of none there is no hash, or the empty one would open the edge.
    return bcrypt_hash(password, sha256(password.encode()).hexdigest()[:_SALT_BYTES], cost=5) if password else ""


def bcrypt_hash(password: str, salt: str, cost: int = 10) -> str:
    """As htpasswd and Caddy read it; the same for the same `salt`, which is 16 bytes long.

    Raises ValueError as `refuse_password` does.
    """
    refuse_password(password)
    encoded = b64encode(salt.encode()).translate(_BCRYPT_ALPHABET).rstrip(b"=")
    return bcrypt.hashpw(password.encode(), f"$2b${cost:02}$".encode() + encoded).decode()


def refuse_password(password: str) -> None:
    """Raises ValueError for a password that would be read differently, or anybody could guess; the text holds none."""
    if password != password.strip():
        raise ValueError("a password neither begins nor ends with a blank or a newline: Prometheus leaves those out")
    if not password.isprintable():
        raise ValueError("a password has no control characters: not every program reads beyond them")
    if len(password) < _LEAST:
        raise ValueError(f"a password has at least {_LEAST} characters")
    if len(password.encode()) > _BCRYPT_READS:
        raise ValueError(f"a password has at most {_BCRYPT_READS} bytes, which is all that bcrypt reads")


_BCRYPT_READS = 72
_SALT_BYTES = 16
_LEAST = 12
_LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
_BCRYPT_ALPHABET = bytes.maketrans(f"{_LETTERS}+/".encode(), f"./{_LETTERS}".encode())


def password_key(edge: Edge) -> str:
    return edge.known_as if isinstance(edge, FederationEdge) else f"{edge.known_as}.password"


def username_key(edge: OwnWriteEdge) -> str:
    return f"{edge.known_as}.username"


def tls_keys(edge: Edge) -> Mapping[str, str]:
    """Keys of the caller's Secret by what TLS uses each for: `ca`, `cert` and `key`, those that the edge needs."""
    keys: dict[str, str] = {}
    if edge.server is not None and edge.server.ca != PUBLIC:
        keys["ca"] = f"{edge.known_as}.ca"
    if edge.key.has_certificate:
        keys |= {"cert": f"{edge.known_as}.crt", "key": f"{edge.known_as}.key"}
    return keys


def held(edge: Edge | Discovery) -> Mapping[str, Part]:
    """What the caller's Secret has for `edge`: parts by the Secret's keys."""
    if isinstance(edge, Discovery):
        return {DISCOVERY_KEY: "password"}
    parts: dict[str, Part] = {}
    if edge.key.has_password:
        if isinstance(edge, OwnWriteEdge):
            parts[username_key(edge)] = "username"
        parts[password_key(edge)] = "password"
    uses = {"ca": "ca", "cert": "certificate", "key": "key"}
    return parts | {key: uses[use] for use, key in tls_keys(edge).items()}


def telling_parts(edge: Edge | Discovery) -> Iterator[Part]:
    """What `held_key` needs to know of what the caller holds."""
    yield "generation"
    if not isinstance(edge, Discovery):
        if edge.server is not None and edge.server.ca == FLEET:
            yield "ca"
        if edge.key.has_certificate:
            yield "certificate"


def held_key(edge: Edge | Discovery, parts: Mapping[Part, str]) -> TargetGroup:
    """What the caller's files say of the key that lies beside them, as an entry of file discovery.

    Read from the parts themselves: of an edge between two stacks, the page may be ahead of what was made.
    """
    labels = {"edge": edge.id, "generation": parts["generation"]}
    if "ca" in parts:
        labels["trusts"] = ",".join(map(str, authorities_in(parts["ca"])))
    if "certificate" in parts:
        labels["authority"] = ",".join(map(str, signers_of(parts["certificate"])))
    return {"targets": [edge.id], "labels": labels}


def inlined_key(edge: OwnWriteEdge) -> TargetGroup:
    """The same of a password that the operator copies from the Secret into Prometheus's configuration.

    This stands in the same configuration and is applied after the Secret: who has it has read the password after it.
    """
    return {"targets": [edge.id], "labels": {"edge": edge.id, "generation": str(edge.key.generation)}}


def shown_parts(key: Key) -> Iterator[Part]:
    """What the callee knows a caller by, and what it has to say of it."""
    if key.has_password:
        yield from (hash_part(generation) for generation in key.accepted)
        if key.brought is None:
            yield from (beginning_part(generation) for generation in key.accepted)
    if key.has_certificate:
        yield from ("client_ca", "certificate")


def needed_above(edge: Edge) -> tuple[Part, ...]:
    """Of an edge between two stacks, whose key the stack below makes: a parent calls, and a receiver is called."""
    if isinstance(edge, FederationEdge):
        return (*held(edge).values(), "generation")
    return (*shown_parts(edge.key), *(("server_certificate", "server_key") if edge.server.ca == FLEET else ()))


def mounted(edge: Edge, key: str) -> str:
    """The file that `key` of the caller's Secret is in its Prometheus."""
    match edge:
        case FederationEdge():
            secret = FEDERATION_CREDENTIALS
        case RemoteWriteEdge() | StoreEdge():
            secret = REMOTE_WRITE_CREDENTIALS
        case AlertEdge():
            secret = ALERT_CREDENTIALS
    return mounted_file(secret, key)


def mounted_file(secret: str, key: str) -> str:
    return f"/etc/prometheus/secrets/{secret}/{key}"
