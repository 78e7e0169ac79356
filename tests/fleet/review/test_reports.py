"""Pull requests as people open them, and what their reviewers are told, word for word."""

import os
from pathlib import Path

import pytest
from pull_requests import EDITS, REFUSED, Repository, comparable, edited, repository

REPORTS = Path(__file__).with_name("reports")
WRITE = "FLEET_WRITE_REPORTS"


@pytest.fixture
def opened(chart: Path, newer_chart: Path, tmp_path: Path) -> Repository:
    return repository(tmp_path / "fleet", {"chart": chart, "newer-chart": newer_chart})


@pytest.mark.parametrize("name", EDITS)
def test_a_pull_request_is_told_and_judged_as_expected(name: str, opened: Repository) -> None:
    opened.write(edited(EDITS[name]))
    found = opened.preview()
    kept = REPORTS / f"{name}.md"
    if WRITE in os.environ:
        kept.write_text(comparable(found.summary))
    assert comparable(found.summary) == kept.read_text(), f"{WRITE}=1 pytest {__file__}"
    assert found.is_refused == (name in REFUSED)


def test_every_kept_report_is_of_a_pull_request() -> None:
    assert {path.stem for path in REPORTS.iterdir()} == {*EDITS}
