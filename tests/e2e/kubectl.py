"""The live fleet, asked without the code under test: by kubectl alone."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

PROMETHEUS = "/api/v1/namespaces/monitoring/services/kube-prometheus-stack-prometheus:9090/proxy"
ALERTMANAGER = "/api/v1/namespaces/monitoring/services/kube-prometheus-stack-alertmanager:9093/proxy/api/v2"
T = TypeVar("T")

Sample = tuple[dict[str, str], float]


def kubectl(cluster: str, *arguments: str, stdin: str | None = None) -> str:
    command = ["kubectl", "--context", cluster, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def objects(cluster: str, *arguments: str) -> list[dict[str, Any]]:
    return json.loads(kubectl(cluster, "get", *arguments, "--output", "json"))["items"]


def api(cluster: str, path: str, **params: str) -> Any:
    return json.loads(kubectl(cluster, "get", "--raw", f"{PROMETHEUS}/api/v1/{path}?{urlencode(params)}"))["data"]


def query(cluster: str, promql: str) -> list[Sample]:
    return [(series["metric"], float(series["value"][1])) for series in api(cluster, "query", query=promql)["result"]]


def raw_samples(cluster: str, selector: str) -> list[tuple[float, float]]:
    """Stored samples of one series, (Unix time, value), oldest first."""
    (series,) = api(cluster, "query", query=selector)["result"]
    return [(float(when), float(value)) for when, value in series["values"]]


def alerts(cluster: str) -> list[dict[str, Any]]:
    """What Alertmanager knows, muted or not."""
    return json.loads(kubectl(cluster, "get", "--raw", f"{ALERTMANAGER}/alerts"))


def by_label(samples: list[Sample], label: str) -> dict[str, float]:
    return {labels[label]: value for labels, value in samples}


def carry_into_pods(cluster: str) -> None:
    """A kubelet renews mounted Secrets and ConfigMaps once a minute or so, and at once for a pod that changes."""
    now = f"touched={time.time()}"
    kubectl(cluster, "--namespace=monitoring", "annotate", "--overwrite", "pods", "--all", now)


def eventually(check: Callable[[], T], *, within: float, every: float = 0.5) -> tuple[T, float]:
    """The first result that passes, and after how many seconds; an AssertionError means not yet."""
    started = time.monotonic()
    while True:
        try:
            return check(), time.monotonic() - started
        except (AssertionError, LookupError, ValueError):
            if time.monotonic() - started > within:
                raise
            time.sleep(every)
