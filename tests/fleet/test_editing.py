"""A page that is edited says what was asked, and everything else as before, comments included."""

from pathlib import Path
from textwrap import dedent

import pytest

from fleet.errors import FleetError
from fleet.page.editing import Values, edit_page


def edited(tmp_path: Path, page: str, values: Values) -> str:
    """`page` is what stands under the fleet's key."""
    path = tmp_path / "Pulumi.dev.yaml"
    head = "config:\n  prometheus-fleet:fleet:\n"
    indented = "".join(f"    {line}\n" for line in dedent(page).strip("\n").splitlines())
    path.write_text(f"{head}{indented}# after\nencryptionsalt: x\n")
    edit_page(path, values)
    text = path.read_text()
    assert text.startswith(head)
    assert text.endswith("# after\nencryptionsalt: x\n")
    return dedent(text.removeprefix(head).removesuffix("# after\nencryptionsalt: x\n"))


GENERATION: Values = {("keys", "generation"): 2}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("keys: {generation: 1}\nclusters: {}\n", "keys: {generation: 2}\nclusters: {}\n"),
        ("keys:\n  generation: 1 # one\n", "keys:\n  generation: 2 # one\n"),
        ("keys: {}\n", "keys: {generation: 2}\n"),
        ("keys: { auth: both }\n", "keys: { auth: both, generation: 2 }\n"),
        ("keys:\n  auth: both # why\nx: 1\n", "keys:\n  auth: both # why\n  generation: 2\nx: 1\n"),
        ("# of x\nx: {a: 1} # end\n", "# of x\nx: {a: 1} # end\nkeys: {generation: 2}\n"),
        (
            "keys:\n  edges:\n    a: {auth: mtls}\n# of x\nx: 1\n",
            "keys:\n  edges:\n    a: {auth: mtls}\n  generation: 2\n# of x\nx: 1\n",
        ),
        ("x: |\n  text\n", "x: |\n  text\nkeys: {generation: 2}\n"),
        ("x:\n- 1\n- 2 # two\n", "x:\n- 1\n- 2 # two\nkeys: {generation: 2}\n"),
    ],
)
def test_a_value_is_changed_or_added_where_it_belongs(tmp_path: Path, before: str, after: str) -> None:
    assert edited(tmp_path, before, GENERATION) == after


def test_a_list_is_replaced_as_a_whole(tmp_path: Path) -> None:
    page = "authority:\n  trust:\n    - 1\n  issue: 1\n"
    values: Values = {("authority", "trust"): [1, 2], ("authority", "issue"): 2}
    assert edited(tmp_path, page, values) == "authority:\n  trust:\n    [1, 2]\n  issue: 2\n"


def test_an_edge_of_its_own_is_added_below_the_others(tmp_path: Path) -> None:
    values: Values = {("keys", "edges", "a-writes-b", "generation"): 3}
    page = "keys:\n  edges:\n    x-writes-b: {auth: both}\n"
    assert edited(tmp_path, page, values) == page + "    a-writes-b: {generation: 3}\n"


@pytest.mark.parametrize(
    "page", ["x: &one {generation: 1}\nkeys: *one\n", "x: &one {generation: 1}\nkeys:\n  <<: *one\n"]
)
def test_what_an_edit_would_change_elsewhere_too_is_left_to_the_user(tmp_path: Path, page: str) -> None:
    with pytest.raises(FleetError) as refusal:
        edited(tmp_path, page, GENERATION)
    assert str(refusal.value) == (
        "Pulumi.dev.yaml: cannot be edited at keys.generation: write it by hand\n\n    keys:\n      generation: 2\n"
    )
