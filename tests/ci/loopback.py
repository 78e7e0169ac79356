"""GitHub's API on loopback: one repository's comments, issues and labels, in pages of two."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 2
BOT, PERSON = {"type": "Bot", "login": "github-actions[bot]"}, {"type": "User", "login": "somebody"}
TOKEN = "ghs_token-of-this-job"  # noqa: S105 (of nothing)


@dataclass
class Repository:
    name: str = "acme/fleet"
    url: str = ""
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict[int, list[dict[str, Any]]])
    """By number of an issue or pull request."""
    issues: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    labels: set[str] = field(default_factory=set[str])
    writes: list[str] = field(default_factory=list[str])
    refused: str = ""
    """A path that the token may not write to."""

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        assert path.startswith(f"/repos/{self.name}/")
        parts = path.removeprefix(f"/repos/{self.name}/").split("/")
        if method != "GET":
            self.writes.append(f"{method} {'/'.join(parts)}")
            if self.refused and path.endswith(self.refused):
                return 403, {"message": "Resource not accessible by integration"}
        if parts[-1] == "comments" or parts[1:2] == ["comments"]:
            return self._comments(method, parts, body)
        return self._labels(body) if parts == ["labels"] else self._issues(method, parts, query, body)

    def _comments(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        if method == "PATCH":
            (found,) = [each for of in self.comments.values() for each in of if each["id"] == int(parts[2])]
            found.update(body)
            return 200, found
        listed = self.comments.setdefault(int(parts[1]), [])
        if method == "GET":
            return 200, listed
        listed.append({"id": self._next(), "user": BOT, **body})
        return 201, listed[-1]

    def _issues(self, method: str, parts: list[str], query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        if method == "GET":
            wanted = [each for each in self.issues if each["state"] == query["state"]]
            return 200, [each for each in wanted if query["labels"] in each["labels"]]
        if method == "PATCH":
            (issue,) = [each for each in self.issues if each["number"] == int(parts[1])]
            issue.update(body)
            return 200, issue
        assert set(body["labels"]) <= self.labels
        self.issues.append({"number": self._next(), "state": "open", "user": BOT, **body})
        return 201, self.issues[-1]

    def _labels(self, body: dict[str, Any]) -> tuple[int, Any]:
        if body["name"] in self.labels:
            return 422, {"message": "Validation Failed", "errors": [{"code": "already_exists"}]}
        self.labels.add(body["name"])
        return 201, body

    def _next(self) -> int:
        return 100 + len(self.issues) + sum(map(len, self.comments.values()))


@contextmanager
def github() -> Iterator[Repository]:
    repository = Repository()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.headers["Authorization"] == f"Bearer {TOKEN}"
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            status, content = repository.answer(self.command, url.path, query, body)
            headers: dict[str, str] = {}
            if isinstance(content, list):
                first = (int(query.get("page", "1")) - 1) * PAGE
                if len(content) > first + PAGE:
                    rest = "&".join(f"{key}={value}" for key, value in query.items() if key != "page")
                    following = f"{repository.url}{url.path}?{rest}&page={first // PAGE + 2}"
                    headers["Link"] = f'<{following}>; rel="next"'
                content = content[first : first + PAGE]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        do_POST = do_PATCH = do_GET  # noqa: N815 (the server's names)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    repository.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield repository
    finally:
        server.shutdown()
        server.server_close()
