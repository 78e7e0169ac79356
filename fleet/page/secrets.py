"""Secrets in clear: a page is committed, and Pulumi shows a release's values to everyone."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast
from urllib.parse import unquote_plus

from fleet.errors import Problem, dotted, yaml_at

_TELLING = re.compile(
    r"(?i)(password|passwd|token|secret[_-]?key|access[_-]?key|api[_-]?key|private[_-]?key|client[_-]?secret)$"
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]+@", re.IGNORECASE)
_PEM = "PRIVATE KEY-----"
_PARAMETER = "a URL with a secret among its parameters"

_FIX = """kubectl --namespace monitoring create secret generic NAME --from-file=KEY=FILE
# and on the page, where a Secret is asked for:
secret: NAME"""


def secrets_in_clear(node: object, path: tuple[object, ...] = ()) -> Iterator[Problem]:
    """Every text below `node` that looks like a secret. Messages never repeat it."""
    if isinstance(node, Mapping):
        for key, value in cast("Mapping[object, object]", node).items():
            yield from secrets_in_clear(value, (*path, key))
    elif isinstance(node, Sequence) and not isinstance(node, str | bytes):
        for number, value in enumerate(cast("Sequence[object]", node)):
            yield from secrets_in_clear(value, (*path, number))
    elif isinstance(node, str) and (what := secret_in(str(path[-1]) if path else "", node)):
        instead = "keep it in a Kubernetes Secret and name that here"
        if what == _PARAMETER and path[:1] == ("destinations",):
            instead = "keep it in a Kubernetes Secret that auth names, as in auth: {bearer: {secret: NAME}}"
        fix = yaml_at(path, _without_secrets(node)) if what == _PARAMETER and _URL.fullmatch(node) else _FIX
        yield Problem(dotted(path), f"{what} in clear; {instead}", fix)


def secret_in(key: str, text: str) -> str | None:
    """What `text` at `key` looks like; None where it may be shown."""
    if _PEM in text:
        return "a private key"
    if _USERINFO.search(text):
        return "a URL with a user and a password"
    if text and _TELLING.search(key):
        return "a secret"
    parameters = (each for url in _URL.findall(text) for each in re.split(r"[?#&;]", url)[1:])
    return _PARAMETER if any(map(_is_secret, parameters)) else None


def _is_secret(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return bool(value and _TELLING.search(unquote_plus(name)))


def _without_secrets(url: str) -> str:
    address, _, query = url.partition("#")[0].partition("?")
    rest = "&".join(each for each in re.split("[&;]", query) if not _is_secret(each))
    return f"{address}?{rest}" if rest else address
