"""The complete small chart: the templates in this repository and the CRDs out of the operator's Go module.

The CRDs are 5 MB of another project's files: they are taken from the module, which `go.sum` vouches for, and not
kept here.
"""

import bz2
import contextlib
import shutil
from pathlib import Path

from local import golang
from local.environment import CHECKOUT
from local.errors import LocalError
from local.golang import Go

OPERATOR = "github.com/prometheus-operator/prometheus-operator"
_CRDS = Path("charts", "crds")


def small_chart(out: Path) -> None:
    """Make `out` the complete small chart of this checkout; raises LocalError."""
    crds = operator_crds(golang.find(), CHECKOUT / "local" / "tools" / "operator")
    assemble(CHECKOUT / "local" / "chart", crds, out)


def operator_crds(go: Go, tool: Path) -> Path:
    """The folder with the CRDs of the operator that `tool`'s go.mod pins, one file each; raises LocalError."""
    return go.module(tool, OPERATOR) / "example" / "prometheus-operator-crd"


def assemble(chart: Path, crds: Path, out: Path) -> bool:
    """Make `out` the complete chart, and say whether that changed anything.

    The result depends on nothing but the files of `chart` and `crds`; a reader of `out` never sees a half-written
    chart. Raises LocalError if `crds` holds none or `out` cannot be written.
    """
    crd_files = sorted(crds.glob("*.yaml"))
    if not crd_files:
        raise LocalError(f"{crds} holds no CRDs (*.yaml). Run `go clean -modcache`, then run again.")
    wanted = {path.relative_to(chart): path.read_bytes() for path in chart.rglob("*") if path.is_file()}
    # refuse.yaml compares with the chart's own values, and templates cannot read a file of that name.
    wanted[Path("known.yaml")] = wanted[Path("values.yaml")]
    wanted |= {_CRDS / "crds" / path.name: path.read_bytes() for path in crd_files}
    present = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    # Once more for the hook that updates them: a ConfigMap has no room for them as they are.
    packed = _CRDS / "files" / "crds.bz2"
    wanted[packed] = _packed(b"---\n".join(path.read_bytes() for path in crd_files), present.get(packed, b""))
    if present == wanted:
        return False
    try:
        _replace(out, wanted)
    except OSError as error:
        raise LocalError(
            f"cannot write the chart {out}: {error}. Make room or permission there, then run again."
        ) from error
    return True


def _packed(content: bytes, before: bytes) -> bytes:
    """`before` where it holds the content: to unpack takes a fraction of the time."""
    with contextlib.suppress(OSError, ValueError):
        if bz2.decompress(before) == content:
            return before
    return bz2.compress(content)


def _replace(out: Path, files: dict[Path, bytes]) -> None:
    fresh, stale = out.with_name(f"{out.name}.new"), out.with_name(f"{out.name}.old")
    for leftover in (fresh, stale):
        shutil.rmtree(leftover, ignore_errors=True)
    for path, content in files.items():
        (fresh / path).parent.mkdir(parents=True, exist_ok=True)
        (fresh / path).write_bytes(content)
    if out.exists():
        out.rename(stale)
    fresh.rename(out)
    shutil.rmtree(stale, ignore_errors=True)
