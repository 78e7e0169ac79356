"""Secrets in clear: a page is committed, and Pulumi shows a release's values to everyone."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from fleet.errors import Problem, dotted

_TELLING = re.compile(r"(?i)(password|passwd|token|secret_?key|access_?key|api_?key|private_?key|client_?secret)$")
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]+@", re.IGNORECASE)
_PEM = "PRIVATE KEY-----"

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
        message = f"{what} in clear; keep it in a Kubernetes Secret and name that here"
        yield Problem(dotted(path), message, _FIX)


def secret_in(key: str, text: str) -> str | None:
    """What `text` at `key` looks like; None where it may be shown."""
    if _PEM in text:
        return "a private key"
    if _USERINFO.search(text):
        return "a URL with a user and a password"
    return "a secret" if text and _TELLING.search(key) else None
