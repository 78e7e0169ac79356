"""The small chart renders what the real one renders, and refuses what it cannot.

FLEET_REAL_CHART, the folder of an unpacked real chart, adds the tests that the recorded facts still are its own.
"""

import os
from pathlib import Path
from typing import cast

import chart_reference as reference
import pytest
import yaml
from chart_reference import TIERS, Json, Object

from local.chart_assembly import assemble
from local.errors import LocalError

CHART = Path(__file__).parents[2] / "local" / "chart"
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {name}
"""
# The names of the operator's.
CRDS = [
    f"{kind}.monitoring.coreos.com"
    for kind in (
        *("alertmanagerconfigs", "alertmanagers", "podmonitors", "probes", "prometheusagents", "prometheuses"),
        *("prometheusrules", "scrapeconfigs", "servicemonitors", "thanosrulers"),
    )
]
real_chart = pytest.mark.skipif("FLEET_REAL_CHART" not in os.environ, reason="FLEET_REAL_CHART names no unpacked chart")

# Real defaults that mean nothing to what the small chart makes.
WITHOUT_EFFECT = (
    # The chart refuses to render unless these are off.
    *("coreDns.", "defaultRules.", "prometheusOperator.admissionWebhooks.", "prometheusOperator.tls."),
    *("kubeControllerManager.", "kubeEtcd.", "kubeProxy.", "kubeScheduler."),
    "kube-state-metrics.prometheus.monitor.metrics.",  # its own metrics, under selfMonitor alone
    "kube-state-metrics.rbac.customResourceState.",
    "nodeExporter.operatingSystems.",  # which default rules and dashboards there are
    "prometheus-node-exporter.permissionInitContainer.",
    "alertmanager.service.externalTrafficPolicy",  # for types that are refused
    "alertmanager.service.nodePort",
    "alertmanager.service.sessionAffinityConfig.",  # with sessionAffinity ClientIP alone
    "prometheus.service.sessionAffinityConfig.",  # with sessionAffinity ClientIP alone
    "prometheusOperator.service.",  # its other keys are for types that are refused
)


@pytest.fixture(scope="module")
def crds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crds")
    for name in CRDS:
        (folder / f"{name}.yaml").write_text(CRD.format(name=name))
    return folder


@pytest.fixture(scope="module")
def chart(crds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("assembled") / "chart"
    assemble(CHART, crds, out)
    return out


def with_value(path: str, value: Json) -> Object:
    """The leaf's values and one more."""
    *above, last = path.split("/")
    values = cast("Object", yaml.safe_load(yaml.safe_dump(TIERS["leaf"])))
    place = values
    for key in above:
        place = cast("Object", place.setdefault(key, {}))
    place[last] = value
    return values


@pytest.mark.parametrize("tier", TIERS)
def test_renders_the_objects_that_the_real_chart_renders(chart: Path, tier: str) -> None:
    recorded = cast("dict[str, dict[str, Object]]", yaml.safe_load(reference.OBJECTS.read_text()))

    assert reference.facts(reference.render(chart, TIERS[tier])) == recorded[tier]


def test_a_key_that_the_real_chart_would_write_twice_fails_the_render(chart: Path) -> None:
    twice = with_value("prometheus/prometheusSpec/additionalConfig", {"tsdb": {"outOfOrderTimeWindow": "1h"}})
    refused = reference.helm_template(chart, twice)

    assert refused.returncode != 0
    assert "would write tsdb twice; set prometheusSpec.tsdb to null" in refused.stderr


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("grafana/enabled", True),
        ("alertmanager/service/type", "NodePort"),
        ("kubeEtcd/enabled", True),
        ("prometheusOperator/admissionWebhooks/enabled", True),
        ("prometheusOperator/service/type", "NodePort"),
        ("prometheus/ingress/enabled", True),
        ("prometheus/networkPolicy/enabled", True),
        ("prometheus/prometheusSpec/thanos/secretProviderClass", {"provider": "gcp"}),
        ("prometheus/prometheusSpec/thanos/objectStorageConfig", {"secret": {"type": "S3"}}),
        ("prometheus/prometheusSpec/enforcedNamespaceLabel", "namespace"),
        ("prometheus/prometheusSpec/tsdb/unheardOf", "1h"),
        ("prometheus-node-exporter/prometheus/podMonitor/enabled", True),
        ("crds/upgradeJob/serviceAccount/name", "own"),
        ("unheardOf", 1),
    ],
)
def test_a_value_without_effect_here_fails_the_render_and_is_named(chart: Path, path: str, value: Json) -> None:
    refused = reference.helm_template(chart, with_value(path, value))

    assert refused.returncode != 0
    assert f"the small chart has no {path.replace('/', '.')}" in refused.stderr
    assert "set CHART to the real one" in refused.stderr


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("prometheus/ingress", {"enabled": False, "hosts": ["prometheus.invalid"]}),
        ("alertmanager/alertmanagerSpec", {"replicas": 3}),
        ("prometheus/prometheusSpec/additionalAlertManagerConfigs", []),
        ("prometheusOperator/env/GOMEMLIMIT", "100MiB"),
        ("prometheus-node-exporter/nodeSelector/disk", "ssd"),
    ],
)
def test_a_value_that_changes_nothing_in_the_real_chart_either_is_taken(chart: Path, path: str, value: Json) -> None:
    rendered = reference.helm_template(chart, with_value(path, value))

    assert rendered.returncode == 0, rendered.stderr


def test_the_chart_defaults_are_the_real_ones_so_what_is_missing_must_be_switched_off(chart: Path) -> None:
    refused = reference.helm_template(chart, {})

    for part in ("grafana.enabled=true", "defaultRules.create=true", "prometheusOperator.tls.enabled=true"):
        assert part in refused.stderr


def test_every_value_of_the_small_chart_is_one_of_the_real_chart() -> None:
    real = {path.removesuffix(".*") for path in reference.PATHS.read_text().splitlines()}

    assert {path.removesuffix(".*") for path in reference.paths(CHART)} - real == set()


@pytest.mark.parametrize("enabled", [True, False])
def test_crds_are_there_as_crds_enabled_says(chart: Path, *, enabled: bool) -> None:
    rendered = reference.helm_template(chart, with_value("crds/enabled", enabled), "--include-crds")

    assert ("kind: CustomResourceDefinition" in rendered.stdout) is enabled, rendered.stderr


def test_the_chart_without_its_crds_says_where_the_complete_one_is() -> None:
    refused = reference.helm_template(CHART, TIERS["leaf"])

    assert "`make demo` assembles the complete one in .local/chart" in refused.stderr


def test_assembling_again_changes_nothing(crds: Path, tmp_path: Path) -> None:
    out = tmp_path / "chart"

    assert assemble(CHART, crds, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert not assemble(CHART, crds, out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_assembling_mends_a_changed_chart_and_takes_leftovers_away(crds: Path, tmp_path: Path) -> None:
    out = tmp_path / "chart"
    assemble(CHART, crds, out)
    (out / "templates" / "stray.yaml").write_text("kind: Stray")
    (out / "Chart.yaml").unlink()
    packed = out / "charts" / "crds" / "files" / "crds.bz2"
    packed.write_bytes(packed.read_bytes()[:-1])
    for killed in ("chart.new", "chart.old"):
        (tmp_path / killed / "half").mkdir(parents=True)

    assert assemble(CHART, crds, out)
    assert not assemble(CHART, crds, out)
    assert [path.name for path in tmp_path.iterdir()] == ["chart"]


def test_a_module_without_crds_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=f"{tmp_path} holds no CRDs.*go clean -modcache"):
        assemble(CHART, tmp_path, tmp_path / "chart")


@real_chart
def test_the_recorded_facts_are_the_real_charts() -> None:
    real = Path(os.environ["FLEET_REAL_CHART"])

    assert reference.recorded_objects(real) == reference.OBJECTS.read_text()
    assert reference.recorded_pods(real) == reference.PODS.read_text()
    assert reference.recorded_grafana(real) == reference.GRAFANA_OBJECTS.read_text()
    assert reference.recorded_paths(real) == reference.PATHS.read_text()


@real_chart
def test_no_default_of_the_real_chart_that_makes_a_difference_is_unknown() -> None:
    """A value that is unknown but empty is taken for switched off, which is wrong where the real default is not."""
    known = dict(reference.leaves(reference.chart_values(CHART)))
    real = dict(reference.leaves(reference.chart_values(Path(os.environ["FLEET_REAL_CHART"]))))
    off = [path.removesuffix("enabled") for path, value in real.items() if path.endswith(".enabled") and not value]

    effective = {path for path, value in real.items() if value and not path.startswith((*WITHOUT_EFFECT, *off))}
    assert effective - known.keys() == set()
    assert {path: known[path] for path in effective} == {path: real[path] for path in effective}
