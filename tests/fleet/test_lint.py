"""What the lint finds, and what it lets pass."""

from datetime import timedelta

import pytest

from fleet.lint import kind, problems

KINDS = {
    "requests_total": "counter",
    "duration_seconds": "histogram",
    "jobs": "counter",
    "memory_bytes": "gauge",
    "gone_total": "gauge",
}


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        ("sum by (cluster (x)", "does not parse: "),
        ("sum by (namespace) (memory_bytes)", "drops the label cluster"),
        ("rate(memory_bytes[5m])", "takes the rate of memory_bytes, which is a gauge"),
        ("sum by (cluster) (increase(memory_bytes[5m]) > 0)", "takes the increase of memory_bytes, which is a gauge"),
        ("rate(gone_total[5m])", "takes the rate of gone_total, which is a gauge"),
        ("delta(requests_total[5m])", "takes the delta of requests_total, which is a counter"),
        ("deriv(duration_seconds_count[5m])", "takes the deriv of duration_seconds_count, which is a counter"),
        ("rate(cluster:requests:rate5m[5m])", "takes the rate of cluster:requests:rate5m, which is recorded"),
        ('rate({__name__=~"cluster:requests:sum|x"}[5m])', "takes the rate of cluster:requests:sum, which is recorded"),
        ("rate(sum by (cluster) (requests_total)[5m:1m])", "takes the rate of what is computed already"),
        (
            "rate(requests_total[1m])",
            "takes the rate of requests_total over 1m, which is less than 4 scrape intervals: 2m",
        ),
        ("sum by (cluster) (avg by (cluster, node) (memory_bytes))", "sums up avg, an average"),
        ("sum by (cluster) (cluster:node_cpu_utilization:avg)", "sums up cluster:node_cpu_utilization:avg, an average"),
        ("sum by (cluster) (x or (region:cluster_load:avg > 0))", "sums up region:cluster_load:avg, an average"),
        ("sum by (cluster) (x or region:cluster_load:avg)", "sums up region:cluster_load:avg, an average"),
    ],
)
def test_a_mistake_is_found(expr: str, problem: str) -> None:
    found = [*problems(expr, timedelta(seconds=30), keeps=frozenset({"cluster"}), kinds=KINDS)]
    assert [each[: len(problem)] for each in found] == [problem]


@pytest.mark.parametrize(
    "expr",
    [
        "rate(requests_total[2m])",
        "rate(jobs_total[5m])",
        "rate(duration_seconds_bucket[5m])",
        "rate(duration_seconds[5m])",
        "delta(memory_bytes[5m])",
        "max_over_time(memory_bytes[30s])",
        "rate(of_somebody_else[5m])",
        "avg by (cluster) (cluster:node_cpu_utilization:avg)",
        "count by (cluster) (cluster:node_cpu_utilization:avg)",
        "sum by (cluster) (cluster:node_cpu_utilization:avg * on (cluster) group_left () nodes)",
        "max_over_time(sum by (cluster) (memory_bytes)[5m:1m])",
    ],
)
def test_what_is_right_is_let_pass(expr: str) -> None:
    assert [*problems(expr, timedelta(seconds=30), keeps=frozenset({"cluster"}), kinds=KINDS)] == []


def test_the_parts_of_a_histogram_are_counters_and_of_others_nothing_is_known() -> None:
    assert kind("duration_seconds_sum", KINDS) == "counter"
    assert kind("memory_bytes_sum", KINDS) is None
