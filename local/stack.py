"""Stack dev on the local fleet: deployed by Pulumi's own CLI, also after a run that was killed."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pydantic import BaseModel

from local.environment import LOCAL, STACK
from local.errors import LocalError
from local.progress import say, step

BACKEND = LOCAL / "pulumi"


class _Lock(BaseModel):
    pid: int
    hostname: str


def deploy() -> None:
    """`pulumi up` with the policy pack; its output goes to the terminal. Raises LocalError."""
    with step("prepare stack dev") as prepared:
        _select()
        prepared.detail = _recover()
    with step("pulumi up"):
        command = ["pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", STACK]
        command += ["--policy-pack", "policies"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise LocalError(
                "pulumi up failed; what it printed above says where.\n"
                "Mend that and run `make demo` again: it goes on from here. `make down` takes everything away."
            )


def _select() -> None:
    BACKEND.mkdir(mode=0o700, parents=True, exist_ok=True)
    _pulumi("stack", "select", "--create", STACK)


def _recover() -> str:
    """Clears what a killed run left: a lock whose owner is dead, and creates of which nobody saw the end."""
    for path in (BACKEND / ".pulumi" / "locks").rglob("*.json"):
        lock = _Lock.model_validate_json(path.read_text())
        if lock.hostname == os.uname().nodename and not Path(f"/proc/{lock.pid}").exists():
            _pulumi("cancel", "--yes", "--stack", STACK)
            say("a run that was killed had left the stack locked: unlocked")
        else:
            raise LocalError(
                f"stack dev is locked by a running pulumi (pid {lock.pid} on {lock.hostname}).\n"
                f"Wait until it ends, or end it, and run `make demo` again."
            )
    exported = json.loads(_pulumi("stack", "export", "--stack", STACK))
    deployment = cast("Mapping[str, object]", exported.get("deployment") or {})
    if deployment.get("pending_operations"):
        _pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", STACK)
        return "took up what a killed run had begun"
    return "as the last run left it" if deployment.get("resources") else "new"


def _pulumi(*arguments: str) -> str:
    command = ["pulumi", "--non-interactive", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"pulumi {' '.join(arguments)} failed:\n{done.stderr.strip()}")
    return done.stdout
