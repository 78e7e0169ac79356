import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.leaks import SIGNATURE, leaked, private_parts, secrets_of

PASSWORD = "jV9aDk3mQz7LpWx2TnRc8YbHs4GfUeK1"  # noqa: S105 (of nothing)
HASH = "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
PEM = "-----BEGIN {0}-----\n{1}\n{2}==\n-----END {0}-----\n"
KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PRIVATE = KEY.splitlines()[1:3]
"""What follows is the public key."""
CERTIFICATE = PEM.format("CERTIFICATE", "MIIBszCCAVmgAwIBAgIUQ2VydGlmaWNh", "dGVBdXRob3JpdHlPZlRo")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (PASSWORD, [PASSWORD]),
        (f"eu:{HASH}\n", [HASH]),
        (KEY + CERTIFICATE, PRIVATE),
        (CERTIFICATE, []),
        ("eu-1", []),
        (json.dumps({"apps": [{"username": "eu", "password": HASH}]}), [HASH]),
        (
            json.dumps({"load_pem": [{"certificate": CERTIFICATE, "key": KEY}], "password": HASH}, indent=1),
            [*PRIVATE, HASH],
        ),
        (f"users:\n- user:\n    client-key-data: {PASSWORD}\n    server: https://192.0.2.1:6443\n", [PASSWORD]),
    ],
    # The key is another one each time, and workers have to agree on names.
    ids=["password", "account", "key pair", "certificate", "word", "configuration", "gateway", "kubeconfig"],
)
def test_of_a_secret_text_what_is_private_is_looked_for(text: str, parts: list[str]) -> None:
    assert [*private_parts(text)] == parts


def test_secrets_of_any_kind_are_found_in_state() -> None:
    def wrapped(value: object) -> dict[str, str]:
        return {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps(value)}

    data = {"eu-1.key": base64.b64encode(KEY.encode()).decode()}
    state = {
        "resources": [{"outputs": {"result": wrapped(PASSWORD), "length": 32}}, {"inputs": {"data": wrapped(data)}}]
    }
    assert {PASSWORD, *PRIVATE} <= secrets_of(state)


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
def test_a_secret_is_found_plain_and_wherever_it_begins_in_base64(before: str) -> None:
    text = f"{before}{PASSWORD} and more"
    for form in (text, base64.b64encode(text.encode()).decode()):
        assert leaked([PASSWORD, HASH], form) == [PASSWORD[:4]]
