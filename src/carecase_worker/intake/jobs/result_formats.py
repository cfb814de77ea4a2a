"""Formats of a result: the multi-status document as JSON, or the acknowledgement as CSV."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from fastapi import Request

from carecase_worker.batches.line_numbers import lines_of_runs
from carecase_worker.batches.payloads import ChunkOutcomes
from carecase_worker.files import acknowledgement
from carecase_worker.files.acknowledgement import ItemRow
from carecase_worker.intake.http.requests.negotiation import CSV_TYPE, json_type_of, prefers_csv
from carecase_worker.intake.jobs.documents import indexed_items, items, multi_status


class ResultFormat(Protocol):
    """A format of a result; `media_type` is its Content-Type."""

    media_type: str

    def whole(self, first: int, chunk: ChunkOutcomes, /) -> bytes:
        """Encode all items of a chunk; `first` is the index of its first item in the batch."""
        ...

    def some(self, first: int, chunk: ChunkOutcomes, places: Sequence[int]) -> bytes:
        """Encode the items at some indices of a chunk, each with its index in the batch."""
        ...

    def document(self, job_id: str, pieces: Iterable[bytes], /) -> Iterator[bytes]:
        """Yield the document around its items, piece by piece."""
        ...


def result_format_of(request: Request, dry_run: bool = False) -> ResultFormat:
    """Return the format that a client prefers."""
    return CsvResult(dry_run) if prefers_csv(request.headers.get("accept")) else JsonResult(json_type_of(request))


class JsonResult:
    """The multi-status document."""

    def __init__(self, media_type: str) -> None:
        self.media_type = media_type

    def whole(self, _: int, chunk: ChunkOutcomes, /) -> bytes:
        """Encode all items of a chunk, without indices: the document has them all in order."""
        return items(chunk.keys, chunk.outcomes, chunk.lines)

    def some(self, first: int, chunk: ChunkOutcomes, places: Sequence[int]) -> bytes:
        """Encode the items at some indices of a chunk, each with its index in the batch."""
        lines = list(lines_of_runs(chunk.lines, len(chunk.keys))) if chunk.lines else []
        indexed = [(first + place, chunk.keys[place], chunk.outcomes[place]) for place in places]
        return indexed_items(indexed, [lines[place] for place in places] if lines else ())

    def document(self, job_id: str, pieces: Iterable[bytes], /) -> Iterator[bytes]:
        """Yield the document around its items, piece by piece."""
        return multi_status(job_id, pieces)


class CsvResult:
    """The acknowledgement: a header row, and a row for each item.

    It has more columns if the first items were rows of a file, and one more, the last, for a dry run. Items whose
    payload could not be read have no line, so the first ones decide for all.
    """

    media_type = CSV_TYPE

    def __init__(self, dry_run: bool = False) -> None:
        self._of_rows: bool | None = None
        self._dry_run = dry_run

    def whole(self, first: int, chunk: ChunkOutcomes, /) -> bytes:
        """Encode all items of a chunk."""
        return self.some(first, chunk, range(len(chunk.keys)))

    def some(self, first: int, chunk: ChunkOutcomes, places: Sequence[int]) -> bytes:
        """Encode the items at some indices of a chunk."""
        if self._of_rows is None:
            self._of_rows = bool(chunk.lines)
        lines = list(lines_of_runs(chunk.lines, len(chunk.keys))) if chunk.lines else [None] * len(chunk.keys)
        items = (
            ItemRow(
                first + place,
                chunk.keys[place],
                one.kind.status,
                one.body,
                one.kind.counted_as,
                lines[place],
                (one.changes or ()) if self._dry_run else None,
            )
            for place in places
            for one in (chunk.outcomes[place],)
        )
        return acknowledgement.rows(items, self._of_rows)

    def document(self, _: str, pieces: Iterable[bytes], /) -> Iterator[bytes]:
        """Yield the header row, whose columns depend on the first items, then all rows."""
        is_first = True
        for piece in pieces:
            yield self._header() + piece if is_first else piece
            is_first = False
        if is_first:
            yield self._header()

    def _header(self) -> bytes:
        return acknowledgement.header(bool(self._of_rows), self._dry_run)
