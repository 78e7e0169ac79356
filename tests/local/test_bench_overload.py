"""What the benchmark of overload measures, and that it can be run."""

import os
from datetime import timedelta

import pytest

from local.bench_overload import bench, report_table


@pytest.mark.cluster
@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_short_run_is_measured_and_costs_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])  # or it would stay as the benchmark leaves it
    report = bench(3, 1_000, timedelta(seconds=2), timedelta(seconds=20))
    assert report.missing == 0
    assert report.sent > 1.5 * report.expected
    assert sum(report.answers.values()) > 0
    assert report_table(report).row_count > 0
