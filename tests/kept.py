"""Directories that a session of tests finds as an earlier one left them: what takes long to make and seldom changes."""

import fcntl
import hashlib
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO


class KeptDirectories:
    """Environments and the like, in pytest's cache: `pytest --cache-clear` removes them.

    One that another session has just now is not waited for: it is made once more, `otherwise`.
    """

    def __init__(self, kept: Path, otherwise: Path) -> None:
        self._kept = kept
        self._otherwise = otherwise
        self._locks: list[IO[str]] = []
        self._ready: dict[str, Path] = {}

    def directory(self, name: str, make: Callable[[Path], object], made_of: Sequence[str]) -> Path:
        """The directory of that name; `make` makes it, unless it has been made of the same texts, for this Python."""
        if name not in self._ready:
            self._ready[name] = self._made(name, make, made_of)
        return self._ready[name]

    def _made(self, name: str, make: Callable[[Path], object], made_of: Sequence[str]) -> Path:
        place = self._kept / name
        if not self._is_ours(place.with_suffix(".lock")):
            place = self._otherwise / name
            make(place)
            return place
        note, digest = place.with_suffix(".made-of"), hashlib.sha256("\0".join((sys.version, *made_of)).encode())
        if not (note.exists() and note.read_text() == digest.hexdigest()):
            note.unlink(missing_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            make(place)
            note.write_text(digest.hexdigest())
        return place

    def _is_ours(self, path: Path) -> bool:
        """Lock a file until the session ends; False if another session has it."""
        lock = path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._locks.append(lock)
        return True
