"""Words of a page in a report: whoever opens a pull request writes some of them."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.review.changed_lines import Links
from fleet.review.description import Refusal
from fleet.review.findings import Findings
from fleet.review.markdown import code, codes, fenced, prose
from fleet.review.policies import Judgement
from fleet.review.report import LIMIT, report

NOTHING = Findings(
    stack="dev",
    base="`main`",
    head="`head`",
    problems=(),
    base_problems=(),
    steps=(),
    unrendered=(),
    notes=(),
    difference=None,
    consequences=(),
    before=Judgement(),
    after=Judgement(),
    lines=(),
    links=Links(None, "a", "b", "."),
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@everybody", "&#64;everybody"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("[a](b)", "\\[a\\](b)"),
        ("two\nlines | `code`", "two lines \\| \\`code\\`"),
    ],
)
def test_prose_mentions_nobody_links_nowhere_and_is_no_html(text: str, shown: str) -> None:
    assert prose(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a", "`a`"), ("a`b", "`` a`b ``"), ("a|b\nc", "`a\\|b c`"), ("", "` `"), ("x" * 400, f"`{'x' * 300}…`")],
)
def test_code_stays_one_word_of_a_table(text: str, shown: str) -> None:
    assert code(text) == shown


def test_of_many_the_first_are_named_and_the_others_counted() -> None:
    assert codes(["a", "b", "c"], 2) == "`a`, `b` and 1 more"


def test_what_is_fenced_cannot_end_its_fence() -> None:
    assert fenced("a\n````\nb", "diff") == "`````diff\na\n````\nb\n`````"


LONG = st.text("abc|`@\n<ü", max_size=20).map(lambda text: text * 500)


@settings(max_examples=30, deadline=None)
@given(paths=st.lists(LONG, max_size=40), notes=st.lists(LONG, max_size=20))
def test_however_long_its_words_are_a_summary_fits(paths: list[str], notes: list[str]) -> None:
    problems = [Refusal(path=path, message=path, fix=path) for path in paths]
    told = report(dataclasses.replace(NOTHING, problems=problems, notes=notes), "details.md")
    assert len(told.summary.encode()) <= LIMIT
    assert told.summary.startswith("# Stack `dev`: ")


def test_a_policy_pack_that_fails_is_no_pass() -> None:
    told = report(dataclasses.replace(NOTHING, after=Judgement(failure="it is broken")), "details.md")
    assert "Nothing refuses it, but not every policy could judge it." in told.summary
    assert "Not judged: it is broken." in told.summary


def test_words_of_a_policy_that_have_another_form_are_told_as_they_are() -> None:
    told = report(dataclasses.replace(NOTHING, after=Judgement(violations=("Something else!",))), "details.md")
    assert "Something else\\!" in told.summary
