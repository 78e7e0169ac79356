import pytest

from fleet.errors import FleetError
from fleet.page import read_page

CLUSTERS = {"hub": {"tier": "global"}, "eu-1": {"tier": "leaf"}}


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (None, "prometheus-fleet:fleet: there is no fleet on this page"),
        ({}, "clusters: field required"),
        ({"clusters": {}}, "clusters: dictionary should have at least 1 item"),
        (
            {"clusters": {"hub": {"teir": "global", "tier": "global"}}},
            "clusters.hub.teir: unknown key; did you mean tier?",
        ),
        (
            {"clusters": {"hub": {"tier": "top"}}},
            "clusters.hub.tier: input should be 'leaf', 'regional', 'global' or 'edge'",
        ),
        (
            {"clusters": {"eu": {"tier": "regional"}}},
            "clusters.eu: a regional cluster needs the region whose leaves it federates",
        ),
        (
            {"clusters": {"shop": {"tier": "edge", "gateway": {}}}},
            "clusters.shop: an edge has no gateway: it writes upward and is never called",
        ),
        (
            {"clusters": CLUSTERS, "gateway": {"type": "NodePort"}},
            "gateway: type NodePort needs host: an address of one of the cluster's nodes",
        ),
        (
            {"clusters": CLUSTERS, "gateway": {"type": "NodePort", "host": "h", "port": 80}},
            "gateway: type NodePort needs a port from 30000 to 32767, not 80",
        ),
        (
            {"clusters": CLUSTERS, "intervals": {"scrape": "fast"}},
            "intervals.scrape: 'fast' is not a duration such as 30s, 1m30s or 1h",
        ),
        (
            {"clusters": CLUSTERS, "intervals": {"federation": {"global": "0s"}}},
            "intervals.federation.global: a duration must be longer than 0s",
        ),
        (
            {"clusters": CLUSTERS, "chart": {"source": "oci://registry.example/chart"}},
            "chart: a chart from a registry needs an exact version",
        ),
        (
            {"clusters": {"hub": {"tier": "global", "kubeconfig": "a", "kubeconfigSecret": "b"}}},
            "clusters.hub: kubeconfig and kubeconfigSecret exclude each other",
        ),
    ],
)
def test_a_wrong_page_is_refused_with_the_field_and_the_reason(page: object, message: str) -> None:
    with pytest.raises(FleetError) as refused:
        read_page(page, {})
    assert message in str(refused.value).splitlines()[0]


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(FleetError) as refused:
        read_page({"clusters": {"a": {"tier": "x"}, "b": {"tier": "y"}}}, {})
    assert [problem.path for problem in refused.value.problems] == ["clusters.a.tier", "clusters.b.tier"]


def test_the_chart_is_pinned_by_default() -> None:
    chart = read_page({"clusters": CLUSTERS}, {}).chart
    assert chart.source.startswith("oci://")
    assert chart.version


def test_the_environment_takes_the_place_of_the_chart() -> None:
    environ = {"FLEET_CHART": "oci://mirror.example/kube-prometheus-stack", "FLEET_CHART_VERSION": "1.2.3"}
    chart = read_page({"clusters": CLUSTERS, "chart": {"source": "./chart"}}, environ).chart
    assert (chart.source, chart.version) == tuple(environ.values())
