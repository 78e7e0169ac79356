"""What a leaf costs at a given size: a real Prometheus with a leaf's rules, which scrapes a made-up cluster."""

import contextlib
import gzip
import http.client
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from rich.table import Table

from fleet.alerts import alert_groups
from fleet.compiler import compile_page
from fleet.gateway import match_query
from fleet.page import read_page
from fleet.plan import Plan
from fleet.rules import rule_groups
from local import environment, toolchain
from local.api_server import free_ports
from local.made_up import made_up, serving
from local.markdown import machine, table
from local.progress import step
from local.prometheus import ADDRESS, TIMEOUT, held_series, instant, prometheus, wait_until
from local.usage import cpu_seconds, peak_memory

SERIES = 200_000
WATCHED = timedelta(minutes=6)
"""Until rates over five minutes are whole, and a minute of turns more."""

LEAF = "leaf-1"
_CLUSTERS = {"hub": "global", LEAF: "leaf"}
_TOOK = 'prometheus_rule_group_last_duration_seconds{job="kube-prometheus-stack-prometheus"}'
_ASKED_TIMES = 5


@dataclass(frozen=True)
class Answer:
    """Of `/federate`."""

    series: int
    size: int
    """Bytes."""
    compressed: int
    """Bytes as they travel."""
    seconds: float
    """Until it is there, at the median."""


@dataclass(frozen=True)
class Group:
    name: str
    interval: float
    """Seconds, as those that follow."""
    median: float
    longest: float


@dataclass(frozen=True)
class Report:
    series: int
    """In memory: those scraped and those recorded."""
    estimate: int
    """Series that the plan expects to go up."""
    federated: Answer
    everything: Answer
    """What a parent would get that asks for all."""
    groups: Sequence[Group]
    busy: float
    """Processors in use by Prometheus, over the time watched."""
    resident: int
    """Bytes of its memory at its peak."""
    load: float


def bench(series: int = SERIES, watched: timedelta = WATCHED) -> Report:
    """Raises LocalError."""
    environment.put_first(toolchain.ensure(("prometheus",)))
    plan = compile_page(
        read_page({"clusters": {"hub": {"tier": "global", "context": "hub"}, LEAF: {"tier": "leaf", "context": LEAF}}})
    )
    (edge,) = plan.federations_of(LEAF)
    (port,) = free_ports(1)
    with TemporaryDirectory() as name, serving(made_up(series)) as targets:
        folder = Path(name)
        config = leaf_config(plan, folder, targets, port)
        with prometheus(folder / "leaf", port, config=config) as process:
            with step(f"{series} series are scraped") as progress:
                wait_until(lambda: held_series(port) >= series, f"{series} series are there", within=180)
                progress.detail = f"{held_series(port)} in memory"
            # Its time is zero until a group has had its first turn, which Prometheus puts anywhere in its interval.
            with step("each group of rules has its first turn"):
                wait_until(lambda: _all_have_run(port), "each group has run", within=180)
            before, began = cpu_seconds(process.pid), time.monotonic()
            with step(f"{watched.total_seconds():.0f} s of rules"):
                time.sleep(watched.total_seconds())
            busy = (cpu_seconds(process.pid) - before) / (time.monotonic() - began)
            federated, everything = _answer(port, edge.matches), _answer(port, ['{__name__=~".+"}'])
            groups = _groups(port, watched)
            # At the end, as it grows while rules begin to record.
            return Report(
                held_series(port),
                edge.estimate,
                federated,
                everything,
                groups,
                busy,
                peak_memory(process.pid),
                os.getloadavg()[1],
            )


def leaf_config(plan: Plan, folder: Path, targets: Mapping[str, int], port: int) -> Mapping[str, object]:
    """Of a Prometheus at `port` with the leaf's rules, which lie in `folder`; it scrapes itself too."""
    leaf = plan.clusters[LEAF]
    groups = [each.spec() for each in (*rule_groups(leaf), *alert_groups(plan, leaf))]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    ports = {**targets, "kube-prometheus-stack-prometheus": port}
    return {
        "global": {
            "scrape_interval": f"{leaf.scrape_interval.total_seconds():.0f}s",
            "external_labels": {"cluster": LEAF, "region": leaf.region},
        },
        "rule_files": [str(folder / "rules.yaml")],
        "scrape_configs": [
            {
                "job_name": job,
                "honor_labels": True,
                "metrics_path": f"/{job}" if job in targets else "/metrics",
                "static_configs": [{"targets": [f"{ADDRESS}:{each}"], "labels": {"namespace": "monitoring"}}],
            }
            for job, each in ports.items()
        ],
    }


def _all_have_run(port: int) -> bool:
    took = instant(port, _TOOK)
    return bool(took) and all(seconds for _, seconds in took)


def _answer(port: int, matches: Sequence[str]) -> Answer:
    took: list[float] = []
    compressed = b""
    with contextlib.closing(http.client.HTTPConnection(ADDRESS, port, timeout=TIMEOUT)) as connection:
        for _ in range(_ASKED_TIMES):
            started = time.perf_counter()
            connection.request("GET", f"/federate?{match_query(matches)}", headers={"Accept-Encoding": "gzip"})
            compressed = connection.getresponse().read()
            took.append(time.perf_counter() - started)
    text = gzip.decompress(compressed)
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    return Answer(series, len(text), len(compressed), statistics.median(took))


def _groups(port: int, watched: timedelta) -> list[Group]:
    window = f"[{watched.total_seconds():.0f}s:15s]"

    def by_group(promql: str) -> dict[str, float]:
        return {labels["rule_group"].rpartition(";")[2]: value for labels, value in instant(port, promql)}

    medians = by_group(f"quantile_over_time(0.5, {_TOOK}{window})")
    longest = by_group(f"max_over_time({_TOOK}{window})")
    intervals = by_group(_TOOK.replace("last_duration", "interval"))
    return [Group(name, intervals[name], medians[name], longest[name]) for name in sorted(medians)]


def report_tables(report: Report) -> list[Table]:
    """Printed as Markdown, which is what docs/scale.md holds."""
    answers = {"everything": report.everything, f"{LEAF}'s edge": report.federated}
    return [
        table(
            f"{machine(report.load)}\n"
            f"a leaf of {report.series} series: {report.busy:.2f} processors, {report.resident / 2**20:.0f} MiB;"
            f" {report.estimate} are expected to go up",
            ["`/federate` of", "series", "of all", "KiB", "of all", "KiB with gzip", "of all", "seconds"],
            [
                [
                    name,
                    str(each.series),
                    f"{each.series / report.everything.series:.2%}",
                    f"{each.size / 1024:.0f}",
                    f"{each.size / report.everything.size:.2%}",
                    f"{each.compressed / 1024:.0f}",
                    f"{each.compressed / report.everything.compressed:.2%}",
                    f"{each.seconds:.2f}",
                ]
                for name, each in answers.items()
            ],
        ),
        table(
            "time that groups of rules take",
            ["group", "every", "median ms", "longest ms", "longest, of its interval"],
            [
                [
                    each.name,
                    f"{each.interval:.0f} s",
                    f"{each.median * 1000:.1f}",
                    f"{each.longest * 1000:.1f}",
                    f"{each.longest / each.interval:.2%}",
                ]
                for each in report.groups
            ],
        ),
    ]
