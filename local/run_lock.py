"""One run of a checkout at a time: who holds the lock may change what the checkout has on this machine."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def run_lock(owner: Path) -> Generator[bool]:
    """Hold the lock of `owner` (a checkout's `.local`) for the block; False where another process does.

    Where the folder is gone, nobody can run there, and there is nothing to hold.
    """
    if not owner.is_dir():
        yield True
        return
    with (owner / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_held = True
        except BlockingIOError:
            is_held = False
        yield is_held
