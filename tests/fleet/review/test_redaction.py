"""Nothing of a secret is shown, wherever it stands in what a pull request changes."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pull_requests import PAGE, edited, repository

from fleet.review.differences import ObjectChange, ObjectName
from tests.leaks import leaked

SECRET = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=20, max_size=40)
HASH = "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"


def secret_object(data: dict[str, Any], key: str = "stringData") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, key: data}


def holders(secret: str) -> dict[str, dict[str, Any]]:
    """Objects in which it stands, each in another way."""
    encoded = base64.b64encode(f"user: {secret}".encode()).decode()
    pem = f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"
    return {
        "stringData of a Secret": secret_object({"a": secret}),
        "data of a Secret": secret_object({"a": encoded}, "data"),
        "a Secret in a list": {"kind": "List", "items": [secret_object({"a": secret})]},
        "a Secret in the values": {"extraManifests": [secret_object({"a": {"b": [secret]}})]},
        "a key that tells": {"grafana": {"adminPassword": secret}},
        "a token": {"spec": {"bearerToken": secret}},
        "credentials": {"spec": {"authorization": {"type": "Bearer", "credentials": secret}}},
        "an environment variable": {"spec": {"env": [{"name": "DB_PASSWORD", "value": secret}]}},
        "an argument": {"args": [f"--api-key={secret}", f"--smtp.password {secret}", f"--a-token: {secret}"]},
        "the argument after its name": {"args": ["--password", secret, "--other", "shown"]},
        "a URL": {"spec": {"url": f"https://user:{secret}@example.com/push"}},
        "a URL's query": {"spec": {"url": f"https://example.com/push?token={secret}"}},
        "a private key": {"data": {"tls": pem}},
        "a file of YAML": {"data": {"a.yaml": f"basic_auth:\n  username: a\n  password: {secret}\n"}},
        "a file of JSON": {"data": {"a.json": f'{{"api_key": "{secret}"}}'}},
        "a header": {"data": {"a.conf": f"Authorization: Bearer {secret}"}},
    }


KINDS = tuple(holders(""))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(first=SECRET, second=SECRET)
def test_no_diff_shows_a_secret_that_is_new_gone_or_another(kind: str, first: str, second: str) -> None:
    before, after = holders(first)[kind], holders(second)[kind]
    for old, new in ((None, after), (before, None), (before, after)):
        told = ObjectChange(ObjectName("Kind", "name"), old, new).diff()
        assert leaked([first, second], told) == []


@pytest.mark.parametrize("kind", KINDS)
def test_that_a_secret_is_another_one_is_seen(kind: str) -> None:
    told = ObjectChange(ObjectName("Kind", "name"), holders("a" * 20)[kind], holders("b" * 20)[kind]).diff()
    assert "(another secret)" in told


def test_a_password_hash_is_not_shown() -> None:
    file = {"data": {"htpasswd": f"eu:{HASH}\n"}}
    assert HASH not in ObjectChange(ObjectName("ConfigMap", "a"), None, file).diff()


@pytest.mark.parametrize(
    "text",
    [
        "password_file: /etc/prometheus/secrets/federation-credentials/eu-1",
        "expr: sum(rate(tokens_total[5m])) > 3",
        "automountServiceAccountToken: false",
    ],
)
def test_what_is_no_secret_is_shown(text: str) -> None:
    assert text in ObjectChange(ObjectName("ConfigMap", "a"), None, {"data": {"a": f"{text}\nb: c\n"}}).diff()


@pytest.mark.parametrize(
    "value",
    [
        {"alertmanager": {"config": {"global": {"smtp_auth_password": "{}"}}}},
        {"extraManifests": [secret_object({"a": "{}"})]},
        {"prometheus": {"prometheusSpec": {"remoteRead": [{"url": "https://u:{}@example.com/"}]}}},
    ],
)
@pytest.mark.parametrize("side", ["before", "after"])
def test_no_report_shows_a_secret_that_somebody_has_put_on_the_page(
    value: dict[str, Any], side: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = "correct-horse-battery-staple"  # noqa: S105 (of nothing)

    def put(page: dict[str, Any]) -> None:
        page["clusters"]["eu-1"]["values"] = filled(value, secret)

    pages = {"before": PAGE, "after": PAGE, side: edited(put)}
    opened = repository(tmp_path_factory.mktemp("leak") / "fleet", {}, pages["before"])
    opened.write(pages["after"])
    found = opened.preview()
    assert leaked([secret], found.summary + found.details) == []
    assert "clusters.eu-1.values" in found.summary


def filled(node: Any, secret: str) -> Any:
    if isinstance(node, dict):
        return {key: filled(value, secret) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, secret) for value in node]
    return node.replace("{}", secret)
