"""A copy of the program for pages of a test's own, and the environment in which it is deployed on local clusters."""

import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

import pytest
from live import ROOT

from local import chart_assembly, golang

PROGRAM = ("Pulumi.yaml", "Pulumi.README.md", "__main__.py", "components", "fleet", "rules")


def copy_program(folder: Path) -> Path:
    """With its Python environment; answers where the local chart lies. Needs the network of this machine."""
    for name in PROGRAM:
        source, target = ROOT / name, folder / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    crds = chart_assembly.operator_crds(golang.find(), ROOT / "local" / "tools" / "operator")
    chart_assembly.assemble(ROOT / "local" / "chart", crds, folder / "chart")
    return folder / "chart"


def kubeconfig(folder: Path, cluster: str) -> str:
    return str(folder / ".local" / "kubeconfigs" / f"{cluster}.yaml")


@contextmanager
def program_environment(folder: Path, clusters: Iterable[str]) -> Generator[None]:
    """Of the whole process: with a backend in `folder` and the stand-ins as plugins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(ROOT / ".venv" / "bin"), prepend=os.pathsep)
        patch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{ROOT / 'local' / 'standins' / 'bin'}")
        patch.setenv("KUBECONFIG", os.pathsep.join(kubeconfig(folder, name) for name in clusters))
        patch.setenv("PULUMI_BACKEND_URL", (folder / "state").as_uri())
        patch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(ROOT / "local" / "dev.passphrase"))
        patch.setenv("PULUMI_SKIP_UPDATE_CHECK", "true")
        for name in ("FLEET_CHART", "FLEET_CHART_VERSION", "PULUMI_CONFIG_PASSPHRASE"):
            patch.delenv(name, raising=False)
        (folder / "state").mkdir(mode=0o700)
        yield
