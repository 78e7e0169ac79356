"""The list of metrics by which expressions are judged, held against what the live fleet serves."""

import pytest
from kubectl import eventually

from tests.expressions import branches, every, plan
from tests.metrics import KINDS, served

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600), pytest.mark.usefixtures("fleet")]

SERVED_BY_ALL = 60
"""Seconds after `make demo`, until every target was scraped once."""


def test_metrics_that_expressions_name_are_served_and_of_the_type_that_is_recorded() -> None:
    asked = {branch for found in every(plan()) for branch in branches(found.text)} & set(KINDS)

    def all_served() -> None:
        found = served()
        assert {name: found.get(name) for name in asked} == {name: KINDS[name] for name in asked}

    eventually(all_served, within=SERVED_BY_ALL, every=5)
