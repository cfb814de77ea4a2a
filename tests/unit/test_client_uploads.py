"""What the client makes of cases, files and bytes before they are sent."""

import gzip
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_batch, a_case

from carecase_worker.cases.care_case import CareCase
from carecase_worker.client.access import Access
from carecase_worker.client.api import connect, connect_async
from carecase_worker.client.row_files import RowFile
from carecase_worker.client.uploads import BatchBuffer, Batches, items_in, reading
from carecase_worker.client.values import encoded
from carecase_worker.errors import BatchUnreadable, ClientError

LINES = b'\n {"case_Key": 1}\n{"case_Key": 2}'
MARK = b"\xef\xbb\xbf"
SKIPPABLE = b"\x5e\x2a\x4d\x18\x04\x00\x00\x00what"


def body_of(batch: Any) -> tuple[bytes, str, str | None]:
    with reading(batch) as upload:
        first, again = b"".join(upload.pieces()), b"".join(upload.pieces())
        assert first == again, "a batch can be sent again"
        return first, upload.content_type, upload.content_encoding


def test_cases_become_an_array() -> None:
    model = CareCase.model_validate(a_case(2, case_Score=0.5))
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    body, kind, encoding = body_of([a_case(1, case_Start_Date=moment, case_Score=Decimal("1.50")), model])
    assert json.loads(body) == [
        a_case(1, case_Start_Date="2026-01-02T03:04:05Z", case_Score=1.5),
        a_case(2, case_Score=0.5),
    ]
    assert (kind, encoding) == ("application/json", None)
    assert body_of(iter([]))[0] == b"[]"
    assert body_of(a_case(n) for n in range(3))[0].count(b"case_Key") == 3


class Frame:
    """A table as pandas, polars or pyarrow have it: its elements are the names of its columns."""

    def __init__(self, method: str) -> None:
        setattr(self, method, lambda *_: iter([]))

    def keys(self) -> list[str]:
        return ["case_Key"]

    def __getitem__(self, name: str) -> Any:
        return [1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())


async def no_cases() -> AsyncIterator[Any]:
    yield a_case(1)


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ([a_case(1), 17], "Case 1 is not a case: expected a mapping or CareCase, not int."),
        ([None], "Case 0 is not a case: expected a mapping or CareCase, not NoneType."),
        ([[1, 5]], "Case 0 is not a case: expected a mapping or CareCase, not list."),
        (['{"case_Key": 1}'], "Case 0 is not a case: expected a mapping or CareCase, not str."),
        (a_case(1), "One case (dict) was given as batch. A batch is a list of cases: [case]."),
        (CareCase.model_validate(a_case(1)), "One case (CareCase) was given as batch."),
        ("batch.json", "A str was given as batch. Give a file as Path(name), and JSON as bytes: text.encode()."),
        (Frame("iterrows"), 'Give its rows: frame.to_dict("records")'),
        (Frame("to_dicts"), "Give its rows: frame.to_dicts()"),
        (Frame("to_pylist"), "Give its rows: table.to_pylist()"),
        (no_cases(), "is asynchronous. Send it with connect_async."),
        (5, "A batch cannot be of type int."),
        (None, "A batch cannot be of type NoneType."),
        (Path("/no/such/file"), "/no/such/file: cannot be read"),
        (Path("/tmp"), "/tmp: is a directory. Send its files one by one"),
        (io.StringIO("[]"), "binary mode"),
    ],
)
def test_what_is_no_batch_is_refused_with_what_to_do(batch: Any, words: str) -> None:
    with pytest.raises(BatchUnreadable, match=re.escape(words)):
        body_of(batch)
    with pytest.raises(BatchUnreadable, match=re.escape(words)):
        list(items_in(batch))


@pytest.mark.parametrize(
    ("raw", "kind", "encoding"),
    [
        (a_batch(a_case(1)), "application/json", None),
        (LINES, "application/x-ndjson", None),
        (gzip.compress(LINES), "application/x-ndjson", "gzip"),
        (gzip.compress(a_batch(a_case(1))), "application/json", "gzip"),
        (zstandard.compress(LINES), "application/x-ndjson", "zstd"),
        (MARK + LINES, "application/x-ndjson", None),
        (MARK + LINES.replace(b"\n", b"\r\n"), "application/x-ndjson", None),
        (MARK + b"\r\n" + a_batch(a_case(1)), "application/json", None),
        (b"\r\n" * 100_000 + LINES, "application/x-ndjson", None),
        (gzip.compress(MARK + LINES), "application/x-ndjson", "gzip"),
        (gzip.compress(b"") + gzip.compress(MARK) + gzip.compress(LINES), "application/x-ndjson", "gzip"),
        (zstandard.compress(MARK + LINES), "application/x-ndjson", "zstd"),
        (SKIPPABLE + zstandard.compress(b"\n") + zstandard.compress(LINES), "application/x-ndjson", "zstd"),
        (b'{"case_Key": 1, "case_ID": "\\ud800"}\n{}', "application/x-ndjson", None),
        (b'{"case_Key": 1, "case_ID": "' + b"x" * 100_000 + b'"}\n{}', "application/x-ndjson", None),
        (b'{"case_Key": 1}', "application/x-ndjson", None),
        (b"case_Key\n1\n", "application/json", None),
        (b'{"case_Key": broken}\n{}', "application/x-ndjson", None),
        (b"[]", "application/json", None),
        (b"null", "application/json", None),
    ],
)
def test_a_file_is_sent_as_it_is_and_its_form_is_seen(
    tmp_path: Path, raw: bytes, kind: str, encoding: str | None
) -> None:
    path = tmp_path / "batch"
    path.write_bytes(raw)
    for batch in (raw, bytearray(raw), path, io.BytesIO(raw)):
        assert body_of(batch) == (raw, kind, encoding)


@given(st.lists(st.integers(0, 300)), st.integers(1, 7), st.integers(100, 1000))
def test_batches_have_every_case_in_order_within_bounds(lengths: list[int], items: int, size: int) -> None:
    batches = Batches(items, size)
    cases = [{"n": n, "text": "x" * length} for n, length in enumerate(lengths)]

    def bodies() -> Iterator[bytes]:
        for number, case in enumerate(cases):
            for full in batches.add(encoded(case, number)):
                yield b"".join(full.upload().pieces())
        for last in batches.rest():
            yield b"".join(last.upload().pieces())

    made = list(bodies())
    parts = [json.loads(body) for body in made]
    assert [case for part in parts for case in part] == cases
    assert all(1 <= len(part) <= items for part in parts)
    assert all(len(body) <= size or len(part) == 1 for body, part in zip(made, parts, strict=True))


def test_a_full_batch_says_so_before_the_next_case_is_asked_for() -> None:
    batches = Batches(2, 1 << 20)
    assert [len(list(batches.add(encoded(a_case(n), n)))) for n in range(5)] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_what_was_compressed_in_pieces_is_read_to_its_end(compress: Callable[[bytes], bytes]) -> None:
    pieces = (b'[{"case_Key": 1}', b', {"case_Key": 2}', b', {"case_Key": 3}]')
    items = list(items_in(b"".join(map(compress, pieces))))
    assert [json.loads(item)["case_Key"] for item in items] == [1, 2, 3]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize("text", [LINES, b"\xef\xbb\xbf\n" + LINES, b' [ {"case_Key": 1} ,\n{"case_Key": 2}]'])
def test_a_file_that_can_be_read_only_once_is_cut_into_its_items(compress: Any, text: bytes) -> None:
    class Pipe:
        """Reads a few bytes at a time, and only forwards."""

        def __init__(self) -> None:
            self._held = io.BytesIO(compress(text))

        def read(self, size: int) -> bytes:
            return self._held.read(min(size, 5))

    assert [json.loads(item) for item in items_in(cast(Any, Pipe()))] == [{"case_Key": 1}, {"case_Key": 2}]


def test_a_file_that_cannot_be_sent_again_from_its_beginning_is_reported() -> None:
    class Socket(io.RawIOBase):
        """Can be read, and not from its beginning."""

        def readable(self) -> bool:
            return True

    for file in (Socket(), SimpleNamespace(read=lambda _: b"")):
        with pytest.raises(BatchUnreadable, match=r"The file cannot be read from its beginning. Give its Path, or its"):
            body_of(file)


def test_what_is_split_and_breaks_off_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "cut.json.gz"
    file.write_bytes(gzip.compress(a_batch(*(a_case(n) for n in range(50_000))))[:-20])
    with pytest.raises(BatchUnreadable, match=r"cut.json.gz: the compressed data is damaged or truncated"):
        list(items_in(file))
    with pytest.raises(BatchUnreadable, match="line 2"):
        list(items_in(b'{"case_Key": 1}\n{"case_Key": }'))


def test_a_batch_that_is_too_large_is_cut_again() -> None:
    whole = BatchBuffer()
    for number in range(5):
        whole.add(b"%d" % number)
    parts = list(whole.cut(2))
    assert [(part.first, part.items) for part in parts] == [(0, 2), (2, 2), (4, 1)]
    assert [b"".join(part.upload().pieces()) for part in parts] == [b"[0,1]", b"[2,3]", b"[4]"]


def test_no_secret_is_shown() -> None:
    secrets = {"api_key": "s3cret-key", "token": "s3cret-token"}
    access = Access("https://user:s3cret-pass@host/", **secrets)
    with connect("https://user:s3cret-pass@host/", **secrets) as client:
        shown = f"{client!r} {client} {vars(client)} {access!r} {connect_async('http://h', **secrets)!r}"
    assert "s3cret-key" not in shown
    assert "s3cret-token" not in shown
    assert "s3cret-pass" not in repr(client)


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host", "http://", "https://host:port"])
def test_a_url_that_is_none_is_reported(url: str) -> None:
    with pytest.raises(ClientError, match="URL"):
        connect(url)


@pytest.mark.parametrize("content", [b"case_Key\n1\n", gzip.compress(b"case_Key\n1\n")])
def test_an_open_file_of_rows_is_sent_from_its_beginning_wherever_it_was_read_to(content: bytes) -> None:
    file = io.BytesIO(content)
    expected = body_of(RowFile(file))
    file.seek(5)
    assert body_of(RowFile(file)) == expected == (content, "text/csv", "gzip" if content[:1] != b"c" else None)


def test_it_is_reported_that_a_batch_is_sent_also_of_the_parts_of_one_that_was_too_large() -> None:
    """Whoever is interrupted then is told that the last one may have been accepted."""
    whole: list[int] = []
    batch = BatchBuffer(0, lambda: whole.append(1))
    for item in (b"1", b"2", b"3"):
        batch.add(item)
    for part in batch.cut(1):
        b"".join(part.upload().pieces())
    assert len(whole) == 3


def test_it_is_reported_of_every_batch_that_it_is_sent() -> None:
    whole: list[int] = []
    batches = Batches(2, 100, lambda: whole.append(1))
    parts = [part for item in (b"1", b"2", b"3", b"4", b"5") for part in batches.add(item)]
    for part in (*parts, *batches.rest()):
        b"".join(part.upload().pieces())
    assert len(whole) == 3
