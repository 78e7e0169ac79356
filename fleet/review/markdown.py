"""Words as Markdown has them. Who opens a pull request has written some: those link nowhere and mention nobody."""

import re
from collections.abc import Iterable, Iterator, Sequence


def fold(title: str, text: str) -> Iterator[str]:
    """`title` is HTML."""
    yield f"<details><summary>{title}</summary>"
    yield ""
    yield text
    yield ""
    yield "</details>"


def fenced(text: str, language: str) -> str:
    longest = max((len(each) for each in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


_LONG = 300
"""Characters of one value."""


def code(text: str) -> str:
    """In a table as well, where a bar would end the cell and a line the row."""
    text = " ".join(text.split())
    text = f"{text[:_LONG]}…" if len(text) > _LONG else text
    text = text.replace("|", "\\|") or " "
    longest = max((len(each) for each in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"{fence}{text}{fence}"


def codes(texts: Sequence[str], most: int | None = None) -> str:
    """The first `most` of them, and how many more there are."""
    shown = texts[:most]
    more = f" and {len(texts) - len(shown)} more" if len(texts) > len(shown) else ""
    return ", ".join(map(code, shown)) + more


def prose(text: str) -> str:
    """On one line."""
    return re.sub(r"([\\`*_\[\]|!#~])", r"\\\1", html(" ".join(text.split()))).replace("@", "&#64;")


def html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def lined(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return f"{text}\n" if text else ""


def at_most(rows: Sequence[str], most: int | None) -> list[str]:
    """All of them where there is no most."""
    if most is None or len(rows) <= most:
        return [*rows]
    return [*rows[:most], "", f"and {len(rows) - most} more"]
