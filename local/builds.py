"""Programs built from Go modules into the cache, and checked there before each use."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from local import cache, golang
from local.errors import LocalError
from local.progress import step

Pins = Mapping[str, str]
"""Module path to version, as a go.mod requires them."""


def no_stamps(_: Pins) -> dict[str, str]:
    return {}


@dataclass(frozen=True, eq=False)
class Build:
    """How one Go module becomes programs.

    `programs` maps a program's name to its package, `stamps` gives the variables to set at link time, and
    `files` maps a name to a module and the path in it of a script that belongs beside the programs.
    `stubs` holds the text of files, by their path in the module, that it does not compile without and does not bring.
    """

    folder: Path
    module: str
    programs: Mapping[str, str]
    tags: str = ""
    stamps: Callable[[Pins], dict[str, str]] = no_stamps
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    stubs: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def names(self) -> list[str]:
        return [*self.programs, *self.files]

    @property
    def version(self) -> str:
        """As go.mod requires the module; empty for a module of this project."""
        return self._pins.get(self.module, "")

    @property
    def title(self) -> str:
        return " ".join(filter(None, [self.folder.name, self.version]))

    @property
    def _pins(self) -> Pins:
        go_mod = (self.folder / "go.mod").read_text()
        return dict(re.findall(r"^\s*(?:require\s+)?(\S+)\s+(v\S+)", go_mod, re.MULTILINE))

    @property
    def _tags(self) -> list[str]:
        return [f"-tags={self.tags}"] if self.tags else []

    @property
    def _flags(self) -> list[str]:
        stamps = [f"-X {variable}={value}" for variable, value in self.stamps(self._pins).items()]
        return ["-trimpath", "-buildvcs=false", *self._tags, "-ldflags=" + " ".join(["-s", "-w", *stamps])]

    def key(self, go: golang.Go) -> str:
        """Changes with all that the result depends on: Go, flags, packages, go.mod and go.sum, own sources."""
        sources = sorted(
            file
            for file in self.folder.rglob("*")
            if file.name in {"go.mod", "go.sum"} or (file.suffix == ".go" and not file.name.endswith("_test.go"))
        )
        recipe = [
            dict(go.identity),
            self._flags,
            dict(self.programs),
            dict(self.files),
            [(str(file.relative_to(self.folder)), cache.digest(file)) for file in sources],
            *([dict(self.stubs)] if self.stubs else []),
        ]
        return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]

    def downloading(self, go: golang.Go) -> AbstractContextManager[golang.Download]:
        # With -e, what the module lacks is no error yet.
        flags = [*self._tags, *(["-e"] if self.stubs else [])]
        return go.downloading(self.folder, packages=[*self.programs.values()], flags=flags)

    def run(self, go: golang.Go, files: Path, scratch: Path) -> None:
        # Of several packages, go names the programs itself, after the last part of each path.
        out = files if len(self.programs) > 1 else files / next(iter(self.programs))
        folder = self._with_stubs(go, scratch) if self.stubs else self.folder
        go.build(folder, packages=[*self.programs.values()], flags=self._flags, out=out, scratch=scratch)
        for name, (module, path) in self.files.items():
            shutil.copyfile(go.module(self.folder, module) / path, files / name)
            (files / name).chmod(0o755)

    def _with_stubs(self, go: golang.Go, scratch: Path) -> Path:
        """A copy of the folder that builds from a copy of the module: files below GOMODCACHE cannot be overlaid."""
        folder, module = scratch / self.folder.name, scratch / "module"
        source = go.module(self.folder, self.module)
        # File by file: the module's own folders are read-only, and so would be their copies.
        for file in (file for file in source.rglob("*") if file.is_file()):
            _ready(module / file.relative_to(source)).write_bytes(file.read_bytes())
        for path, text in self.stubs.items():
            _ready(module / path).write_text(text)
        shutil.copytree(self.folder, folder)
        with (folder / "go.mod").open("a") as go_mod:
            go_mod.write(f"\nreplace {self.module} => ../module\n")
        return folder


def install(group: Sequence[Build], wanted: Sequence[Build] | None = None) -> Path:
    """Make the wanted builds (None: all) of a group sound in the cache, their programs together in one folder.

    Every selection of the same group, in the same versions, has the same folder. Raises LocalError.
    """
    go = golang.find()
    folder = cache.root() / "tools"
    keys = {build: build.key(go) for build in group}
    entries = {
        build: folder / "-".join([*build.title.split(), keys[build]]) for build in (group if wanted is None else wanted)
    }
    with step("check the cached tools") as checked:
        faults = cache.faults(entries.values())
        checked.detail = f"{len(entries) - len(faults)} of {len(entries)} are sound"
    _build([(build, entry) for build, entry in entries.items() if entry in faults], go)
    together = folder / f"bin-{hashlib.sha256(json.dumps([*keys.values()]).encode()).hexdigest()[:12]}"
    for build, entry in entries.items():
        for name in build.names:
            _link(entry / name, together / name)
    return together


def _ready(file: Path) -> Path:
    """`file`, in a folder that exists."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _build(missing: Sequence[tuple[Build, Path]], go: golang.Go) -> None:
    """One at a time, as go keeps all cores busy with one; the modules of the next one arrive meanwhile."""
    with ExitStack() as downloads:
        underway = [downloads.enter_context(build.downloading(go)) for build, _ in missing[:1]]
        for position, (build, entry) in enumerate(missing, start=1):
            with step(f"build {build.title}"):
                underway.pop().finish()
                underway = [
                    downloads.enter_context(following.downloading(go)) for following, _ in missing[position:][:1]
                ]
                cache.fill(entry, partial(build.run, go))


def _link(program: Path, name: Path) -> None:
    """A hard link: programs that look for others beside themselves (pulumi's) do so where they are run from."""
    if name.exists() and name.samefile(program):
        return
    fresh = name.with_name(f".{name.name}.{os.getpid()}")
    try:
        name.parent.mkdir(exist_ok=True)
        fresh.unlink(missing_ok=True)
        fresh.hardlink_to(program)
        fresh.replace(name)
        # Still there if another process was as fast: renaming a link onto its twin does nothing.
        fresh.unlink(missing_ok=True)
    except OSError as error:
        raise LocalError(
            f"cannot link {program} to {name}: {error}\n"
            f"Point XDG_CACHE_HOME to a file system with hard links and room, and run again."
        ) from error
