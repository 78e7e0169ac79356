"""What the benchmark of previews counts, and that it can be run."""

import os
from collections.abc import Iterator

import pytest

from fleet.compiler import compile_page
from fleet.names import Tier
from fleet.page import read_page
from local.bench import SIZES, bench, clusters, cost_table, kind_of


@pytest.mark.parametrize("size", [3, *SIZES, 300])
def test_a_measured_page_is_a_fleet_of_that_size_with_every_tier_of_a_large_one(size: int) -> None:
    plan = compile_page(read_page({"clusters": clusters(size)}, {}))
    assert len(plan.clusters) == size
    assert {cluster.tier for cluster in plan.clusters.values()} >= {*Tier} - {Tier.EDGE}
    assert len([*plan.tier(Tier.EDGE)]) == size // 5


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("pulumi --non-interactive preview --stack bench-5 ", "engine"),
        ("/opt/bin/pulumi-language-python 127.0.0.1:1 ", "program"),
        ("python3 /opt/bin/pulumi-language-python-exec --monitor 127.0.0.1:1 ", "program"),
        ("/x/.venv/bin/python -P -m local.standins.kubernetes 127.0.0.1:1 ", "kubernetes"),
        ("/x/.pulumi/plugins/resource-kubernetes-v4.30.0/pulumi-resource-kubernetes 127.0.0.1:1 ", "kubernetes"),
        ("/x/.venv/bin/python -P -m local.standins.random 127.0.0.1:1 ", "random"),
        ("/x/.venv/bin/python -P -m local.standins.tls 127.0.0.1:1 ", "tls"),
        ("/x/.venv/bin/python -u -m pulumi.policy 127.0.0.1:1 . ", "policy pack"),
        ("sh /opt/bin/pulumi-analyzer-policy-python -virtualenv=../.venv ", "policy pack"),
        ("helm show chart oci://example.com/chart ", "other"),
    ],
)
def test_processes_are_told_apart_by_their_command_lines(command: str, kind: str) -> None:
    assert kind_of(command) == kind


@pytest.fixture
def _own_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.cluster
@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("_own_environment")
def test_a_preview_runs_one_kubernetes_plugin_for_each_cluster_and_one_for_all_passwords() -> None:
    costs = bench([3], runs=1)
    assert [cost.policies for cost in costs] == [False, True]
    for cost in costs:
        assert cost.peak.by_kind["kubernetes"].processes == 3
        assert cost.peak.by_kind["random"].processes == 1
        assert ("policy pack" in cost.peak.by_kind) is cost.policies
        assert cost.cpu > 0
        assert cost.peak.pss > sum(use.pss for kind, use in cost.peak.by_kind.items() if kind == "kubernetes")
    assert cost_table(costs).row_count == len(costs)
