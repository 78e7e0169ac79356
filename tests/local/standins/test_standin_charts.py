"""Charts and releases as inputs and outputs, without a cluster."""

from pathlib import Path

import pulumi
import pytest
from pulumi.provider.experimental.property_value import PropertyValue

from local.standins.host import StandInError
from local.standins.kubernetes.chart import checksum, local_chart, release_inputs
from local.standins.kubernetes.helm import manifest_objects, resource_names
from local.standins.properties import from_json

MANIFEST = """---
# Source: small/templates/a.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: words
  namespace: there
data:
  kind: Secret
  script: |
    ---not a document
    kind: Pod
---
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "served"}}
---
metadata: {name: "quoted", labels: {a: b}}
spec:
- kind: Deployment
kind: "Role"
apiVersion: rbac.authorization.k8s.io/v1
---
# nothing but a comment
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: another
"""


def test_resource_names_are_grouped_like_the_official_plugins() -> None:
    assert resource_names(manifest_objects(MANIFEST)) == {
        "ConfigMap/v1": ["another", "there/words"],
        "Role.rbac.authorization.k8s.io/rbac.authorization.k8s.io/v1": ["quoted"],
        "Service/v1": ["served"],
    }


def test_values_files_merge_in_order_under_the_values() -> None:
    files = [
        PropertyValue(pulumi.StringAsset("a: {x: 1, y: 1}\nb: [1, 2]")),
        PropertyValue(pulumi.StringAsset("a: {y: 2}\nb: [3]\nc: null")),
    ]
    given = {
        "chart": from_json("small"),
        "values": from_json({"a": {"z": 3}, "d": 4}),
        "atomic": from_json(value=False),
        "valueYamlFiles": PropertyValue(files),
    }
    assert release_inputs(given) == {
        "chart": "small",
        "values": {"a": {"x": 1, "y": 2, "z": 3}, "b": [3], "c": None, "d": 4},
    }


def test_a_checksum_sees_every_file_and_every_name(tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    (chart / "charts").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("version: 1.0.0")
    before = checksum(chart, own_files_only=False)
    fetched = checksum(chart, own_files_only=True)
    (chart / "charts" / "dependency.tgz").write_text("x")
    assert checksum(chart, own_files_only=False) != before
    assert checksum(chart, own_files_only=True) == fetched
    (chart / "Chart.yaml").rename(chart / "Chart.yml")
    assert checksum(chart, own_files_only=True) != fetched


def test_a_chart_is_a_path_only_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").touch()
    assert local_chart({"chart": str(tmp_path)}) == tmp_path
    assert local_chart({"chart": "oci://registry.invalid/small"}) is None
    assert local_chart({"chart": "repository/small"}) is None
    with pytest.raises(StandInError, match="there is no chart at"):
        local_chart({"chart": "./no-such-chart"})
