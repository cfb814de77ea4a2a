"""Terminals in which commands of the tests run."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from tests.acceptance.system import COMMAND

from carecase_worker.settings.loading import process_environment


class Terminal:
    """A terminal in which a command runs: all that was written to it so far."""

    def __init__(self, descriptor: int, process: "subprocess.Popen[bytes]") -> None:
        self.descriptor = descriptor
        self.process = process
        self.text = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def press(self, key: str) -> None:
        os.write(self.descriptor, key.encode())

    def shows(self, part: str) -> bool:
        """Read what has come; whether a part is among all that was ever shown."""
        try:
            while True:
                self.text += os.read(self.descriptor, 65_536).decode(errors="replace")
        except OSError:  # nothing more for now, or the other end is closed
            return part in self.text


@contextmanager
def in_a_terminal(
    place: Path, *arguments: str, variables: Mapping[str, str] = MappingProxyType({}), has_keyboard: bool = True
) -> Iterator[Terminal]:
    """Run a `carecase` command in a terminal until it ends; without a keyboard, its input is empty."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    os.set_blocking(ours, False)
    environment = process_environment() | {"TERM": "xterm-256color", **variables}
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=place, env=environment, stdin=theirs if has_keyboard else subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(1, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
    )  # fmt: skip
    terminal = Terminal(ours, process)
    try:
        before = termios.tcgetattr(theirs)
        yield terminal
        process.wait(60)
        assert termios.tcgetattr(theirs) == before, "the terminal is as it was"
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
