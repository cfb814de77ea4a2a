"""The Unix socket at which a worker tells its health to programs of its user, on its machine or in its container.

Few imports: `carecase worker --check` runs every few seconds, and must cost next to nothing.
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
    """Open the directory. Raises OSError if it is not there, or is not this user's alone."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    found = os.fstat(number)
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        os.close(number)
        raise PermissionError(1, "belongs to somebody else, or others may use it", path)
    return number


def address(path: str, number: int, name: str) -> str:
    """Return the address of a socket in an open directory: a socket's address has room for a hundred letters only."""
    return f"{_LINUX}/{number}/{name}" if os.path.isdir(_LINUX) else f"{path}/{name}"  # noqa: PTH112  # few imports


def is_alive(name: str) -> bool:
    """Return whether the process of a socket's name lives."""
    try:
        os.kill(int(name), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
