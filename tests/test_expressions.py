"""Every expression that the project ships: it parses, it can do its work, and it names what is there."""

import re

import pytest

from expressions import every, interval, of_alerts, of_documents, plan, recorded
from metrics import KINDS
from fleet.lint import problems

FOUND = plan()
EXPRESSIONS = every(FOUND)

NOT_ON_THE_LIVE_FLEET = {
    "certmanager_certificate_expiration_timestamp_seconds": "the local fleet has no cert-manager",
    "container_cpu_cfs_throttled_periods_total": "its nodes set no quota that a container could be throttled by",
}

WHOSE = {"cluster", "region", "job", "instance"}


@pytest.mark.parametrize("found", EXPRESSIONS, ids=lambda each: each.where)
def test_it_can_do_its_work(found: object) -> None:
    assert [*problems(found.text, interval(FOUND), keeps=found.labels, kinds=KINDS)] == []
