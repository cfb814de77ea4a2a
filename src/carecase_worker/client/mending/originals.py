"""The file that a job was made of, verified by the digest of the job's body before it is used."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from carecase_worker.client.documents import Job
from carecase_worker.client.files.sources import decompressed, opened, reading_of
from carecase_worker.client.row_files import RowFile
from carecase_worker.client.uploads import BATCH_BYTES, BATCH_ITEMS, PART_BYTES, PART_ITEMS, items_in
from carecase_worker.errors import BatchUnreadable, JobNotFinal, RequestRefused

OriginalFile: TypeAlias = Path | RowFile
"""A file as it was sent: JSON array or NDJSON by its path, rows as RowFile; compressed or not."""

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Original:
    """A file whose items from index `first` on are those of a job.

    `is_body` if the job's body is the file, decompressed; else its items went as an array, maybe one of several.
    """

    file: OriginalFile
    job: Job
    first: int = 0
    is_body: bool = False

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return str(path_of(self.file))

    @property
    def has_rows_of_the_service(self) -> bool:
        """True if the service converted the file's rows, so that it knows their lines."""
        return self.is_body and isinstance(self.file, RowFile)


def original_of(file: OriginalFile, job: Job) -> Original:
    """Locate the items of a final job in the file that was sent.

    Raises BatchUnreadable if the digest of the job's body shows that it was another file, JobNotFinal.
    """
    if not job.final:
        raise JobNotFinal(f"The job is {job.state}. Wait until it is final: carecase status {job.job_id} --watch")
    name, path = path_of(file), path_of(file)
    if not path.is_file():
        raise BatchUnreadable(f"{name}: is not a file that can be read twice. Give the file that was sent, not a pipe.")
    if _digest(path) == job.body_sha256:
        return Original(file, job, is_body=True)
    is_of_the_service = isinstance(file, RowFile) and isinstance(file.mapping, str)
    first, why = None, ""
    try:
        first = None if is_of_the_service else _first_of(file, job)
    except BatchUnreadable as error:
        why = f" As given, it has no items: {error}"
    if first is None:
        raise BatchUnreadable(
            f"{name}: is not the file of job {job.job_id}; its digest differs. Give the file exactly as"
            " it was sent, with its mapping. If retry made the job, name the job"
            f" that was retried.{why}"
        )
    return Original(file, job, first)


def refuse_original(file: OriginalFile, job: Job) -> None:
    """Raise RequestRefused for the whole original of a job: resending it would repeat the items that succeeded.

    An unreadable file passes.
    """
    with suppress(BatchUnreadable):
        name = original_of(file, job).name
        raise RequestRefused(f"{name}: is the whole file of job {job.job_id}. Give the one that carecase failed wrote.")


def path_of(file: OriginalFile) -> Path:
    """Return the path of a file. Raises BatchUnreadable if it has none."""
    source = file.source if isinstance(file, RowFile) else file
    if not isinstance(source, Path):
        raise BatchUnreadable("The file that was sent is needed by its path, not as bytes or a pipe.")
    return source


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with opened(path) as (source, name), reading_of(name):
        content = decompressed(source)
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _first_of(file: OriginalFile, job: Job) -> int | None:
    """Return the index of a job's first item in a file whose items were sent as arrays; None if not found."""
    cutters = [_Cutter(job.total), _Cutter(PART_ITEMS, PART_BYTES), _Cutter(BATCH_ITEMS, BATCH_BYTES)]
    count = 0
    for item in items_in(file):
        count += 1
        for cutter in cutters:
            if cutter.take(item) == (job.total, job.body_sha256):
                return cutter.first
    for cutter in cutters:
        if cutter.cut() == (job.total, job.body_sha256):
            return cutter.first
    return _of_the_last(file, count - job.total, job) if count > job.total else None


def _of_the_last(file: OriginalFile, first: int, job: Job) -> int | None:
    """Return `first` if the items from there on are those of a job, whatever the size of its part."""
    cutter = _Cutter(job.total)
    for place, item in enumerate(items_in(file)):
        if place >= first:
            cutter.take(item)
    return first if cutter.cut() == (job.total, job.body_sha256) else None


class _Cutter:
    """The digests of items sent in parts of fixed size, each an array as written by BatchBuffer."""

    def __init__(self, items: int, size: int | None = None) -> None:
        self._items = items
        self._most_bytes = size
        self.first = self._next = 0
        self._begin()

    def take(self, item: bytes) -> tuple[int, str] | None:
        """Take an item; return size and digest of the part that ended before it, or with the item before that."""
        is_full = self._count >= self._items
        if self._most_bytes is not None and self._count:
            is_full = is_full or self._size + len(item) + len(b",]") > self._most_bytes
        ended = self.cut() if is_full else None
        self._hash.update(b"," if self._count else b"[")
        self._hash.update(item)
        self._size += 1 + len(item)
        self._count += 1
        return ended

    def cut(self) -> tuple[int, str]:
        """End a part; return its size and digest. Afterwards `first` is the index of its first item."""
        self._hash.update(b"]")
        ended = self._count, self._hash.hexdigest()
        self.first, self._next = self._next, self._next + self._count
        self._begin()
        return ended

    def _begin(self) -> None:
        self._hash, self._count, self._size = hashlib.sha256(), 0, 0
