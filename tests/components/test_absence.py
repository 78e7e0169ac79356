"""What the program makes of a cluster that an update does without."""

from pathlib import Path
from typing import Any

import pytest
from test_program import run_program

from fleet.absence import Absence

PAGE: dict[str, Any] = {
    "clusters": {
        "hub": {"tier": "global", "context": "hub"},
        "eu": {"tier": "regional", "region": "eu", "context": "eu"},
        "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
        "eu-2": {"tier": "leaf", "region": "eu", "context": "eu-2"},
    }
}


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_deployed_stays_in_the_program_and_what_is_not_is_left_out_with_its_edges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    (tmp_path / "kubeconfig").write_text("kubeconfig of all")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    absent = Absence(kept=frozenset({"eu-2"})) if kept else Absence(left_out=frozenset({"eu-2"}))
    for name, value in absent.environment.items():
        monkeypatch.setenv(name, value)
    registered = run_program(PAGE).resources
    about = {name for name in registered if "eu-2" in name}
    assert ({"eu-2", "eu-2-namespace", "eu-2-release", "eu-federates-eu-2.1"} <= about) if kept else (about == set())
    assert "eu-federates-eu-1.1" in registered
