"""Stack dev on the local fleet: deployed by Pulumi's own CLI, also after a run that was killed."""

import os
import subprocess
from pathlib import Path

from pydantic import BaseModel, Field

from fleet.live import run_to_its_end
from fleet.names import PROJECT, RELEASE
from fleet.plan import Plan
from local.environment import BACKEND, STACK
from local.errors import LocalError
from local.progress import say, step

_RELEASE_TYPE = "kubernetes:helm.sh/v3:Release"


class _Lock(BaseModel):
    pid: int
    hostname: str


class _Resource(BaseModel):
    urn: str
    type: str


class _Operation(BaseModel):
    resource: _Resource
    type: str


class _Deployment(BaseModel):
    pending_operations: list[_Operation] = Field(default_factory=list[_Operation])
    resources: list[_Resource] = Field(default_factory=list[_Resource])


class _Export(BaseModel):
    deployment: _Deployment


def deploy(plan: Plan, file: Path) -> None:
    """`pulumi up` of the page in `file`, with the policy pack; its output goes to the terminal. Raises LocalError."""
    with step(f"prepare stack {STACK}") as prepared:
        BACKEND.mkdir(mode=0o700, parents=True, exist_ok=True)
        mend(BACKEND)
        _pulumi("stack", "select", "--create", STACK)
        _unlock()
        prepared.detail = _take_up(plan)
    with step("pulumi up"):
        command = ["pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", STACK]
        command += ["--config-file", str(file), "--policy-pack", "policies"]
        if run_to_its_end(command, stdin=subprocess.DEVNULL):
            raise LocalError(
                "pulumi up failed; what it printed above says where.\n"
                "Mend that and run `make demo` again: it goes on from here. `make down` takes everything away."
            )


def mend(backend: Path) -> None:
    """Of what a run that was killed has left in a backend of files.

    Such a one writes the attributes of a file in place, so that they may be empty, and then nobody can read the file.
    Without any it is read as it stands.
    """
    for path in (backend / ".pulumi").rglob("*.attrs"):
        if path.stat().st_size == 0:
            path.unlink()


def _unlock() -> None:
    """Removes the lock of a run that was killed."""
    for path in (BACKEND / ".pulumi" / "locks" / "organization" / PROJECT / STACK).glob("*.json"):
        lock = _Lock.model_validate_json(path.read_text())
        if lock.hostname == os.uname().nodename and not _is_pulumi(lock.pid):
            _pulumi("cancel", "--yes", "--stack", STACK)
            say("a run that was killed had left the stack locked: unlocked")
        else:
            raise LocalError(
                f"stack {STACK} is locked by a running pulumi (process {lock.pid} on {lock.hostname}): wait until it "
                f"ends.\nIf it is long gone, unlock with `. .local/env; pulumi cancel --stack {STACK}`."
            )


def _is_pulumi(pid: int) -> bool:
    """A number alone says little: after a reboot it may be anybody's."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "pulumi"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _take_up(plan: Plan) -> str:
    """Clears creates of which nobody saw the end; says how the stack stands.

    Objects are applied again on top of what there is. Helm refuses a name that is in use, so a release of which it is
    not known how far it came is taken back first.
    """
    deployment = _Export.model_validate_json(_pulumi("stack", "export", "--stack", STACK)).deployment
    if not deployment.pending_operations:
        return "as the last run left it" if deployment.resources else "new"
    for operation in deployment.pending_operations:
        if operation.type == "creating" and operation.resource.type == _RELEASE_TYPE:
            cluster = plan.clusters[operation.resource.urn.rpartition("::")[2].removesuffix("-release")]
            where = ["--kube-context", cluster.name, "--namespace", cluster.namespace]
            _run(["helm", *where, "uninstall", RELEASE, "--ignore-not-found", "--wait"])
    _pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", STACK)
    return "took up what a killed run had begun"


def _pulumi(*arguments: str) -> str:
    return _run(["pulumi", "--non-interactive", *arguments])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"`{' '.join(command)}` failed:\n{done.stderr.strip()}")
    return done.stdout
