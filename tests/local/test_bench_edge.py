"""What the benchmark of edges measures, and that it can be run."""

import os
from datetime import timedelta

import pytest

from local.bench_edge import bench, report_table


@pytest.mark.cluster
@pytest.mark.alone
@pytest.mark.long
def test_a_small_edge_is_measured_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])  # or it would stay as the benchmark leaves it
    report = bench(1_000, timedelta(seconds=10), timedelta(seconds=1))
    assert report.missing == 0
    assert report.rate > 1_000 / 2
    assert report.resident > 0
    assert report.log > 0
    assert 0 < report.caught_up < report.cut_off.total_seconds()
    assert report_table(report).row_count > 0
