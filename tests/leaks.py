"""What is secret in a stack, found in its decrypted state: a new kind of secret is looked for as well."""

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import yaml
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

_SHORTEST = 16
"""Characters; anything shorter is a user name, or found in any text."""

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Pulumi's key that says of a mapping in state that it stands for something else, here for a secret."""

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(.+?)-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SECRET_NAME = re.compile(r"(?:password|token|private.*key|key-data)(?!_file)", re.IGNORECASE)
"""Of a key in a document; `password_file` says where the secret lies."""


def secrets_of(state: object) -> set[str]:
    """Every password, hash and line of a private key in what `pulumi stack export --show-secrets` wrote."""
    return {found for text in _decrypted(state) for form in (text, _decoded(text)) for found in private_parts(form)}


def leaked(secrets: Iterable[str], text: str) -> list[str]:
    """The beginnings of the secrets that are in `text`, plain or in base64."""
    return [secret[:4] for secret in secrets if any(form in text for form in _forms(secret))]


def _decrypted(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        found = cast("Mapping[str, object]", node)
        if SIGNATURE in found:
            yield from _texts(json.loads(cast("str", found.get("plaintext", "null"))))
        else:
            # A release's own notes of its inputs are secret as a whole; each of them stands beside it as it is.
            for value in (value for key, value in found.items() if key != "__inputs"):
                yield from _decrypted(value)
    elif isinstance(node, list):
        for item in cast("list[object]", node):
            yield from _decrypted(item)


def _decoded(text: str) -> str:
    """As the data of a Kubernetes Secret; empty where it is no text in base64."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def _texts(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for value in cast("Mapping[str, object]", node).values():
            yield from _texts(value)
    elif isinstance(node, list):
        for item in cast("list[object]", node):
            yield from _texts(item)


def private_parts(text: str) -> Iterator[str]:
    """The parts of a secret text that are private; certificates and structure are not."""
    for found in _PRIVATE_KEY.finditer(text.replace("\\n", "\n")):
        yield from _private_lines(found[0])
    rest = _CERTIFICATE.sub("", _PRIVATE_KEY.sub("", text)).strip()
    if len(rest) < _SHORTEST:
        return
    if not re.search(r"\s", rest):
        # One word: a password, a hash or a token, or in htpasswd's form a user and a hash.
        yield rest.rpartition(":")[2] if ":$2" in rest else rest
    else:
        yield from (value for value in _named(_parsed(rest)) if len(value) >= _SHORTEST)


def _private_lines(pem: str) -> Iterator[str]:
    """Those that do not lie in the public key as well, which a private one repeats."""
    load = load_ssh_private_key if "OPENSSH" in pem else load_pem_private_key
    public = load(pem.encode(), None).public_key()
    known = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with contextlib.suppress(UnsupportedAlgorithm):
        known += base64.b64decode(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])
    for line in pem.split("-----")[2].split():
        if len(line) >= _SHORTEST and base64.b64decode(line) not in known:
            yield line


def _parsed(text: str) -> object:
    """Kubeconfigs are YAML, a gateway's configuration is JSON and so YAML too."""
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return None


def _named(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        for name, value in cast("Mapping[str, object]", node).items():
            if isinstance(value, str) and _SECRET_NAME.search(str(name)):
                yield value
            yield from _named(value)
    elif isinstance(node, list):
        for item in cast("list[object]", node):
            yield from _named(item)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    for before, start in ((0, 0), (1, 2), (2, 3)):
        # Wherever it begins in what was encoded: without the characters at its ends that others have a part in.
        yield base64.b64encode(b" " * before + secret.encode()).decode().rstrip("=")[start:-1]
