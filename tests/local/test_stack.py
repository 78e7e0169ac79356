"""Stack dev after a run that was killed."""

from pathlib import Path

from local.stack import mend


def test_attributes_that_a_killed_run_left_empty_are_taken_away_and_nothing_else(tmp_path: Path) -> None:
    stacks = tmp_path / ".pulumi" / "stacks"
    stacks.mkdir(parents=True)
    kept = {"dev.json": "{}", "dev.json.bak.attrs": "{}", "empty.json": ""}
    for name, text in {**kept, "dev.json.attrs": ""}.items():
        (stacks / name).write_text(text)
    mend(tmp_path)
    assert {path.name: path.read_text() for path in stacks.iterdir()} == kept


def test_a_backend_that_is_new_has_nothing_to_be_mended(tmp_path: Path) -> None:
    mend(tmp_path)
