from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fleet_policies import POLICIES

from tests.policies.cases import CASES, Case, job
from tests.policies.judging import UNKNOWN, Made, judged, made, release

REFUSED = [case for case in CASES if case.messages]


def name(case: Case) -> str:
    return case.policy


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_policy_says_exactly_what_is_wrong_and_what_it_cannot_judge(case: Case) -> None:
    said = judged(case.policy, *case.resources, **case.settings)
    assert said.messages == [*case.messages]
    assert said.unjudged == case.unjudged


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.id)
def test_every_policy_is_seen_to_pass_to_refuse_and_not_to_judge(policy: Any) -> None:
    own = [case for case in CASES if case.policy == policy.id]
    assert any(not case.messages and case.unjudged is None for case in own)
    assert any(case.messages for case in own)
    assert any(case.unjudged for case in own)


def words(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from words(each)
    elif isinstance(value, list):
        for each in value:
            yield from words(each)
    elif isinstance(value, str) and value != UNKNOWN:
        yield value


WORDS_OF_MESSAGES = {"Prometheus", "Secret", "Service", "Ingress", "/federate", "up"}


@pytest.mark.parametrize("case", REFUSED, ids=name)
def test_no_message_repeats_a_value_which_may_be_secret(case: Case) -> None:
    said = " ".join(judged(case.policy, *case.resources, **case.settings).messages)
    values = {word for each in case.resources for word in words(each.props)}
    # Names of resources stand in every preview; a remedy has examples of its own.
    own = {each.name for each in case.resources} | WORDS_OF_MESSAGES
    remedies = "".join(policy.remedy for policy in POLICIES)
    assert [value for value in values - own if len(value) > 1 and value in said and value not in remedies] == []


def test_a_chart_is_judged_under_any_alias_in_any_other_chart() -> None:
    values = job(honor_labels=False).props["values"]
    for chart in ({"watching": values}, {"platform": {"watching": values}}):
        said = judged("honor-labels", Made(release().type, "umbrella", {"chart": "umbrella", "values": chart}))
        assert len(said.messages) == 1


def test_what_lies_beside_an_unknown_value_is_judged_all_the_same() -> None:
    broken = job(honor_labels=None).props["values"]["prometheus"]["prometheusSpec"]["additionalScrapeConfigs"][0]
    said = judged("honor-labels", release({"additionalScrapeConfigs": [broken, {"metrics_path": UNKNOWN}]}))
    assert len(said.messages) == 1
    assert said.unjudged is not None


def test_a_policy_of_one_field_does_not_ask_for_others() -> None:
    values = {"params": {"match[]": [UNKNOWN]}, "static_configs": [{"targets": [UNKNOWN]}], "basic_auth": UNKNOWN}
    for policy in ("honor-labels", "staleness", "limits", "intervals"):
        assert judged(policy, job(**values)).unjudged is None


def test_many_places_that_are_not_known_are_counted() -> None:
    configs = [{"metrics_path": UNKNOWN} for _ in range(9)]
    said = judged("honor-labels", release({"additionalScrapeConfigs": configs})).unjudged
    assert said is not None
    assert said.endswith(".4.metrics_path and 4 more")


def test_objects_of_others_are_left_alone() -> None:
    web = made("Service", api="core/v1", spec={"type": "LoadBalancer", "ports": [{"port": 80, "targetPort": "web"}]})
    for policy in POLICIES:
        said = judged(policy.id, web, made("Deployment", api="apps/v1", spec=UNKNOWN))
        assert (said.messages, said.unjudged) == ([], None)
