"""Go, as the tools are built with it: the same bytes wherever and by whomever it is called."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from local.errors import LocalError

OLDEST = (1, 26)
TAIL = 15  # lines of a failed command worth showing
# They steer a build; what is not fixed in `_ENVIRONMENT` is part of `Go.identity`.
_STEERING = ("GOVERSION", "GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOFIPS140")
_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
    # Not empty: only a set GOFLAGS overrides one that `go env -w` left in the user's configuration.
    "GOFLAGS": "-mod=readonly",
}


@dataclass(frozen=True)
class Go:
    """A Go that is new enough; `identity` is what of it changes a build's result."""

    program: str
    identity: Mapping[str, str]

    def build(self, folder: Path, *, packages: Sequence[str], flags: Sequence[str], out: Path, scratch: Path) -> None:
        """Build `packages` of the module in `folder` into the file or folder `out`; raises LocalError."""
        command = self._command("build", *flags, "-o", str(out), *packages)
        # A killed build's leftovers are then removed with the scratch folder.
        environment = _environment() | {"GOTMPDIR": str(scratch)}
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise _failure(f"cannot build {folder.name} (module {folder / 'go.mod'})", done.stdout, _BUILD_ADVICE)

    @contextmanager
    def downloading(self, folder: Path, *, packages: Sequence[str], flags: Sequence[str]) -> Generator["Download"]:
        """Fetch, beside other work, all modules that building `packages` takes and no others."""
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                self._command("list", "-deps", *flags, *packages),
                cwd=folder,
                env=_environment(),
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            try:
                yield Download(process, log, folder)
            finally:
                process.terminate()
                process.wait()

    def module(self, folder: Path, path: str) -> Path:
        """The unpacked module `path` at the version that `folder`'s go.mod selects, checked against its go.sum."""
        done = subprocess.run(
            self._command("mod", "download", "-json", path),
            cwd=folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise _failure(f"cannot download the module {path}", done.stdout + done.stderr, _DOWNLOAD_ADVICE)
        return Path(json.loads(done.stdout)["Dir"])

    def _command(self, *arguments: str) -> list[str]:
        # A `go` whose caller was killed must not go on building; setpriv is util-linux, so Linux only.
        leash = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        return [*leash, self.program, *arguments]


@dataclass(frozen=True)
class Download:
    """A running `Go.downloading`."""

    process: subprocess.Popen[bytes]
    log: IO[str]
    folder: Path

    def finish(self) -> None:
        """Wait for the end; raises LocalError."""
        if self.process.wait():
            self.log.seek(0)
            raise _failure(
                f"cannot get the modules of {self.folder.name} (module {self.folder / 'go.mod'})",
                self.log.read(),
                _DOWNLOAD_ADVICE,
            )


def find() -> Go:
    """The `go` on PATH; raises LocalError if there is none or it is too old."""
    wanted = ".".join(map(str, OLDEST))
    program = shutil.which("go")
    if program is None:
        raise LocalError(
            f"go is not on PATH, and the tools are built with it: install Go {wanted} or newer (https://go.dev/dl/)."
        )
    done = subprocess.run(
        [program, "env", "-json", *_STEERING],
        cwd="/",
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise _failure(f"{program} does not work", done.stderr, "Reinstall Go.")
    identity: dict[str, str] = json.loads(done.stdout)
    version = re.search(r"go(\d+)\.(\d+)", identity["GOVERSION"])
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise LocalError(
            f"{program} is {identity['GOVERSION']}, and the tools need Go {wanted} or newer: "
            f"install one (https://go.dev/dl/) and put it first on PATH."
        )
    return Go(program, identity)


_DOWNLOAD_ADVICE = "Check the network and `go env GOPROXY`, then run again: what is already here is kept."
_BUILD_ADVICE = "Run again once that is mended: what is already built is kept."
_FULL_ADVICE = (
    "Make room where the caches are (`go env GOCACHE GOMODCACHE`, XDG_CACHE_HOME), then run again: "
    "what is already here is kept."
)


def _environment() -> dict[str, str]:
    return {**os.environ, **_ENVIRONMENT}


def _failure(what: str, log: str, advice: str) -> LocalError:
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith("go: downloading ")]
    advice = _FULL_ADVICE if "no space left on device" in log else advice
    return LocalError("\n".join([f"{what}:", *(f"    {line}" for line in lines[-TAIL:]), advice]))
