"""A real Prometheus on this machine alone, and what it is asked."""

import contextlib
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Protocol, Required, TypedDict

import yaml
from pydantic.alias_generators import to_snake

from fleet.duration import format_duration
from fleet.plan import ClusterPlan
from fleet.queues import Queue
from fleet.remote_write import queue_config
from fleet.values import taken_late
from local.api_server import running
from local.errors import LocalError

ADDRESS = "127.0.0.1"
TIMEOUT = 30.0
"""Seconds, for whatever is asked."""


Labels = Mapping[str, str]


class _Series(TypedDict, total=False):
    metric: Required[dict[str, str]]
    value: tuple[float, str]
    values: list[tuple[float, str]]


class Start(Protocol):
    """How a command is run in a folder."""

    def __call__(self, folder: Path, /, *command: str) -> AbstractContextManager[Popen[bytes]]: ...


@contextlib.contextmanager
def prometheus(
    folder: Path, port: int, *flags: str, config: object = None, start: Start = running
) -> Generator[Popen[bytes]]:
    """In a `folder` that it makes, or goes on in."""
    folder.mkdir(exist_ok=True)
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config or {}))
    arguments = ("--config.file=prometheus.yaml", f"--web.listen-address={ADDRESS}:{port}", *flags)
    with start(folder, "prometheus", *arguments) as process:
        yield process


RECEIVING = "--web.enable-remote-write-receiver"


def taking_late(cluster: ClusterPlan) -> Mapping[str, object]:
    """A section of its configuration, by which it takes samples as late as the cluster's does."""
    return {"storage": {"tsdb": {"out_of_order_time_window": format_duration(taken_late(cluster))}}}


def remote_write(port: int, queue: Queue) -> Mapping[str, object]:
    """A sender's section of its configuration, for a receiver that asks for no key."""
    fields = {_NAMES.get(key, to_snake(key)): value for key, value in queue_config(queue).items()}
    return {"url": f"http://{ADDRESS}:{port}/api/v1/write", "queue_config": fields}


_NAMES = {"retryOnRateLimit": "retry_on_http_429"}
"""Of fields that the operator calls by another name than Prometheus."""


def head_series(port: int) -> int:
    """That are in its memory now; its own metric is as old as the last scrape of it."""
    with urllib.request.urlopen(f"http://{ADDRESS}:{port}/api/v1/status/tsdb", timeout=TIMEOUT) as answer:
        return json.load(answer)["data"]["headStats"]["numSeries"]


def held_series(port: int) -> int:
    """The same, and none while it does not answer."""
    with contextlib.suppress(OSError):
        return head_series(port)
    return 0


def metrics(port: int) -> list[str]:
    """What a program says of itself now, a line each."""
    with urllib.request.urlopen(f"http://{ADDRESS}:{port}/metrics", timeout=TIMEOUT) as answer:
        return answer.read().decode().splitlines()


def own(port: int, metric: str, **labels: str) -> float:
    """Its own metric now, over all series of it with these labels."""
    lines = metrics(port)
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    found = (line for line in lines if line.startswith((f"{metric} ", f"{metric}{{")))
    return sum(float(line.rpartition(" ")[2]) for line in found if all(each in line for each in wanted))


def instant(port: int, promql: str) -> list[tuple[Labels, float]]:
    """Each series with its value."""
    return [(each["metric"], float(each["value"][1])) for each in _asked(port, promql) if "value" in each]


def samples(port: int, selector: str) -> list[list[float]]:
    """Of each series its values, oldest first."""
    return [[float(value) for _, value in each["values"]] for each in _asked(port, selector) if "values" in each]


def _asked(port: int, promql: str) -> list[_Series]:
    query = urllib.parse.urlencode({"query": promql})
    with urllib.request.urlopen(f"http://{ADDRESS}:{port}/api/v1/query?{query}", timeout=TIMEOUT) as answer:
        return json.load(answer)["data"]["result"]


def wait_until(is_so: Callable[[], bool], what: str, within: float = TIMEOUT) -> None:
    """Raises LocalError after so many seconds."""
    deadline = time.monotonic() + within
    while not is_so():
        if time.monotonic() > deadline:
            raise LocalError(f"not within {within:g} s: {what}")
        time.sleep(0.2)
