"""Every fleet that lies in the repository goes through the whole program."""

import json
from pathlib import Path

import pytest
import yaml
from test_program import ROOT, run_program

STACKS = [ROOT / "Pulumi.prod.yaml", *sorted(ROOT.glob("examples/*/Pulumi.example.yaml"))]


@pytest.mark.parametrize("stack", STACKS, ids=lambda path: path.parent.name)
def test_each_cluster_of_a_stack_gets_its_release_and_no_release_a_secret(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kubeconfig").write_text("kubeconfig of all")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("FLEET_CHART", raising=False)
    page = yaml.safe_load(stack.read_text())["config"]["prometheus-fleet:fleet"]
    keys = [each["kubeconfigSecret"] for each in page["clusters"].values() if "kubeconfigSecret" in each]
    releases = run_program(page, {key: f"kubeconfig {key}" for key in keys}).releases()
    assert set(releases) == {f"{name}-release" for name in page["clusters"]}
    values = json.dumps([args.inputs for args in releases.values()])
    assert "password of" not in values
    assert "hash-of" not in values
