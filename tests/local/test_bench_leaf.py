"""What the benchmark of leaves measures, and that it can be run."""

import os
from datetime import timedelta

import promql_parser
import pytest

from fleet.promql import metric_names
from fleet.rules import cluster_rules
from local.bench_leaf import bench, report_tables
from local.made_up import made_up


def names(series: int) -> set[str]:
    return {line.split("{")[0] for lines in made_up(series).values() for line, _ in lines}


@pytest.mark.parametrize("series", [10_000, 50_000])
def test_a_made_up_cluster_has_hardly_more_series_than_were_asked_for(series: int) -> None:
    made = [line for lines in made_up(series).values() for line, _ in lines]
    assert series <= len(made) <= series + 200
    assert len(set(made)) == len(made)


def test_it_has_whatever_rules_about_workloads_read() -> None:
    of_workloads = [rule.expr for rule in cluster_rules() if rule.of == "workloads"]
    read = {name for expr in of_workloads for name in metric_names(promql_parser.parse(expr))}
    assert len(read) > len(of_workloads) / 2
    native = {"http_request_duration_seconds"}
    assert read - names(10_000) == native, "whose applications have classic histograms"


@pytest.mark.cluster
@pytest.mark.alone
@pytest.mark.long
def test_a_small_leaf_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])  # or it would stay as the benchmark leaves it
    report = bench(10_000, timedelta(seconds=40))
    assert 0 < report.federated.series < report.everything.series <= report.series
    assert 0 < report.federated.size < report.everything.size
    assert report.resident > 0
    (recording,) = [group for group in report.groups if group.name == "cluster-aggregations"]
    assert 0 < recording.median <= recording.longest < recording.interval
    assert [table.row_count for table in report_tables(report)] == [2, len(report.groups)]
