"""Every expression that the project ships: it parses, can do its work, and names what is there."""

from fleet.lint import problems
from fleet.promql import Selector
from tests.expressions import (
    alert_labels,
    branches,
    every,
    of_documents,
    plan,
    recorded,
)
from tests.metrics import KINDS

PLAN = plan()
EXPRESSIONS = every(PLAN)

NOT_ON_THE_LIVE_FLEET = {
    "certmanager_certificate_expiration_timestamp_seconds": "the local fleet has no cert-manager",
    "kubelet_volume_stats_available_bytes": "its pods have no persistent volumes",
    "kubelet_volume_stats_capacity_bytes": "likewise",
    "ALERTS": "Prometheus's own, while an alert is pending or fires",
    "prometheus_remote_storage_histograms_dropped_total": "has a series for a reason once there was one",
    "thanos_compact_halted": "stack dev has no Thanos; tests/e2e/test_thanos_live.py sees these on one",
    "thanos_compact_group_compactions_failures_total": "likewise",
    "thanos_objstore_bucket_last_successful_upload_time": "likewise",
    "thanos_objstore_bucket_operation_failures_total": "likewise",
    "http_request_duration_seconds": "a native histogram; the applications there have classic ones",
}

WITHOUT_A_CLUSTER = {
    "Watchdog": "it is of whoever evaluates it",
    "NotificationsFail": "likewise, of its Alertmanager",
    "OperatorReconcileErrors": "likewise, of its operator",
    "OperatorRejectsResources": "likewise",
    "SaturationInSeveralClusters": "it is of several, which its description counts",
    "ServiceErrorsInSeveralClusters": "likewise",
}

ABOUT_WHOM = frozenset({"cluster", "region", "job", "instance"})


def test_each_can_do_its_work() -> None:
    interval = PLAN.clusters["hub"].scrape_interval
    found = {one.where: [*problems(one.text, interval, keeps=one.keeps, kinds=KINDS)] for one in EXPRESSIONS}
    assert {where: wrong for where, wrong in found.items() if wrong} == {}


def test_each_names_only_metrics_that_exist() -> None:
    known = {*KINDS, *recorded(PLAN), *NOT_ON_THE_LIVE_FLEET}
    asked = {branch: one.where for one in EXPRESSIONS for branch in branches(one.text)}
    unknown = {
        where: branch
        for branch, where in asked.items()
        if not Selector.parse(f'{{__name__=~"{branch}"}}').selected(known)
    }
    assert unknown == {}


def test_every_exception_is_one() -> None:
    asked = {branch for found in EXPRESSIONS for branch in branches(found.text)}
    assert set(NOT_ON_THE_LIVE_FLEET) <= asked
    assert set(NOT_ON_THE_LIVE_FLEET) & set(KINDS) == set()


def test_every_alert_says_about_whom_it_is() -> None:
    silent = {
        alert for alert, kept, static in alert_labels(PLAN) if kept is not None and not (kept | static) & ABOUT_WHOM
    }
    assert silent == set(WITHOUT_A_CLUSTER)


def test_documents_have_expressions_that_are_checked() -> None:
    assert len([*of_documents()]) > 20
