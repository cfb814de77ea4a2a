"""The process's arguments as everybody on the machine sees them, without the credentials among them."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_OPTIONS = (b"--api-key", b"--token")
_ARG_START = 48
"""The number of that field in /proc/self/stat, from 1 (proc(5)); the second one is in brackets."""


def hide_credentials() -> None:
    """Overwrite credentials where Linux shows the arguments of a process; elsewhere do nothing.

    Until this is called they can be seen: a file or the environment tells them better.
    """
    with suppress(OSError, ValueError, IndexError):
        arguments = Path("/proc/self/cmdline").read_bytes()
        start = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_ARG_START - 3])
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            for place, length in credentials_in(arguments):
                memory.seek(start + place)
                memory.write(b"x" * length)


def credentials_in(arguments: bytes) -> Iterator[tuple[int, int]]:
    """The places of credentials, and their lengths, among arguments that end in a zero each."""
    place, is_next = 0, False
    for argument in arguments.split(b"\0"):
        option, equals, value = argument.partition(b"=")
        if is_next:
            yield place, len(argument)
        elif option in _OPTIONS and equals:
            yield place + len(option) + 1, len(value)
        is_next = argument in _OPTIONS and not is_next
        place += len(argument) + 1
