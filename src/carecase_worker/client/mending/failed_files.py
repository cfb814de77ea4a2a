"""A file of the failed items, written beside the file that was sent, for correction."""

import csv
import hashlib
from codecs import IncrementalEncoder, getincrementalencoder
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from carecase_worker.client.documents import ItemResult, Job, id_of
from carecase_worker.client.files.sources import opened, reading_of
from carecase_worker.client.mending.failed_items import Choice, failed_file
from carecase_worker.client.mending.new_files import new_file
from carecase_worker.client.mending.originals import Original, OriginalFile, path_of
from carecase_worker.client.row_files import RowFile
from carecase_worker.errors import BatchUnreadable
from carecase_worker.files.acknowledgement import plain

_PACKED = (".gz", ".zst")
_REASONS = ("line", "index", "line_of_original", "case_Key", "status", "reason")
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """A file of failed items: their number, and the separate file of reasons, if the format has no place for them."""

    count: int
    path: Path
    reasons: Path | None = None


def usual_path(file: OriginalFile) -> Path:
    """Return the path of the failed items of a file, beside it: cases.failed.csv of cases.csv.gz and cases.xlsx."""
    path = path_of(file)
    while path.suffix.lower() in _PACKED:
        path = path.with_suffix("")
    suffix = ".csv" if isinstance(file, RowFile) and file.is_table else path.suffix
    return path.with_name(f"{path.stem}.failed{suffix}")


def write_failed(original: Original, results: Iterable[ItemResult], to: Path, choice: Choice) -> Written:
    """Write the chosen items of a job to a file, which must not exist yet; no file if no item is chosen.

    `results` are as `failed_file` takes them. Raises BatchUnreadable.
    """
    beside = to.with_name(f"{to.name}.reasons.csv")
    failed = failed_file(original, results, choice)
    encoder = getincrementalencoder(failed.encoding)()
    count, line, are_all_explained = 0, 1, True
    with new_file(to) as file, new_file(beside) as reasons:
        reasons.content.write(_row(_REASONS))
        for piece in failed.pieces:
            if (result := piece.result) is not None:
                count += 1
                are_all_explained = are_all_explained and piece.has_reason
                own = result.index, piece.line, result.key, result.status, plain(result.body)
                reasons.content.write(_row((line, *own)))
            file.content.write(_encoded(piece.text, encoder, failed.encoding, original.name))
            line += piece.text.count("\n")
        file.is_kept = bool(count)
        reasons.is_kept = file.is_kept and choice.with_reasons and not are_all_explained
    return Written(count, to, beside if reasons.is_kept else None)


def key_of_resent(job: Job | str, file: Path) -> str:
    """Return the Idempotency-Key of a file of a job's failed items: the same content gives the same job."""
    digest = hashlib.sha256()
    with opened(file) as (content, name), reading_of(name):
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
    return f"resend-{id_of(job)}-{digest.hexdigest()}"


def as_original(file: Path, original: OriginalFile) -> OriginalFile:
    """Return a file of failed items, to be sent in the same way as the original."""
    return RowFile(file, original.mapping) if isinstance(original, RowFile) else file


def _row(cells: Sequence[object]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _encoded(text: str, encoder: IncrementalEncoder, encoding: str, name: str) -> bytes:
    try:
        return encoder.encode(text)
    except UnicodeEncodeError:
        raise BatchUnreadable(
            f"{name}: has characters that {encoding}, the mapping's encoding, lacks. Correct the rows in that file"
            " itself, or change the encoding."
        ) from None
