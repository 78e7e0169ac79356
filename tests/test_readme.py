"""What README.md tells people to type is typed by a test."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
ON_LOCAL_CLUSTERS = {"make demo", "make down", "make status"}


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in ON_LOCAL_CLUSTERS])
def test_a_command_of_the_readme_works(command: str, tmp_path: Path) -> None:
    typed = command.replace("--out rendered", f"--out {tmp_path}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(["bash", "-c", typed], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_needs_clusters_is_typed_on_the_live_fleet() -> None:
    live = "".join(path.read_text() for path in (ROOT / "tests" / "e2e").rglob("*.py"))
    targets = {command.split()[1] for command in ON_LOCAL_CLUSTERS}
    assert {target for target in targets if f'"{target}"' not in live} == set()


def test_every_target_of_the_makefile_is_in_the_readme() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    parts_of_check = {"lint", "apps", "unit"}
    assert [
        target for target in phony.split() if f"`make {target}`" not in README and target not in parts_of_check
    ] == []


def test_the_page_in_the_readme_is_a_fleet(tmp_path: Path) -> None:
    (page,) = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "Pulumi.readme.yaml").write_text(page)
    command = [sys.executable, "-m", "fleet", "check", "--stack", "readme"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
