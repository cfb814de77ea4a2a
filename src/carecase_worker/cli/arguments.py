"""Overwriting of credentials in the process's arguments, which every user of the machine can read."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_OPTIONS = (b"--api-key", b"--token")
_ARG_START = 48
"""The number of the field in /proc/self/stat, from 1 (proc(5)); the second field is in brackets."""


def hide_credentials() -> None:
    """Overwrite credentials in the memory from which Linux shows a process's arguments; elsewhere do nothing.

    They are readable until this is called, so a file or the environment is a better place for them.
    """
    with suppress(OSError, ValueError, IndexError):
        arguments = Path("/proc/self/cmdline").read_bytes()
        start = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_ARG_START - 3])
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            for place, length in credentials_in(arguments):
                memory.seek(start + place)
                memory.write(b"x" * length)


def credentials_in(arguments: bytes) -> Iterator[tuple[int, int]]:
    """Yield offset and length of each credential in zero-terminated arguments."""
    place, is_next = 0, False
    for argument in arguments.split(b"\0"):
        option, equals, value = argument.partition(b"=")
        if is_next:
            yield place, len(argument)
        elif option in _OPTIONS and equals:
            yield place + len(option) + 1, len(value)
        is_next = argument in _OPTIONS and not is_next
        place += len(argument) + 1
