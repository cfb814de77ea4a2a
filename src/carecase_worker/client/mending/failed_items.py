"""The failed items of a file, unchanged, and the text around them that makes a file of the same format."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from carecase_worker.batches.line_numbers import NumberedItems
from carecase_worker.client.documents import ItemResult
from carecase_worker.client.files.sources import items_of, look_into, media_type_of, opened
from carecase_worker.client.mending.failed_rows import NotedRows
from carecase_worker.client.mending.lines_of_files import json_lines, table_lines, text_lines, transparent_encoding
from carecase_worker.client.mending.originals import Original, path_of
from carecase_worker.client.row_files import RowFile, groups_of_items
from carecase_worker.errors import BatchUnreadable
from carecase_worker.files.acknowledgement import notes_of
from carecase_worker.files.episodes import EpisodeMapping
from carecase_worker.files.mapping import NAMES_OF_FIELDS, FileMapping

_TRANSPARENT = "iso-8859-1"
_UNAPPLIED = ("failed", "cancelled")


@dataclass(frozen=True, slots=True)
class FailedText:
    """A piece of a new file: a failed item with its line in the original, or text around items.

    `has_reason` if the reason is within the text.
    """

    text: str
    result: ItemResult | None = None
    line: int | None = None
    has_reason: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of unapplied items: all, for correction, or only the retryable ones."""

    is_retryable_only: bool = False
    with_reasons: bool = True

    def takes(self, result: ItemResult) -> bool:
        """Return whether an item is chosen; of a dry run, those that would not be applied."""
        return result.is_retryable if self.is_retryable_only else result.group in _UNAPPLIED


TO_BE_MENDED, TO_BE_RESENT = Choice(), Choice(is_retryable_only=True, with_reasons=False)


@dataclass(frozen=True, slots=True)
class FailedFile:
    """The pieces of a file with failed items, and its encoding."""

    pieces: Iterator[FailedText]
    encoding: str = _TRANSPARENT


_Located = tuple[int, ItemResult | None]
"""The line of an item, and its result if it failed."""


def failed_file(original: Original, results: Iterable[ItemResult], choice: Choice) -> FailedFile:
    """Return the content of a file with the chosen items: JSON for JSON, rows for rows.

    `results` are in order: of all items if the service converted rows, else at least of those that failed.
    Raises BatchUnreadable, also while the pieces are iterated over.
    """
    file, with_reasons = original.file, choice.with_reasons
    if not original.has_rows_of_the_service:
        results = filter(choice.takes, results)
    if not isinstance(file, RowFile):
        with opened(file) as (source, name):
            is_array = media_type_of(look_into(source, name)[1]) == "application/json"
        return FailedFile((_array if is_array else _lines)(original, results, with_reasons))
    if isinstance(file.mapping, EpisodeMapping):
        return FailedFile(_lines(original, results, with_reasons))
    return _rows(original, file, results, choice)


def _array(original: Original, results: Iterable[ItemResult], with_reasons: bool) -> Iterator[FailedText]:
    wanted, between = iter(results), "[\n"
    result = next(wanted, None)
    for index, item in enumerate(islice(items_of(path_of(original.file)), original.first, None)):
        if result is None:
            break
        if result.index == index:
            yield FailedText(between)
            yield FailedText(_noted(item, result, None, with_reasons), result, has_reason=True)
            between, result = ",\n", next(wanted, None)
    _require_all_found(original, result)
    yield FailedText("\n]\n")


def _lines(original: Original, results: Iterable[ItemResult], with_reasons: bool) -> Iterator[FailedText]:
    wanted = iter(results)
    result = next(wanted, None)
    for index, (line, item) in enumerate(islice(json_lines(path_of(original.file)), original.first, None)):
        if result is None:
            break
        if result.index == index:
            yield FailedText(_noted(item, result, line, with_reasons) + "\n", result, line, has_reason=True)
            result = next(wanted, None)
    _require_all_found(original, result)


def _noted(item: bytes, result: ItemResult, line: int | None, with_reasons: bool) -> str:
    """Return an item as it was sent, in one line, with added members for the reason, which are not fields."""
    text = item.decode(_TRANSPARENT)
    if not with_reasons:
        return text
    text = " ".join(text.split("\n")).replace("\r", " ").strip()
    notes = {name: value for name, value in notes_of(result.index, line, result.status, result.body) if value != ""}
    if not (text.startswith("{") and text.endswith("}")):
        notes["_item"] = item.decode("utf-8", "replace")
        return json.dumps(notes)
    members = text[1:-1].rstrip()
    return f"{{{members}{', ' if members.strip() else ''}{json.dumps(notes)[1:]}"


def _rows(original: Original, file: RowFile, results: Iterable[ItemResult], choice: Choice) -> FailedFile:
    path, mapping = path_of(file), file.mapping or NAMES_OF_FIELDS
    if isinstance(mapping, FileMapping):
        encoding = mapping.encoding
        elements = table_lines(file, mapping) if file.is_table else text_lines(path, encoding)
        is_tabbed = original.has_rows_of_the_service and "tab" in file.content_type
        noted = NotedRows(mapping, is_tabbed) if choice.with_reasons and mapping.has_header else None
        is_quoted = not file.is_table and not mapping.places
    else:
        encoding = transparent_encoding(path)
        elements, noted, is_quoted = text_lines(path, encoding), None, True
    is_of_service = original.has_rows_of_the_service
    located = _of_the_service(results, choice) if is_of_service else _located_here(original, file, results)
    return FailedFile(_pieces_of_rows(_spans(original, elements, located), noted, is_quoted), encoding)


def _of_the_service(results: Iterable[ItemResult], choice: Choice) -> Iterator[_Located]:
    for result in results:
        if result.line is None:
            raise BatchUnreadable("The job has no line numbers, so its rows cannot be found. Send the file again.")
        yield result.line, result if choice.takes(result) else None


def _located_here(original: Original, file: RowFile, results: Iterable[ItemResult]) -> Iterator[_Located]:
    wanted = iter(results)
    result = next(wanted, None)
    numbered = (items for items in groups_of_items(file) if isinstance(items, NumberedItems))
    for index, line in enumerate((line for items in numbered for line in items.lines), start=-original.first):
        if result is not None and result.index == index:
            yield line, result
            result = next(wanted, None)
        else:
            yield line, None
    _require_all_found(original, result)


_Span = tuple[Sequence[str], int, ItemResult | None]


def _spans(original: Original, elements: Iterable[str], located: Iterator[_Located]) -> Iterator[_Span]:
    """Yield the lines before the first row, then those from each row on to the next one."""
    span: list[str] = []
    line, result = 0, None
    upcoming = next(located, None)
    for number, element in enumerate(elements, start=1):
        if upcoming is not None and number == upcoming[0]:
            yield span, line, result
            span, (line, result) = [], upcoming
            upcoming = next(located, None)
        span.append(element)
    _require_all_found(original, upcoming)
    yield span, line, result


def _pieces_of_rows(spans: Iterable[_Span], noted: NotedRows | None, is_quoted: bool) -> Iterator[FailedText]:
    rest: Sequence[str] = ()
    for span, line, result in spans:
        if not line:
            yield FailedText(noted.head(span) if noted else "".join(span))
            continue
        end = _end_of_record(span) if is_quoted else 1
        rest = span[end:]
        if result is not None:
            text = "".join(span[:end])
            yield FailedText(noted.row(text, line, result) if noted else _ended(text), result, line, noted is not None)
    if any(map(str.strip, rest)):
        yield FailedText("".join(rest))


def _end_of_record(span: Sequence[str]) -> int:
    """Return the number of lines of the first record, which ends where quotes are balanced; not for fixed width."""
    quotes = 0
    for number, line in enumerate(span, start=1):
        quotes += line.count('"')
        if quotes % 2 == 0:
            return number
    return 1


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _require_all_found(original: Original, left: object) -> None:
    if left is not None:
        raise BatchUnreadable(
            f"{original.name}: has fewer items than job {original.job.job_id}. Give the file unchanged."
        )
