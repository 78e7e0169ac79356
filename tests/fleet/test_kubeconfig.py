import os
from pathlib import Path

import pytest
import yaml

from fleet.compiler import compile_page
from fleet.errors import FleetError
from fleet.kubeconfig import read_kubeconfig
from fleet.page import read_page
from fleet.plan import ClusterPlan


def hub(**location: str) -> ClusterPlan:
    page = {"clusters": {"hub": {"tier": "global", **location}, "eu-1": {"tier": "leaf", "context": "other"}}}
    return compile_page(read_page(page, {})).clusters["hub"]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name in ("a", "b"):
        (tmp_path / name).write_text(yaml.safe_dump({"contexts": [{"name": f"context-{name}"}]}))
    return [tmp_path / "a", tmp_path / "b"]


def joined(*files: Path) -> dict[str, str]:
    return {"KUBECONFIG": os.pathsep.join(map(str, files))}


def test_the_page_goes_before_the_environment(files: list[Path]) -> None:
    assert read_kubeconfig(hub(kubeconfig=str(files[1])), joined(files[0])).path == files[1]


@pytest.mark.parametrize(("context", "number"), [("context-a", 0), ("context-b", 1), ("context-c", 0)])
def test_of_several_files_the_one_with_the_context_is_taken(context: str, number: int, files: list[Path]) -> None:
    assert read_kubeconfig(hub(context=context), joined(*files)).path == files[number]


def test_without_a_context_the_first_file_is_taken(files: list[Path]) -> None:
    assert read_kubeconfig(hub(), joined(*files)).path == files[0]


def test_files_that_are_not_there_are_passed_over(tmp_path: Path, files: list[Path]) -> None:
    assert read_kubeconfig(hub(context="context-b"), joined(tmp_path / "none", *files)).path == files[1]


@pytest.mark.parametrize("text", ["", "- a", "{", "contexts: none", "contexts: [none]"])
def test_what_is_no_kubeconfig_has_no_context(text: str, tmp_path: Path, files: list[Path]) -> None:
    (tmp_path / "odd").write_text(text)
    assert read_kubeconfig(hub(context="context-b"), joined(tmp_path / "odd", *files)).path == files[1]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError) as refused:
        read_kubeconfig(hub(kubeconfig=str(tmp_path / "none")), {})
    assert (
        str(refused.value) == f"clusters.hub.kubeconfig: {tmp_path / 'none'} cannot be read: No such file or directory"
    )
