"""A program in a terminal of its own, as its user sees it."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Sequence

from live import ROOT

_HOME = b"\x1b[H"
_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    def __init__(self, command: Sequence[str], *, columns: int, lines: int) -> None:
        self._end, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        # In a session of its own, whose terminal this is: Ctrl-C reaches it from the terminal.
        attach = ["setsid", "--ctty", "--wait", *command]
        sized = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
        environment = {**sized, "TERM": "xterm-256color"}
        self._process = subprocess.Popen(attach, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while more := os.read(self._end, 65536):
                self.written += more
        except OSError:  # Linux's end of a terminal
            pass

    def screen(self) -> list[str]:
        """What was drawn last, whole."""
        *_, last, _ = [b"", b"", *self.written.split(_HOME)]
        return [line.rstrip() for line in _CONTROL.sub(b"", last).decode().splitlines()]

    def press_ctrl_c(self, within: float) -> int:
        os.write(self._end, bytes([termios.tcgetattr(self._end)[6][termios.VINTR][0]]))
        status = self._process.wait(within)
        self._reader.join(within)
        os.close(self._end)
        return status

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
