"""What the benchmark of gateways measures, and that it can be run."""

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from fleet.gateway import container
from local.bench_gateway import SAMPLES, SENDERS, Effort, bench, report_tables
from local.cgroups import limited
from local.limited import GATEWAY_CPU, GATEWAY_MEMORY

TINY = Effort(rounds=2, requests=5, writes=2, flood=timedelta(seconds=5), attackers=20, sizes=(100,))


def test_the_measured_gateway_has_the_limits_of_its_pod() -> None:
    limits = {"cpu": f"{GATEWAY_CPU * 1000:.0f}m", "memory": f"{GATEWAY_MEMORY // 2**20}Mi"}
    resources = container(None, None)["resources"]
    assert isinstance(resources, dict)
    assert resources["limits"] == limits


@pytest.mark.cluster
def test_a_process_in_a_limited_cgroup_gets_no_more_processor_time(tmp_path: Path) -> None:
    with limited(tmp_path, 0.2, 2**25) as members:
        joins = " && ".join(f"echo $$ > {member}" for member in members)
        spin = f"{joins} && exec timeout 2 sh -c 'while :; do :; done'"
        before = os.times().children_user
        subprocess.run(["sh", "-c", spin], check=False)
        assert 0 < os.times().children_user - before < 1
    assert not any(member.exists() for member in members)


@pytest.mark.cluster
@pytest.mark.alone
@pytest.mark.long
def test_both_sides_are_measured_and_wrong_passwords_cost_the_right_callers_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])  # or it would stay as the benchmark leaves it
    report = bench(TINY)
    (federation,) = report.federation
    assert federation.compressed > 100
    assert 0 < federation.direct.median <= federation.direct.p99
    for side in (report.direct, report.behind):
        assert side.samples == TINY.rounds * TINY.writes * SENDERS * SAMPLES
        assert side.cpu["prometheus"] > 0
    assert len(report.write_ratios) == TINY.rounds
    assert report.flood.during.done > 0
    assert report.flood.refused / report.flood.seconds > 300, "with a bcrypt each, half a processor answers 100"
    assert report.flood.resident < GATEWAY_MEMORY
    assert [table.row_count for table in report_tables(report)] == [1, 2, 2]
