import os
from pathlib import Path

import pytest
import yaml

from fleet.compiler import compile_page
from fleet.errors import FleetError
from fleet.kubeconfig import read_kubeconfig, read_kubeconfigs
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


def merged(*names: str) -> dict[str, object]:
    """A file with a cluster, a user and a context of each name."""
    return {
        "current-context": names[0],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example"}} for name in names],
        "users": [{"name": f"{name}-admin", "user": {"token": f"token of {name}"}} for name in names],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-admin"}} for name in names],
    }


@pytest.mark.parametrize(("location", "kept"), [({"context": "b"}, "b"), ({}, "a")])
def test_a_cluster_gets_the_keys_of_no_other(location: dict[str, str], kept: str, tmp_path: Path) -> None:
    (tmp_path / "all").write_text(yaml.safe_dump(merged("a", "b")))
    text = read_kubeconfig(hub(**location), joined(tmp_path / "all")).text
    assert yaml.safe_load(text) == {"apiVersion": "v1", "kind": "Config", **merged(kept)}


@pytest.mark.parametrize("lacking", ["clusters", "users"])
def test_a_file_that_is_not_whole_is_left_to_the_provider_as_it_is(lacking: str, tmp_path: Path) -> None:
    text = yaml.safe_dump({**merged("a"), lacking: []})
    (tmp_path / "all").write_text(text)
    assert read_kubeconfig(hub(context="a"), joined(tmp_path / "all")).text == text


def test_a_file_that_hundreds_of_clusters_share_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"leaf-{number}" for number in range(300)]
    (tmp_path / "all").write_text(yaml.safe_dump(merged("hub", *names)))
    clusters = {"hub": {"tier": "global", "context": "hub"}}
    page = {"clusters": clusters | {name: {"tier": "leaf", "context": name} for name in names}}
    parsed: list[str] = []
    load = yaml.load
    monkeypatch.setattr(yaml, "load", lambda text, Loader: parsed.append(text) or load(text, Loader=Loader))  # noqa: N803 (PyYAML's name)
    found = read_kubeconfigs(compile_page(read_page(page, {})), joined(tmp_path / "all"))
    assert len(found) == 301
    assert parsed == [(tmp_path / "all").read_text()]
