"""A job of GitHub Actions: what it is told by its environment and by files, and what it tells by files."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, JsonValue

from fleet.errors import FleetError, Problem


class _PullRequest(BaseModel):
    number: int


class _Event(BaseModel):
    pull_request: _PullRequest | None = None


@dataclass(frozen=True, slots=True)
class Job:
    environ: Mapping[str, str]

    @property
    def repository(self) -> str:
        """As OWNER/NAME."""
        return self._said("GITHUB_REPOSITORY")

    @property
    def api(self) -> str:
        return self.environ.get("GITHUB_API_URL", "https://api.github.com")

    @property
    def token(self) -> str:
        """Keep it out of logs and messages."""
        return self._said("GITHUB_TOKEN")

    @property
    def url(self) -> str:
        """Of this run, for people."""
        server = self.environ.get("GITHUB_SERVER_URL", "https://github.com")
        return f"{server}/{self.repository}/actions/runs/{self._said('GITHUB_RUN_ID')}"

    @property
    def pull_request(self) -> int:
        event = _Event.model_validate_json(Path(self._said("GITHUB_EVENT_PATH")).read_text())
        if event.pull_request is None:
            raise FleetError([Problem("GITHUB_EVENT_PATH", "this event is of no pull request")])
        return event.pull_request.number

    def summarize(self, markdown: str) -> None:
        """Onto the page of the run."""
        self._append("GITHUB_STEP_SUMMARY", f"{markdown.rstrip()}\n\n")

    def answer(self, name: str, value: JsonValue) -> None:
        """For later steps and jobs, as JSON."""
        self._append("GITHUB_OUTPUT", f"{name}={json.dumps(value)}\n")

    def export(self, name: str, value: str) -> None:
        """Into the environment of later steps; `value` is one line."""
        self._append("GITHUB_ENV", f"{name}={value}\n")

    def private_file(self, name: str, text: str) -> Path:
        """That goes with the job."""
        path = Path(self._said("RUNNER_TEMP"), name)
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def _append(self, name: str, text: str) -> None:
        with Path(self._said(name)).open("a", encoding="utf-8") as file:
            file.write(text)

    def _said(self, name: str) -> str:
        if not (value := self.environ.get(name)):
            raise FleetError([Problem(name, "is not in the environment, where GitHub Actions puts it")])
        return value


def annotation(level: str, title: str, text: str) -> str:
    """What shows a line of a log beside the run; `level` is notice, warning or error."""
    return f"::{level} title={_escaped(title, ':,')}::{_escaped(text, '')}"


def _escaped(text: str, more: str) -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def this_job() -> Job:
    return Job(os.environ)
