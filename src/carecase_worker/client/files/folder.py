"""A watched folder: files that partners put there, taken once complete, and filed away with what became of them.

A file is in one of four places: the folder itself, `.sending` while it is being sent, then `done` or `failed`. It moves
by renames alone, so a process that dies leaves it in one of them, and the next one goes on from there.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG

from carecase_worker.errors import BatchUnreadable

_UNFINISHED = (".tmp", ".part", ".filepart", ".crdownload", ".lock")
_ACKNOWLEDGEMENT = ".ack.csv"
_DIGITS = 12

Stamp = tuple[int, int, int]
"""Size, time of the last change in ns, and inode of a file."""


class Folder:
    """A watched folder."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._sending, self._done, self._failed = place / ".sending", place / "done", place / "failed"
        self._seen: dict[str, tuple[Stamp, float]] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Hold the folder for this process. Raises BatchUnreadable if another one has it, or it cannot be used."""
        try:
            for one in (self._sending, self._done, self._failed):
                one.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(self._sending / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BatchUnreadable(f"{self._place}: cannot be watched ({error.strerror})") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise BatchUnreadable(f"{self._place}: another carecase drop watches it. Stop that one first.") from None
        finally:
            os.close(lock)

    def taken(self, now_s: float, settle_s: float) -> list[Path]:
        """Take the files that have not changed for `settle_s` seconds; return all that are to be sent, by name."""
        seen: dict[str, tuple[Stamp, float]] = {}
        for name, stamp in self._files(self._place):
            since = self._seen[name][1] if self._seen.get(name, ((), 0))[0] == stamp else now_s
            seen[name] = stamp, since
            if now_s - since >= settle_s and not (self._sending / name).exists():
                (self._place / name).rename(self._sending / name)
                del seen[name]
        self._seen = seen
        return [self._sending / name for name, _ in self._files(self._sending)]

    def file_away(self, file: Path, digest: str, acknowledgement: Iterable[bytes], is_done: bool) -> Path:
        """Write the acknowledgement of a file that was taken, then move the file beside it; return where it is.

        A name that is there already gets a part of the content's digest before its suffix.
        """
        place = self._done if is_done else self._failed
        target = place / file.name
        if target.exists():
            target = target.with_name(f"{file.stem}.{digest[:_DIGITS]}{file.suffix}")
        told = target.with_name(target.name + _ACKNOWLEDGEMENT)
        unfinished = self._sending / f".{told.name}"
        with unfinished.open("wb") as written:
            written.writelines(acknowledgement)
            written.flush()
            os.fsync(written.fileno())
        unfinished.rename(told)
        file.rename(target)
        return target

    def _files(self, place: Path) -> Iterator[tuple[str, Stamp]]:
        """Yield the regular files of a directory by name; no link is followed, which might lead anywhere."""
        for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.name.lower().endswith((*_UNFINISHED, _ACKNOWLEDGEMENT)):
                continue
            status = entry.stat(follow_symlinks=False)
            if S_ISREG(status.st_mode):
                yield entry.name, (status.st_size, status.st_mtime_ns, status.st_ino)
