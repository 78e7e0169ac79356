from collections.abc import Mapping

import pytest
from fleet_policies.honor_labels import validate, violations
from pulumi_policy import ResourceValidationArgs
from pulumi_policy.proxy import UNKNOWN_BOOLEAN_VALUE, UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy


def release(job: Mapping[str, object], **spec: object) -> Mapping[str, object]:
    """As the engine gives it: nested proxies that are neither dict nor list."""
    prometheus = {"prometheusSpec": {"additionalScrapeConfigs": [job], **spec}}
    return unknown_checking_proxy({"chart": "kube-prometheus-stack", "values": {"prometheus": prometheus}})


def messages(props: Mapping[str, object]) -> tuple[list[str], list[str]]:
    unknown: list[UnknownValueError] = []
    found = list(violations(props, unknown))
    return found, [".".join(error.props) for error in unknown]


FEDERATE = {"job_name": "federate-eu-1", "metrics_path": "/federate"}


def test_a_job_that_honors_labels_passes() -> None:
    assert messages(release({**FEDERATE, "honor_labels": True})) == ([], [])


@pytest.mark.parametrize("job", [FEDERATE, {**FEDERATE, "honor_labels": False}, {**FEDERATE, "honor_labels": "true"}])
def test_a_job_that_renames_labels_is_named_with_its_remedy(job: Mapping[str, object]) -> None:
    assert messages(release(job)) == (
        [
            (
                "values.prometheus.prometheusSpec.additionalScrapeConfigs.0: job 'federate-eu-1' scrapes /federate "
                "without honor_labels; set `honor_labels: true` on the job, or the labels of every federated series "
                "are renamed to exported_*"
            )
        ],
        [],
    )


def test_a_job_elsewhere_needs_no_honored_labels() -> None:
    assert messages(release({"job_name": "app", "metrics_path": "/metrics"})) == ([], [])


def test_override_honor_labels_is_refused() -> None:
    (message,), _ = messages(release({**FEDERATE, "honor_labels": True}, overrideHonorLabels=True))
    assert message.startswith("values.prometheus.prometheusSpec: overrideHonorLabels")


def test_an_unknown_address_does_not_hide_a_violation() -> None:
    job = {**FEDERATE, "static_configs": [{"targets": [UNKNOWN_STRING_VALUE]}]}
    found, unknown = messages(release(job))
    assert len(found) == 1
    assert unknown == ["values.prometheus.prometheusSpec.additionalScrapeConfigs.0.static_configs.0.targets.0"]


@pytest.mark.parametrize(
    "spec",
    [
        {"metricsPath": "/federate"},
        {"endpoints": [{"path": "/federate", "honorLabels": False}]},
    ],
)
def test_the_operators_own_objects_are_judged_as_well(spec: Mapping[str, object]) -> None:
    (message,), _ = messages(unknown_checking_proxy({"kind": "ScrapeConfig", "spec": spec}))
    assert "scrapes /federate without honorLabels" in message


def judged(props: Mapping[str, object]) -> list[str]:
    """What is reported on a release; raises where it is left unjudged."""
    reported: list[str] = []
    args = ResourceValidationArgs("kubernetes:helm.sh/v3:Release", props, "urn", "name", None, None, None)
    validate(args, lambda message, _urn=None: reported.append(message))
    return reported


@pytest.mark.parametrize("key", ["honor_labels", "metrics_path"])
def test_what_cannot_be_known_is_never_a_silent_pass(key: str) -> None:
    with pytest.raises(UnknownValueError):
        judged(release({**FEDERATE, "honor_labels": True, key: UNKNOWN_BOOLEAN_VALUE}))


def test_jobs_that_are_unknown_as_a_whole_are_never_a_silent_pass() -> None:
    prometheus = {"prometheusSpec": {"additionalScrapeConfigs": UNKNOWN_STRING_VALUE}}
    with pytest.raises(UnknownValueError):
        judged(unknown_checking_proxy({"values": {"prometheus": prometheus}}))


def test_an_unknown_address_is_no_reason_to_leave_a_job_unjudged() -> None:
    job = {**FEDERATE, "static_configs": [{"targets": [UNKNOWN_STRING_VALUE]}]}
    assert len(judged(release(job))) == 1
    assert judged(release({**job, "honor_labels": True})) == []
