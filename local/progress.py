"""One line per step, with its time, on stderr: stdout is for what a command is asked for.

A terminal also shows the steps under way; without one, a step that takes long says that it has begun.
"""

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

LONG = 5.0  # seconds after which a step without a terminal is announced

_console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


class Step:
    """A step under way; `detail` is shown behind its title when it ends well."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""


class _Board:
    """The running steps of all threads: rich allows one live display at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._running = 0

    def begin(self, title: str) -> TaskID:
        with self._lock:
            if self._progress is None:
                self._progress = Progress(
                    SpinnerColumn(),
                    TimeElapsedColumn(),
                    TextColumn("{task.description}", markup=False),
                    console=_console,
                    transient=True,
                    redirect_stdout=False,
                )
                self._progress.start()
            self._running += 1
            return self._progress.add_task(title, total=None)

    def end(self, task: TaskID) -> None:
        with self._lock:
            self._running -= 1
            if self._progress is None:
                return
            self._progress.remove_task(task)
            if self._running == 0:
                self._progress.stop()
                self._progress = None


_board = _Board()


def say(text: str) -> None:
    """Print one line between the steps; safe from any thread."""
    _console.print(text)


@contextmanager
def step(title: str) -> Generator[Step]:
    """Time the block and print one line when it ends: `   12.3 s  TITLE: DETAIL`, or that it failed."""
    current = Step(title)
    started = time.monotonic()
    with _shown_while_running(title):
        try:
            yield current
        except BaseException:
            say(f"{time.monotonic() - started:7.1f} s  {title}: failed")
            raise
        detail = f": {current.detail}" if current.detail else ""
        say(f"{time.monotonic() - started:7.1f} s  {title}{detail}")


@contextmanager
def _shown_while_running(title: str) -> Generator[None]:
    if sys.stderr.isatty():
        task = _board.begin(title)
        try:
            yield
        finally:
            _board.end(task)
        return
    announcement = threading.Timer(LONG, say, [f"      ...  {title}"])
    announcement.daemon = True
    announcement.start()
    try:
        yield
    finally:
        announcement.cancel()
