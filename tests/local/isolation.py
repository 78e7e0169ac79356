"""A network namespace for a test: beside a live fleet, and without a trace on the machine."""

import ctypes
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_network() -> Generator[None]:
    """Move this thread, and the processes that it starts, into a new network namespace for a while."""
    with Path("/proc/thread-self/ns/net").open() as host:
        _check(_libc.unshare(_CLONE_NEWNET))
        try:
            subprocess.run(["ip", "link", "set", "dev", "lo", "up"], check=True)
            yield
        finally:
            _check(_libc.setns(host.fileno(), _CLONE_NEWNET))


def hand_over_connections() -> None:
    """Of this network: those that a listener has not accepted when it closes go to the next one on its port.

    Else Linux resets them, and so do the few that come in while a gateway takes up another configuration
    (docs/gateway.md). How many these are depends on how busy the machine is.
    """
    Path("/proc/sys/net/ipv4/tcp_migrate_req").write_text("1")


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
