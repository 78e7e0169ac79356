"""Other programs, none of which outlives what asked for it."""

import asyncio
import os
import signal
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done:
    status: int
    out: str
    err: str


async def run(
    *command: str, given: str = "", folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Done:
    """To its end; `given` is its standard input, `environment` comes on top of this process's. Raises OSError."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        # A group of its own: what it has started ends with it, and Ctrl-C is for whoever waits for it.
        start_new_session=True,
    )
    try:
        out, err = await process.communicate(given.encode())
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return Done(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))


def to_its_end(work: Coroutine[object, object, Result]) -> Result:
    """`work`, cancelled by SIGINT and SIGTERM, so that what it has opened is closed. Raises CancelledError then."""

    async def cancellable() -> Result:
        task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(each, task.cancel)
        return await task

    return asyncio.run(cancellable())
