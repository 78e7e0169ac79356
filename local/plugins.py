"""Which provider plugins serve: the official ones wherever they can be had, else the stand-ins."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from local.environment import CHECKOUT
from local.errors import LocalError
from local.progress import say

PLUGINS = {"kubernetes": "pulumi-kubernetes", "random": "pulumi-random", "tls": "pulumi-tls"}
"""Provider by the Python distribution whose version it must have."""

INSTALL_SECONDS = 300


class _Installed(BaseModel):
    name: str
    version: str | None = None


def standins(folder: Path) -> Path | None:
    """Fill `folder`, for the end of PATH, with the stand-ins that are needed (None where none is), and say why."""
    shutil.rmtree(folder, ignore_errors=True)
    with ThreadPoolExecutor() as pool:
        found = dict(zip(PLUGINS, pool.map(_official, PLUGINS), strict=True))
    for name, official in found.items():
        if official is not None:
            say(f"plugin {name}: the official one, {official}")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        program = f"pulumi-resource-{name}"
        (folder / program).symlink_to(CHECKOUT / "local" / "standins" / "bin" / program)
        say(f"plugin {name}: the official one can not be had here, the stand-in serves")
    return folder if folder.exists() else None


def _official(name: str) -> str | None:
    """Where the official plugin is from; None where it cannot be had."""
    wanted = version(PLUGINS[name])
    on_path = shutil.which(f"pulumi-resource-{name}")
    if on_path is not None:
        return on_path
    if wanted in _installed(name):
        return f"{wanted}, installed"
    command = ["pulumi", "plugin", "install", "resource", name, wanted]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return f"{wanted}, installed just now" if done.returncode == 0 else None


def _installed(name: str) -> set[str | None]:
    done = subprocess.run(["pulumi", "plugin", "ls", "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"`pulumi plugin ls` failed:\n{done.stderr.strip()}")
    plugins = TypeAdapter(list[_Installed]).validate_json(done.stdout)
    return {plugin.version for plugin in plugins if plugin.name == name}
