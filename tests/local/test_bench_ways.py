"""What the benchmark of the ways up measures, and that it can be run."""

import os
from datetime import timedelta

import pytest

from local.bench_ways import bench, report_table


@pytest.mark.cluster
@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(600)
def test_each_way_is_measured_and_aggregates_are_the_smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])  # or it would stay as the benchmark leaves it
    costs = bench(1_000, timedelta(seconds=6), timedelta(seconds=1))
    whole, aggregates, *written, sidecar, sidecar_aggregates = costs
    assert len(written) == 2
    assert sidecar_aggregates.series < sidecar.series / 10
    assert sidecar_aggregates.wire < sidecar.wire / 2
    assert aggregates.series < whole.series / 10
    assert aggregates.wire < whole.wire / 10
    for each in costs:
        assert each.series > 0
        assert 0 < each.median <= each.late
        assert each.receiver > 0
        assert each.sender >= 0
    assert report_table(costs, 1.0).row_count == len(costs)
