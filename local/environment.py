"""The variables under which everything of the local fleet runs; `.local/env` gives them to a shell."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
LOCAL = CHECKOUT / ".local"
STACK = "dev"
_PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 (the variable's name; it would win over the file)
BACKEND = LOCAL / "pulumi"


def variables(*, tools: Path, pulumi: Path | None, standins: Path | None, clusters: Sequence[str]) -> dict[str, str]:
    """`pulumi` is the folder of the built CLI, `standins` that of plugins; None where the official ones serve.

    Stand-ins come last on PATH: a plugin on PATH shadows every other.
    """
    before = [folder for folder in (CHECKOUT / ".venv" / "bin", pulumi, tools) if folder is not None]
    after = [standins] if standins is not None else []
    # By the clusters' names as contexts, so that `kubectl --context eu-1` works.
    kubeconfigs = os.pathsep.join(str(kubeconfig(name)) for name in clusters)
    return {
        "PATH": os.pathsep.join([*map(str, before), "$PATH", *map(str, after)]),
        "KUBECONFIG": kubeconfigs,
        "PULUMI_BACKEND_URL": f"file://{BACKEND}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(CHECKOUT / "local" / "dev.passphrase"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # The stack's own chart again, in a shell that had been told of another one.
        "FLEET_CHART": os.environ.get("FLEET_CHART", ""),
        "FLEET_CHART_VERSION": os.environ.get("FLEET_CHART_VERSION", ""),
    }


def kubeconfig(cluster: str) -> Path:
    return LOCAL / "kubeconfigs" / f"{cluster}.yaml"


def enter(found: Mapping[str, str]) -> None:
    """Gives the variables to this process and to all that it starts."""
    os.environ.update(inside(found))
    os.environ.pop(_PASSPHRASE, None)


def put_first(tools: Path) -> None:
    """Whatever this process starts finds the programs of that folder before others."""
    enter({"PATH": f"{tools}{os.pathsep}$PATH"})


def inside(found: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process with the variables in it."""
    path = found["PATH"].replace("$PATH", os.environ.get("PATH", ""))
    others = {name: value for name, value in os.environ.items() if name != _PASSPHRASE}
    return {**others, **found, "PATH": path}


def write(found: Mapping[str, str]) -> None:
    """`.local/env`, to be read by a shell with `.`: it names files that hold secrets, and holds none."""
    lines = (f"export {name}={_quote(value)}\n" for name, value in found.items())
    (LOCAL / "env").write_text("".join([*lines, f"unset {_PASSPHRASE}\n"]))


def _quote(value: str) -> str:
    """In double quotes, within which a shell expands $PATH and nothing else."""
    escaped = re.sub(r'["`\\]|\$(?!PATH\b)', r"\\\g<0>", value)
    return f'"{escaped}"'
