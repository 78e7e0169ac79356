"""Which lines of a page differ, what each is about, and where a link leads."""

from pathlib import Path

import pytest

from fleet.review.changed_lines import Lines, Links, changed_lines

BEFORE = """\
config:
  prometheus-fleet:fleet:
    intervals: {scrape: 30s}
    clusters:
      hub: {tier: global, context: hub}
      eu-1:
        tier: leaf
        context: eu-1
      eu-2: {tier: leaf, context: eu-2}
"""


def found(tmp_path: Path, before: str, after: str) -> list[Lines]:
    for name, text in (("before", before), ("after", after)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "page.yaml").write_text(text)
    return [*changed_lines(["page.yaml", "absent.yaml"], tmp_path / "before", tmp_path / "after")]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("scrape: 30s", "scrape: 45s", ((3, 3), ("intervals",), False)),
        ("        tier: leaf\n", "        tier: edge\n", ((7, 7), ("clusters.eu-1.tier",), False)),
        ("context: eu-1\n", "context: eu-1\n        wave: 2\n", ((9, 9), ("clusters.eu-1.wave",), False)),
        (
            "      eu-2:",
            "      us-1:\n        tier: leaf\n        context: us-1\n      eu-2:",
            ((9, 11), ("clusters.us-1",), False),
        ),
        ("      eu-2: {tier: leaf, context: eu-2}\n", "", ((9, 9), ("clusters.eu-2",), True)),
        ("    clusters:\n", "    # why\n    clusters:\n", ((4, 4), ("intervals",), False)),
        ("        context: eu-1\n", "        context: {eu-1\n", ((8, 8), (), False)),
    ],
)
def test_changed_lines_are_named_by_what_they_are_about(
    old: str, new: str, expected: tuple[object, ...], tmp_path: Path
) -> None:
    (lines,) = found(tmp_path, BEFORE, BEFORE.replace(old, new))
    assert ((lines.first, lines.last), lines.about, lines.is_gone) == expected


def test_a_page_that_is_new_is_one_run_of_lines(tmp_path: Path) -> None:
    (lines,) = found(tmp_path, "", BEFORE)
    assert (lines.first, lines.last) == (1, 9)


LINES = Lines("Pulumi.prod.yaml", 3, 5, (), is_gone=False)
GITHUB = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/fleet"}


def test_a_link_leads_to_the_commit_that_has_the_lines() -> None:
    links = Links.of("aaa", "bbb", "fleets", GITHUB)
    assert links.to(LINES) == "https://github.com/acme/fleet/blob/bbb/fleets/Pulumi.prod.yaml#L3-L5"
    gone = Lines("Pulumi.prod.yaml", 3, 3, (), is_gone=True)
    assert links.to(gone) == "https://github.com/acme/fleet/blob/aaa/fleets/Pulumi.prod.yaml#L3"


def test_without_a_known_repository_a_link_is_relative_to_its_top() -> None:
    assert Links.of("aaa", "bbb", ".", {}).to(LINES) == "Pulumi.prod.yaml#L3-L5"
