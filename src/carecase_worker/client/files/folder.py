"""A watched folder: files that partners put there are sent once complete, then filed away with their results.

A file is in one of four directories: the folder itself, `.sending` while it is being sent, then `done` or `failed`. It
is moved only by renames, so after a crash it is in one of them, and the next process continues from there.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from stat import S_ISREG

from carecase_worker.errors import BatchUnreadable

_UNFINISHED = (".tmp", ".part", ".filepart", ".crdownload", ".lock")
_ACKNOWLEDGEMENT = ".ack.csv"
_WRITING = ".writing"
_DIGITS = 12
_LONGEST_BYTES = 255 - len(_ACKNOWLEDGEMENT) - len(".") - _DIGITS
"""Maximum size in bytes of a file name, so that all suffixes can be added to it."""

Stamp = tuple[int, int, int]
"""Size, time of the last change in ns, and inode of a file."""


class Folder:
    """A watched folder, used while it is `watched`.

    Senders of files might replace a directory by a link. So this process opens its directories once, without following
    links, and moves files by directory descriptors.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._sending, self._done, self._failed = place / ".sending", place / "done", place / "failed"
        self._opened: dict[Path, int] = {}
        self._seen: dict[str, tuple[Stamp, float]] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Lock the folder for this process. Raises BatchUnreadable if another process has it, or it cannot be used."""
        with ExitStack() as stack:
            try:
                for one in (self._place, self._sending, self._done, self._failed):
                    self._opened[one] = self._open(one)
                    stack.callback(os.close, self._opened[one])
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                lock = os.open(".lock", flags, 0o600, dir_fd=self._opened[self._sending])
                stack.callback(os.close, lock)
            except OSError as error:
                raise BatchUnreadable(f"{self._place}: cannot be watched ({error.strerror})") from None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = f"{self._place}: another carecase drop watches it. Stop that one first."
                raise BatchUnreadable(text) from None
            yield

    def taken(self, now_s: float, settle_s: float) -> list[Path]:
        """Move the files that have not changed for `settle_s` seconds to `.sending`; return all files there, by name.

        Raises BatchUnreadable if `.sending` was replaced.
        """
        seen: dict[str, tuple[Stamp, float]] = {}
        for name, stamp in self._files(self._place):
            since = self._seen[name][1] if self._seen.get(name, ((), 0))[0] == stamp else now_s
            seen[name] = stamp, since
            if now_s - since >= settle_s and not self._has(self._sending, name):
                with suppress(FileNotFoundError):  # it was taken away again
                    self._move(self._place, name, self._sending, name)
                del seen[name]
        self._seen = seen
        if not os.path.samestat(os.fstat(self._opened[self._sending]), self._sending.lstat()):
            raise BatchUnreadable(f"{self._sending}: was replaced. Remove it, and start again.")
        return [self._sending / name for name, _ in self._files(self._sending)]

    def file_away(self, file: Path, digest: str, acknowledgement: Iterable[bytes], is_done: bool) -> Path:
        """Write the acknowledgement of a file, then move the file beside it; return its new path.

        A name that exists, or is too long, gets a part of the content's digest before its suffix.
        """
        place = self._done if is_done else self._failed
        name = file.name
        if self._has(place, name) or len(os.fsencode(name)) > _LONGEST_BYTES:
            name = _with_digest(file, digest)
        sending = self._opened[self._sending]
        with suppress(FileNotFoundError):
            os.unlink(_WRITING, dir_fd=sending)  # of a process that died
        opened = os.open(_WRITING, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=sending)
        with os.fdopen(opened, "wb") as written:
            written.writelines(acknowledgement)
            written.flush()
            os.fsync(written.fileno())
        self._move(self._sending, _WRITING, place, name + _ACKNOWLEDGEMENT)
        self._move(self._sending, file.name, place, name)
        return place / name

    def _open(self, place: Path) -> int:
        """Open a directory; the folder's own ones are created, and must not be links."""
        if place == self._place:
            return os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        place.mkdir(mode=0o700, exist_ok=True)
        return os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def _move(self, source: Path, name: str, target: Path, new_name: str) -> None:
        os.rename(name, new_name, src_dir_fd=self._opened[source], dst_dir_fd=self._opened[target])

    def _has(self, place: Path, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self._opened[place], follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _files(self, place: Path) -> Iterator[tuple[str, Stamp]]:
        """Yield the regular files of a directory by name; links are not followed."""
        with os.scandir(self._opened[place]) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
            for entry in found:
                if entry.name.startswith(".") or entry.name.lower().endswith((*_UNFINISHED, _ACKNOWLEDGEMENT)):
                    continue
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if S_ISREG(status.st_mode):
                        yield entry.name, (status.st_size, status.st_mtime_ns, status.st_ino)


def _with_digest(file: Path, digest: str) -> str:
    """Return the name of a file with a part of a digest before its suffix, truncated to the maximum length."""
    suffix = os.fsencode(file.suffix)[:_DIGITS]
    stem = os.fsencode(file.stem)[: _LONGEST_BYTES - len(suffix)]
    return os.fsdecode(stem + b"." + digest[:_DIGITS].encode() + suffix)
