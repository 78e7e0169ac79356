"""Which lines of the page a pull request changes, what they are about, and where a reader finds them."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fleet.errors import dotted
from fleet.names import PAGE_KEY


@dataclass(frozen=True, slots=True)
class Lines:
    """A run of changed lines in a file; of what was only taken away, those that it had."""

    file: str
    first: int
    last: int
    about: tuple[str, ...]
    """Paths on the page, the most that one line can be about each."""
    is_gone: bool


def changed_lines(files: Sequence[str], before: Path, after: Path) -> Iterator[Lines]:
    """In `files` below the two folders; one that is not there is empty."""
    for file in files:
        old, new = _text(before / file), _text(after / file)
        matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
        for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
            if tag == "equal":
                continue
            is_gone = tag == "delete"
            first, last = (old_from, old_to) if is_gone else (new_from, new_to)
            yield Lines(file, first + 1, last, _about(old if is_gone else new, first, last), is_gone)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _about(text: str, first: int, last: int) -> tuple[str, ...]:
    """Of the lines from `first` to before `last`, counted from 0. Never what they say, which may be secret."""
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return ()
    starts = dict(_starts(root, ())) if root is not None else {}
    paths = [starts[line] for line in range(first, last) if line in starts]
    if not paths:
        above = [line for line in starts if line <= first]
        paths = [starts[max(above)]] if above else []
    # Of a cluster that is new as a whole, its name says it.
    tops = [path for path in paths if not any(path != other and path[: len(other)] == other for other in paths)]
    return tuple(dict.fromkeys(dotted(path) for path in tops))


def _starts(node: Node, path: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, path) of each key, and of each entry of a list; of several on one line the first one that is below."""
    on_page = path[2:] if path[:2] == ("config", PAGE_KEY) else path
    if isinstance(node, MappingNode):
        for key, value in reversed(cast("Sequence[tuple[Node, Node]]", node.value)):
            name = str(key.value) if isinstance(key, ScalarNode) else "?"
            yield from _starts(value, (*path, name))
            yield key.start_mark.line, (*on_page, name)
    elif isinstance(node, SequenceNode):
        for number, item in enumerate(cast("Sequence[Node]", node.value)):
            yield from _starts(item, (*path, str(number)))
            yield item.start_mark.line, (*on_page, str(number))


@dataclass(frozen=True, slots=True)
class Links:
    """To files at a commit: `BASE/blob/COMMIT/FILE`, as GitHub and its like have it; relative without a base."""

    repository: str | None
    before: str
    after: str | None
    folder: str
    """Of the page, relative to the repository's top."""

    @classmethod
    def of(cls, before: str, after: str | None, folder: str, environ: Mapping[str, str] = os.environ) -> "Links":
        """The repository is what GitHub's runner says it is."""
        server, name = environ.get("GITHUB_SERVER_URL"), environ.get("GITHUB_REPOSITORY")
        return cls(f"{server}/{name}" if server and name else None, before, after, folder)

    def to(self, lines: Lines) -> str:
        anchor = f"#L{lines.first}" + (f"-L{lines.last}" if lines.last > lines.first else "")
        file = "/".join(part for part in (self.folder, lines.file) if part and part != ".")
        commit = self.before if lines.is_gone else self.after
        return self._at(commit, f"{file}{anchor}")

    def to_file(self, file: str) -> str:
        """Of the head, relative to the repository's top."""
        return self._at(self.after, file)

    def _at(self, commit: str | None, file: str) -> str:
        return file if self.repository is None or commit is None else f"{self.repository}/blob/{commit}/{file}"
