"""The Alertmanager's configuration, judged by Alertmanager itself."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fleet.alertmanager import url_of, urls_in_config
from fleet.compiler import compile_page
from fleet.errors import FleetError
from fleet.page import read_page
from fleet.plan import Plan
from fleet.render import render, rendered_values

CLUSTERS = {"hub": {"tier": "global", "context": "hub"}, "eu-1": {"tier": "leaf", "context": "eu-1"}}
ROUTES = [
    {"matchers": ['team=~"shop|payments"', 'severity="critical"'], "webhook": {"secret": "team-shop"}},
    {"matchers": ['team="nobody"']},
]
HEARD = {"webhook": {"secret": "alert-webhook"}, "deadMansSwitch": {"secret": "pulse", "key": "address"}}


def compiled(alerting: dict[str, object]) -> Plan:
    return compile_page(read_page({"alerting": alerting, "clusters": CLUSTERS}, {}))


def values(alerting: dict[str, object], cluster: str = "hub") -> Any:
    plan = compiled(alerting)
    return rendered_values(plan, plan.clusters[cluster])["alertmanager"]


def written(alerting: dict[str, object], folder: Path) -> Path:
    """As the chart writes it, with its own defaults below."""
    defaults = {"global": {"resolve_timeout": "5m"}, "templates": ["/etc/alertmanager/config/*.tmpl"]}
    config = defaults | json.loads(json.dumps(values(alerting)["config"]))
    path = folder / "alertmanager.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    "alerting",
    [{}, HEARD, {"webhook": HEARD["webhook"]}, {"routes": ROUTES}, {**HEARD, "routes": ROUTES}],
    ids=["nobody", "both", "webhook", "routes", "all"],
)
def test_amtool_accepts_the_configuration(alerting: dict[str, object], tmp_path: Path) -> None:
    done = subprocess.run(
        ["amtool", "check-config", str(written(alerting, tmp_path))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("alerting", "labels", "receiver"),
    [
        ({}, "alertname=ClusterSilent severity=critical cluster=eu-1", "null"),
        ({}, "alertname=Watchdog severity=none", "null"),
        (HEARD, "alertname=ClusterSilent severity=critical cluster=eu-1", "webhook"),
        (HEARD, "alertname=FederationSampleLimit severity=warning", "webhook"),
        (HEARD, "alertname=Somebodys severity=page", "webhook"),
        (HEARD, "alertname=ClusterInMaintenance severity=none cluster=eu-1", "null"),
        (HEARD, "alertname=Watchdog severity=none", "dead-mans-switch"),
        ({"webhook": HEARD["webhook"]}, "alertname=Watchdog severity=none", "null"),
        # Or a cluster that still speaks would hide that the global one does not.
        (HEARD, "alertname=Watchdog severity=none cluster=eu-1 region=eu", "null"),
        (HEARD, "alertname=Watchdog severity=none region=eu", "null"),
        ({**HEARD, "routes": ROUTES}, "alertname=Slow severity=critical team=payments cluster=eu-1", "route-0"),
        ({**HEARD, "routes": ROUTES}, "alertname=Slow severity=warning team=payments", "webhook"),
        ({**HEARD, "routes": ROUTES}, "alertname=Slow severity=critical team=shops", "webhook"),
        ({**HEARD, "routes": ROUTES}, "alertname=Slow severity=critical team=nobody", "null"),
        ({**HEARD, "routes": ROUTES}, "alertname=Watchdog severity=none team=nobody", "dead-mans-switch"),
    ],
)
def test_an_alert_goes_to_whom_the_page_says(
    alerting: dict[str, object], labels: str, receiver: str, tmp_path: Path
) -> None:
    command = ["amtool", "config", "routes", "test", f"--config.file={written(alerting, tmp_path)}"]
    done = subprocess.run([*command, *labels.split()], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == receiver, done.stderr


def test_a_url_is_read_from_a_secret_and_stands_nowhere_else() -> None:
    chart = values(HEARD)
    assert chart["alertmanagerSpec"]["secrets"] == ["alert-webhook", "pulse"]
    urls = [hook for each in chart["config"]["receivers"] for hook in each.get("webhook_configs", [])]
    assert urls == [
        {"url_file": "/etc/alertmanager/secrets/alert-webhook/url", "send_resolved": True},
        {"url_file": "/etc/alertmanager/secrets/pulse/address", "send_resolved": False},
    ]


def test_a_url_in_the_config_is_read_from_the_programs_own_secret() -> None:
    in_config = {
        "webhook": {"config": "people"},
        "deadMansSwitch": {"config": "pulse"},
        "routes": [{"matchers": ['team="shop"'], "webhook": {"config": "shop"}}],
    }
    chart = values(in_config)
    assert chart["alertmanagerSpec"]["secrets"] == ["alert-urls"]
    files = [hook["url_file"] for each in chart["config"]["receivers"] for hook in each.get("webhook_configs", [])]
    folder = "/etc/alertmanager/secrets/alert-urls"
    assert files == [f"{folder}/webhook", f"{folder}/dead-mans-switch", f"{folder}/route-0"]
    plan = compiled(in_config)
    secret = yaml.safe_load(render(plan)[Path("hub/secret-alert-urls.yaml")])
    assert secret["stringData"].keys() == {Path(file).name for file in files}
    assert urls_in_config(plan.clusters["hub"].alertmanager) == {
        "webhook": "people",
        "dead-mans-switch": "pulse",
        "route-0": "shop",
    }


@pytest.mark.parametrize(
    "text", ["", "hooks.example.com/T0", "https://", "https://hooks.example.com/T0\n", "ftp://x/y"]
)
def test_what_is_no_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(FleetError) as refused:
        url_of("people", text)
    assert "prometheus-fleet:people: does not hold a URL" in str(refused.value)
    assert not text.strip() or text.strip() not in str(refused.value).replace("https://alerts.example.com/hook", "")


def test_the_secret_of_every_route_is_mounted() -> None:
    chart = values({**HEARD, "routes": ROUTES})
    assert chart["alertmanagerSpec"]["secrets"] == ["alert-webhook", "pulse", "team-shop"]


def test_silences_outlive_the_pod_where_the_page_gives_them_a_volume() -> None:
    kept = values({"storage": {"size": "1Gi", "class": "fast"}})["alertmanagerSpec"]
    claim = kept["storage"]["volumeClaimTemplate"]["spec"]
    assert (claim["resources"], claim["storageClassName"]) == ({"requests": {"storage": "1Gi"}}, "fast")
    assert kept["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert "storage" not in values({})["alertmanagerSpec"]


def test_one_secret_for_both_is_mounted_once() -> None:
    chart = values({"webhook": {"secret": "urls"}, "deadMansSwitch": {"secret": "urls", "key": "pulse"}})
    assert chart["alertmanagerSpec"]["secrets"] == ["urls"]


def test_alertmanager_runs_at_the_global_tier_alone_where_the_page_says_no_more() -> None:
    assert values({})["enabled"] is True
    assert values({}, "eu-1") == {"enabled": False}


def test_a_clusters_own_calls_whom_it_names_and_ends_no_dead_mans_switch() -> None:
    own = {"webhook": {"secret": "people-of-eu-1"}, "routes": ROUTES, "storage": {"size": "1Gi"}}
    clusters = {**CLUSTERS, "eu-1": {**CLUSTERS["eu-1"], "alertmanager": own}}
    plan = compile_page(read_page({"alerting": HEARD, "clusters": clusters}, {}))
    chart: Any = rendered_values(plan, plan.clusters["eu-1"])["alertmanager"]
    assert chart["enabled"] is True
    assert chart["alertmanagerSpec"]["secrets"] == ["people-of-eu-1", "team-shop"]
    assert "storage" in chart["alertmanagerSpec"]
    assert {each["name"] for each in chart["config"]["receivers"]} == {"null", "webhook", "route-0"}


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[httpx.Client]:
    """A running one, as the page without any receiver has it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    flags = [f"--config.file={written({}, tmp_path)}", f"--storage.path={tmp_path / 'data'}"]
    flags += [f"--web.listen-address={address}", "--cluster.listen-address="]
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(["alertmanager", *flags], stdout=log, stderr=subprocess.STDOUT)
    transport = httpx.HTTPTransport(retries=10)
    try:
        with httpx.Client(base_url=f"http://{address}/api/v2", transport=transport) as client:
            yield client
    finally:
        running.terminate()
        running.wait()


ALERTS = {
    "leaf in maintenance": {"alertname": "ClusterSilent", "cluster": "eu-1", "region": "eu", "severity": "critical"},
    "another leaf of its region": {"alertname": "ClusterSilent", "cluster": "eu-2", "region": "eu"},
    "the way to its region": {"alertname": "FederationTargetDown", "job": "federate-eu", "region": "eu"},
    "leaf of a region in maintenance": {"alertname": "ClusterSilent", "cluster": "us-1", "region": "us"},
    "the way to a region in maintenance": {"alertname": "FederationTargetDown", "job": "federate-us", "region": "us"},
    "of no cluster": {"alertname": "Watchdog", "severity": "none"},
    "of an edge": {"alertname": "ClusterSilent", "cluster": "shop-1"},
    "maintenance of a leaf": {"alertname": "ClusterInMaintenance", "cluster": "eu-1", "region": "eu"},
    "maintenance of a region": {"alertname": "ClusterInMaintenance", "region": "us"},
    "maintenance of a leaf of that region": {"alertname": "ClusterInMaintenance", "cluster": "us-2", "region": "us"},
}


def muted(alertmanager: httpx.Client, alerts: Mapping[str, Mapping[str, str]], expected: set[str]) -> set[str]:
    """Which of them Alertmanager mutes, once that is what is expected or half a minute is over."""
    alertmanager.post("/alerts", json=[{"labels": each} for each in alerts.values()]).raise_for_status()

    def now() -> set[str]:
        states = [(each["labels"], each["status"]["inhibitedBy"]) for each in alertmanager.get("/alerts").json()]
        assert len(states) == len(alerts)
        return {name for name, labels in alerts.items() if (labels, []) not in states}

    deadline = time.monotonic() + 30
    while now() != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    return now()


def test_maintenance_mutes_its_own_cluster_or_region_and_lets_the_rest_go_on(alertmanager: httpx.Client) -> None:
    expected = {"leaf in maintenance", "leaf of a region in maintenance", "the way to a region in maintenance"}
    assert muted(alertmanager, ALERTS, expected) == expected


GONE = {
    "a leaf is gone": {"alertname": "ClusterSilent", "cluster": "eu-1", "region": "eu", "level": "global"},
    "what follows from it": {"alertname": "RemoteWriteLag", "cluster": "eu-1", "region": "eu", "level": "global"},
    "the way to it": {"alertname": "FederationTargetDown", "cluster": "eu-1", "region": "eu", "level": "regional"},
    "what it says itself": {"alertname": "DiskFull", "cluster": "eu-1", "region": "eu", "level": "cluster"},
    "another leaf": {"alertname": "RemoteWriteLag", "cluster": "eu-2", "region": "eu", "level": "global"},
    "its maintenance": {"alertname": "ClusterInMaintenance", "cluster": "eu-9", "region": "eu"},
    "the way to a region": {"alertname": "FederationTargetDown", "region": "us", "level": "global"},
    "what follows of the region": {"alertname": "GatewayRefuses", "region": "us", "level": "global"},
    "what the region says itself": {"alertname": "DiskFull", "region": "us", "level": "regional"},
    "a leaf of that region": {"alertname": "DiskFull", "cluster": "us-1", "region": "us", "level": "cluster"},
    "of the global cluster": {"alertname": "GatewayRefuses", "level": "global"},
}


def test_of_a_cluster_that_is_gone_only_that_is_heard_and_what_it_says_itself(alertmanager: httpx.Client) -> None:
    expected = {"what follows from it", "what follows of the region"}
    assert muted(alertmanager, GONE, expected) == expected


DEGREES = {
    "critical": {"alertname": "CertificateExpires", "cluster": "eu-1", "name": "a", "severity": "critical"},
    "its warning": {"alertname": "CertificateExpires", "cluster": "eu-1", "name": "a", "severity": "warning"},
    "of another name": {"alertname": "CertificateExpires", "cluster": "eu-1", "name": "b", "severity": "warning"},
    "of another cluster": {"alertname": "CertificateExpires", "cluster": "eu-2", "name": "a", "severity": "warning"},
    "another alert": {"alertname": "GatewayRefuses", "cluster": "eu-1", "name": "a", "severity": "warning"},
}


def test_a_warning_is_muted_by_the_critical_form_of_the_very_same_alert(alertmanager: httpx.Client) -> None:
    assert muted(alertmanager, DEGREES, {"its warning"}) == {"its warning"}
