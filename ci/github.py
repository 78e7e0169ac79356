"""What is written into pull requests and issues: one place for each stack, brought up to date every time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

import httpx
from pydantic import BaseModel, TypeAdapter

from ci.job import Job
from fleet.errors import FleetError, Problem

MOST_CHARACTERS = 65_536
"""Of a comment or an issue."""
_CUT = "\n\nThe rest is on [the page of the run]({url}).\n"
_ANSWER_SECONDS = 30


class _User(BaseModel):
    type: str = ""


class _Comment(BaseModel):
    id: int
    body: str | None = None
    user: _User | None = None


class _Issue(BaseModel):
    number: int
    body: str | None = None
    user: _User | None = None
    pull_request: Mapping[str, object] | None = None


_COMMENTS, _ISSUES = TypeAdapter(list[_Comment]), TypeAdapter(list[_Issue])


@dataclass(frozen=True, slots=True)
class Label:
    name: str
    color: str
    description: str


class GitHub:
    """A repository, as its job may use it. Everything raises FleetError with GitHub's own words."""

    def __init__(self, job: Job) -> None:
        self._job = job
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {job.token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._http = httpx.Client(base_url=job.api, headers=headers, timeout=_ANSWER_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def comment(self, number: int, mark: str, text: str) -> None:
        """The one comment with `mark` on the issue or pull request `number`: written, or rewritten."""
        body = self._marked(mark, text)
        for page in self._pages(f"issues/{number}/comments", {}):
            for each in _COMMENTS.validate_json(page):
                if _is_ours(mark, each):
                    if each.body != body:
                        self._ask("PATCH", f"issues/comments/{each.id}", {"body": body})
                    return
        self._ask("POST", f"issues/{number}/comments", {"body": body})

    def open_issue(self, label: Label, mark: str, title: str, text: str) -> int:
        """The one open issue with `mark`: written, or rewritten. Answers its number."""
        body = self._marked(mark, text)
        if (found := self._issue(label, mark)) is not None:
            if found.body != body:
                self._ask("PATCH", f"issues/{found.number}", {"title": title, "body": body})
            return found.number
        self._ensure(label)
        answer = self._ask("POST", "issues", {"title": title, "body": body, "labels": [label.name]})
        return _Issue.model_validate_json(answer).number

    def close_issue(self, label: Label, mark: str, text: str) -> int | None:
        """With a last comment; None where none is open."""
        if (found := self._issue(label, mark)) is None:
            return None
        self._ask("POST", f"issues/{found.number}/comments", {"body": text})
        self._ask("PATCH", f"issues/{found.number}", {"state": "closed", "state_reason": "completed"})
        return found.number

    def _issue(self, label: Label, mark: str) -> _Issue | None:
        for page in self._pages("issues", {"state": "open", "labels": label.name}):
            for each in _ISSUES.validate_json(page):
                if each.pull_request is None and _is_ours(mark, each):
                    return each
        return None

    def _ensure(self, label: Label) -> None:
        body = {"name": label.name, "color": label.color, "description": label.description}
        # That it exists already is as good.
        self._ask("POST", "labels", body, accepted=httpx.codes.UNPROCESSABLE_ENTITY)

    def _marked(self, mark: str, text: str) -> str:
        """GitHub shows no comments of HTML; cut at the end of a line where there is too much of it."""
        head, cut = f"{_mark(mark)}\n", _CUT.format(url=self._job.url)
        if len(head) + len(text) <= MOST_CHARACTERS:
            return head + text
        kept = text[: MOST_CHARACTERS - len(head) - len(cut)]
        return f"{head}{kept.rpartition(_LINE_END)[0]}{cut}"

    def _pages(self, path: str, params: Mapping[str, str]) -> Iterator[bytes]:
        url: str | None = f"/repos/{self._job.repository}/{path}"
        query: Mapping[str, str] | None = {**params, "per_page": "100"}
        while url is not None:
            answer = self._send("GET", url, query)
            yield answer.content
            # The address of the next page says all of the query.
            url, query = cast("Mapping[str, Mapping[str, str]]", answer.links).get("next", {}).get("url"), None

    def _ask(self, method: str, path: str, body: Mapping[str, object], accepted: int | None = None) -> bytes:
        url = f"/repos/{self._job.repository}/{path}"
        return self._send(method, url, None, body, accepted).content

    def _send(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, object] | None = None,
        accepted: int | None = None,
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, url, params=params, json=body)
        except httpx.HTTPError as error:
            raise FleetError(
                [Problem(self._job.api, f"does not answer: {str(error) or type(error).__name__}")]
            ) from None
        if answer.is_error and answer.status_code != accepted:
            said = " ".join(answer.text.split())[:300]
            raise FleetError([Problem(f"{method} {url}", f"GitHub answers {answer.status_code}: {said}")])
        return answer


_LINE_END = "\n"


def _mark(mark: str) -> str:
    return f"<!-- prometheus-fleet: {mark} -->"


def _is_ours(mark: str, each: _Comment | _Issue) -> bool:
    """By whoever runs workflows: a person may have quoted the mark."""
    return each.user is not None and each.user.type == "Bot" and (each.body or "").startswith(_mark(mark))
