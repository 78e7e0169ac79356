"""Names of metrics that are known to exist, with their types: what the live local fleet serves.

`PYTHONPATH=.:tests/e2e python tests/metrics.py` asks the fleet that is up, with the environment of `.local/env`, and
writes them anew.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

FILE = Path(__file__).parent / "metrics.yaml"
KINDS: Mapping[str, str] = yaml.safe_load(FILE.read_text()) if FILE.exists() else {}

QUERIED = ("eu-1", "eu-2", "eu", "hub")
AGENT = "shop-1"

# Of a histogram and a summary, the series that Prometheus keeps.
_SERIES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("", "_count", "_sum")}


def served() -> dict[str, str]:
    """Metrics that some Prometheus of the live fleet scrapes or says of itself; nothing that is recorded."""
    from kubectl import PROMETHEUS, api, kubectl  # noqa: PLC0415 (of the live tests)

    found: dict[str, str] = {}
    described: dict[str, str] = {}
    for cluster in QUERIED:
        described |= {name: each[0]["type"] for name, each in api(cluster, "metadata").items()}
        found |= dict.fromkeys(api(cluster, "label/__name__/values"), "unknown")
    own = kubectl(AGENT, "get", "--raw", f"{PROMETHEUS}/metrics")
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", own, re.MULTILINE):
        described[name] = kind
        found |= dict.fromkeys((f"{name}{suffix}" for suffix in _SERIES.get(kind, ("",))), kind)
    return {name: _kind(name, described) for name in sorted(found) if ":" not in name and not name.startswith("ALERTS")}


def _kind(name: str, described: Mapping[str, str]) -> str:
    if name in described:
        return described[name]
    for suffix in ("_bucket", "_count", "_sum", "_total"):
        family = name.removesuffix(suffix)
        if family != name and described.get(family) in {"histogram", "summary", "counter"}:
            return "counter"
    return "unknown"


def text(kinds: Mapping[str, str]) -> str:
    head = f"# What the live local fleet serves, written by {Path(__file__).name}.\n"
    return head + "".join(f"{name}: {kind}\n" for name, kind in sorted(kinds.items()))


if __name__ == "__main__":
    FILE.write_text(text(served()))
