"""Where alerts are posted to, from the config, on mocks: in a Secret of that cluster and nowhere else."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest
from test_program import Recorder, run_program

URLS = {"people": "https://hooks.example.com/T0/one", "pulse": "https://pulse.example.com/two"}
PAGE: dict[str, object] = {
    "alerting": {"webhook": {"config": "people"}, "deadMansSwitch": {"config": "pulse"}},
    "gateway": {"type": "Host"},
    "clusters": {
        "hub": {"tier": "global", "context": "hub", "gateway": {"host": "hub.example.com"}},
        "eu": {
            "tier": "leaf",
            "context": "eu",
            "gateway": {"host": "eu.example.com"},
            "alertmanager": {"webhook": {"config": "people"}},
        },
    },
}


@pytest.fixture(autouse=True)
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubeconfig").write_text("kubeconfig of all")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("FLEET_CHART", raising=False)


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Coroutines of a program that failed complain when they are collected: here, where nothing else runs."""
    yield
    gc.collect()


def test_urls_stand_in_the_secrets_of_their_clusters_and_nowhere_else() -> None:
    program = run_program(PAGE, URLS)
    assert program.secret_data("hub-alert-urls") == {"webhook": URLS["people"], "dead-mans-switch": URLS["pulse"]}
    assert program.secret_data("eu-alert-urls") == {"webhook": URLS["people"]}
    others = [args.inputs for name, args in program.resources.items() if not name.endswith("-alert-urls")]
    assert "example.com/T0" not in json.dumps(others, default=str)
    assert "pulse.example.com" not in json.dumps(others, default=str)


@pytest.mark.parametrize("text", ["hooks.example.com/T0/one", "https://hooks.example.com/T0/one\n"])
def test_what_is_no_url_is_refused_and_not_repeated(text: str) -> None:
    recorder = Recorder()
    with pytest.raises(pulumi.RunError) as refused:
        run_program(PAGE, {**URLS, "people": text}, recorder=recorder)
    assert "prometheus-fleet:people: does not hold a URL" in str(refused.value)
    assert "pulumi config set --secret prometheus-fleet:people" in str(refused.value)
    written = json.dumps([args.inputs for args in recorder.resources.values()], default=str)
    assert "T0/one" not in str(refused.value) + written
