"""Passwords that somebody brings: how one is read, and what is said of one that would not do."""

from base64 import b64decode
from collections.abc import Mapping

from fleet.errors import FleetError, Problem, dotted
from fleet.keys import refuse_password
from fleet.names import PROJECT
from fleet.page import Password
from fleet.page.problems import did_you_mean
from fleet.plan import Call, password_path


def password_in_config(call: Call, brought: Password, text: str) -> str:
    """`text` itself. Raises FleetError where it would not do."""
    where = f"config key {PROJECT}:{brought.config}"
    return _checked(call, where, text, f"pulumi config set --secret {PROJECT}:{brought.config}")


def password_in_secret(call: Call, brought: Password, data: Mapping[str, str] | None) -> str:
    """Of a Secret's `data`, which is in base64. Raises FleetError where there is none that would do."""
    where = f"Secret {brought.namespace}/{brought.secret} of cluster {call.lower}"
    found = data or {}
    fix = (
        "# FILE holds the password alone, without a newline at its end\n"
        f"kubectl --namespace {brought.namespace} create secret generic {brought.secret} "
        f"--from-file={brought.key}=FILE"
    )
    if brought.key not in found:
        there = f"its keys are {', '.join(sorted(found))}" if found else "it is empty"
        raise _refusal(call, f"{where} has no key {brought.key}: {there}{did_you_mean(brought.key, found)}", fix)
    try:
        text = b64decode(found[brought.key], validate=True).decode()
    except ValueError:
        raise _refusal(call, f"{where}: what its key {brought.key} holds is not UTF-8 text", fix) from None
    return _checked(call, f"{where}, key {brought.key}", text, fix)


def _checked(call: Call, where: str, text: str, fix: str) -> str:
    try:
        refuse_password(text)
    except ValueError as error:
        raise _refusal(call, f"{where}: {error}", fix) from None
    return text


def _refusal(call: Call, message: str, fix: str) -> FleetError:
    return FleetError([Problem(dotted(password_path(call)), message, fix)])
