"""Sockets that a pool process inherits from its parent, and must not keep."""

import os
import stat
from contextlib import suppress
from pathlib import Path

_OPEN = Path("/dev/fd")
_STANDARD = 3


def let_go_of_sockets() -> None:
    """Replace the sockets of the parent by /dev/null.

    The parent watches them by epoll, which keeps reporting a socket that the parent has closed while any process has it
    open: after such a connection breaks, the parent would spin. The descriptor numbers stay allocated, since copies of
    the parent's objects may still close them.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in (int(path.name) for path in list(_OPEN.iterdir())):
        with suppress(OSError):  # the directory itself was one of them
            if number >= _STANDARD and stat.S_ISSOCK(os.fstat(number).st_mode):
                os.dup2(null, number, inheritable=False)
    os.close(null)
