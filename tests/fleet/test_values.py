from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fleet.plan import Plan
from fleet.render import rendered_values
from fleet.values import merge

KNOWN = Path(__file__).parents[2] / "fleet" / "data" / "kube-prometheus-stack-88.5.3.paths.txt"


def paths(values: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from paths(value, f"{path}.")
        else:
            yield path


@pytest.mark.parametrize("name", ["eu-1", "eu", "hub", "shop-1"])
def test_every_value_is_one_that_the_real_chart_has(dev: Plan, name: str) -> None:
    known = set(KNOWN.read_text().split())
    open_ended = tuple(path.removesuffix("*") for path in known if path.endswith(".*"))
    unknown = [
        path
        for path in paths(rendered_values(dev, dev.clusters[name]))
        if path not in known and not f"{path}.".startswith(open_ended)
    ]
    assert unknown == []


def test_the_page_has_the_last_word() -> None:
    assert merge({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}}


def test_an_edge_forces_its_name_and_sends_only_what_is_kept(dev: Plan) -> None:
    spec = rendered_values(dev, dev.clusters["shop-1"])["prometheus"]["prometheusSpec"]
    (write,) = spec["remoteWrite"]
    keep, force = write["writeRelabelConfigs"]
    assert keep["action"] == "keep"
    assert "http_requests_total" in keep["regex"].split("|")
    assert force == {"targetLabel": "cluster", "replacement": "shop-1"}


def test_no_operator_label_travels_up(dev: Plan) -> None:
    for cluster in dev.clusters.values():
        spec = rendered_values(dev, cluster)["prometheus"]["prometheusSpec"]
        assert spec["prometheusExternalLabelNameClear"] is True
        assert spec["replicaExternalLabelNameClear"] is True
        assert spec["externalLabels"] == cluster.external_labels
