"""The Unix socket of a worker's health server, for programs of the same user on its machine or in its container.

Few imports: `carecase worker --check` runs every few seconds, and must be cheap.
"""

import os
import stat
import tempfile

_LINUX = "/proc/self/fd"
PATH = b"/check"


def directory() -> str:
    """Return the directory of the sockets of this user's workers."""
    return f"{tempfile.gettempdir()}/carecase-workers-{os.getuid()}"


def open_directory(path: str) -> int:
    """Open the directory. Raises OSError if it does not exist, or is not private to this user."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    found = os.fstat(number)
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        os.close(number)
        raise PermissionError(1, "belongs to another user, or others may use it", path)
    return number


def address(path: str, number: int, name: str) -> str:
    """Return the address of a socket in an open directory: addresses are limited to about a hundred characters."""
    return f"{_LINUX}/{number}/{name}" if os.path.isdir(_LINUX) else f"{path}/{name}"  # noqa: PTH112  # few imports


def is_alive(name: str) -> bool:
    """Return whether the process that a socket is named after is alive."""
    try:
        os.kill(int(name), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
