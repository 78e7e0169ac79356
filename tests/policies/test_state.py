"""The policies over a stack's state, as `make policy-state` runs them."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from fleet_policies.__main__ import main

from tests.leaks import SIGNATURE
from tests.policies.cases import GOOD, SPEC, VOLUME
from tests.policies.judging import release

ROOT = Path(__file__).parents[2]
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (Pulumi's mark of one)
PASSWORD = "correct-horse-battery-staple"  # noqa: S105 (of nothing)
SETTINGS = {"resources": {"enforcementLevel": "disabled"}, "network-policy": {"enforcementLevel": "disabled"}}
SAFE = {"storageSpec": VOLUME, "retentionSize": "42GiB", "externalLabels": {"level": "global"}}
PINNED = {"chart": "oci://ghcr.io/prometheus-community/charts/kube-prometheus-stack", "version": "88.5.3"}


def exported(spec: Mapping[str, Any], **more: Any) -> str:
    here = release({**SAFE, **spec}, "hub")
    kept = {"urn": f"urn:pulumi:prod::shop::{here.type}::hub", "type": here.type, "inputs": {**here.props, **PINNED}}
    return json.dumps({"version": 3, "deployment": {"resources": [{**kept, **more}]}})


def encrypted(**form: str) -> dict[str, str]:
    return {SIGNATURE: SECRET, **form}


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(SETTINGS))
    return file


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def judged(state: str, settings: Path) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), patch("sys.stdin", io.StringIO(state)):
        code = main(["state", "--config", str(settings)])
    return Done(code, out.getvalue(), err.getvalue())


def test_the_settings_of_a_stack_are_found_by_what_its_state_says() -> None:
    """Stack dev's are not those of a stack of the same name that is somebody else's."""
    ours = exported({}).replace("prod::shop", "dev::prometheus-fleet")
    command = [sys.executable, "-m", "fleet_policies", "state"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "policies")}
    for state, refused in ((ours, False), (exported({}), True)):
        done = subprocess.run(command, input=state, env=environment, capture_output=True, text=True, check=False)
        assert ("resources (mandatory, low)" in done.stdout) == refused, done.stderr


def test_a_stack_without_a_violation_ends_well(settings: Path) -> None:
    done = judged(exported({"additionalScrapeConfigs": [GOOD]}), settings)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_violation_in_what_is_deployed_is_named(settings: Path) -> None:
    done = judged(exported({"overrideHonorLabels": True}), settings)
    assert done.returncode == 1
    assert done.stdout == (
        f"honor-labels (mandatory, high): hub: {SPEC}.overrideHonorLabels: turns honor_labels off in every job that "
        "the operator makes; remove it or set it to `false`\n"
    )


def test_a_decrypted_secret_is_judged_and_not_told(settings: Path) -> None:
    job = {**GOOD, "basic_auth": {"password": encrypted(plaintext=json.dumps(PASSWORD))}}
    done = judged(exported({"additionalScrapeConfigs": [job]}), settings)
    assert done.returncode == 1
    assert "no-inline-secrets (mandatory, critical): hub: " in done.stdout
    assert PASSWORD not in done.stdout + done.stderr


def test_what_is_encrypted_is_said_not_to_be_judged(settings: Path) -> None:
    done = judged(exported({"additionalScrapeConfigs": encrypted(ciphertext="v1:abc")}), settings)
    assert done.returncode == 2
    assert f"honor-labels: hub: not judged, because not known yet: {SPEC}.additionalScrapeConfigs" in done.stdout


def test_an_advisory_violation_is_told_and_no_failure(settings: Path) -> None:
    settings.write_text(json.dumps({**SETTINGS, "honor-labels": {"enforcementLevel": "advisory"}}))
    done = judged(exported({"overrideHonorLabels": True}), settings)
    assert done.returncode == 0
    assert done.stdout.startswith("honor-labels (advisory, high): hub: ")


def test_what_waits_for_its_deletion_is_no_part_of_the_stack(settings: Path) -> None:
    assert judged(exported({"overrideHonorLabels": True}, delete=True), settings).returncode == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", f"password: {PASSWORD}"])
def test_what_is_no_state_is_refused_and_not_told(text: str, settings: Path) -> None:
    done = judged(text, settings)
    assert done.returncode == 2
    assert done.stderr.startswith("standard input: ")
    assert PASSWORD not in done.stderr
