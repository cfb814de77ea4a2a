"""New files, written atomically and readable only by their owner."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from carecase_worker.errors import BatchUnreadable

_FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
"""Flags for a file that was not there: one that somebody has made before would be theirs, to read or to be a pipe."""


@dataclass
class NewFile:
    """A file being written; it is deleted unless `is_kept`."""

    content: IO[bytes]
    is_kept: bool = False


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """Open a new file, which gets its name when the block ends. Raises BatchUnreadable, also if it exists."""
    if path.exists():
        raise BatchUnreadable(
            f"{path}: exists already, and may have corrections. Remove it, or choose another place: --to FILE"
        )
    part = path.with_name(f".{path.name}.part")
    try:
        with suppress(FileNotFoundError):
            part.unlink()  # of a process that died
        with os.fdopen(os.open(part, _FLAGS, 0o600), "wb") as content:
            file = NewFile(content)
            yield file
            content.flush()
            os.fsync(content.fileno())
        if file.is_kept:
            part.rename(path)
    except OSError as error:
        raise BatchUnreadable(f"{path}: cannot be written ({error.strerror}). Name another place: --to FILE") from None
    finally:
        with suppress(OSError):
            part.unlink()
