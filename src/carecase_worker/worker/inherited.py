"""The sockets that a pool process inherits from its parent, and must not keep."""

import os
import stat
from contextlib import suppress
from pathlib import Path

_OPEN = Path("/dev/fd")
_STANDARD = 3


def let_go_of_sockets() -> None:
    """Leave the parent's connections to the parent.

    It watches them by epoll, which goes on telling of a socket that the parent has closed as long as any process has it
    open: once such a connection had broken, the parent would spin. Their numbers stay taken, by /dev/null, since copies
    of the parent's objects may still close them.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in (int(path.name) for path in list(_OPEN.iterdir())):
        with suppress(OSError):  # the directory itself was one of them
            if number >= _STANDARD and stat.S_ISSOCK(os.fstat(number).st_mode):
                os.dup2(null, number, inheritable=False)
    os.close(null)
