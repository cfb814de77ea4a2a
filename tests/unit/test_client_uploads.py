"""What the client makes of cases, files and bytes before they are sent."""

import gzip
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_batch, a_case

from carecase_worker.cases.care_case import CareCase
from carecase_worker.client.access import Access
from carecase_worker.client.api import connect, connect_async
from carecase_worker.client.uploads import Batches, reading
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


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ([a_case(1), 17], "Case 1 is none"),
        (a_case(1), "Case 0 is none"),
        ("batch.json", "give mappings"),
        ([a_case(1, case_Score=float("nan"))], "Case 0 holds a number"),
        ([a_case(1, case_ID=object())], "Case 0 holds a value"),
        ([a_case(1, case_ID="\ud800")], "Case 0 holds a value"),
        (Path("/no/such/file"), "cannot be read"),
        (io.StringIO("[]"), "binary mode"),
    ],
)
def test_what_is_no_batch_is_told_without_its_values(batch: Any, words: str) -> None:
    with pytest.raises(BatchUnreadable, match=words):
        body_of(batch)


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
        (b'{\n  "cases": [{"case_Key": 1}]\n}\n', "application/json", None),
        ("[]".encode("utf-16"), "application/json", None),
        (b"case_Key\n1\n", "application/json", None),
        (b"\x1f\x8bbroken", "application/json", "gzip"),
        (b"", "application/json", None),
    ],
)
def test_a_file_is_sent_as_it_is_and_its_form_is_seen(
    tmp_path: Path, raw: bytes, kind: str, encoding: str | None
) -> None:
    path = tmp_path / "batch"
    path.write_bytes(raw)
    for batch in (raw, path, io.BytesIO(raw)):
        assert body_of(batch) == (raw, kind, encoding)


@given(st.lists(st.integers(0, 300)), st.integers(1, 7), st.integers(100, 1000))
def test_batches_hold_every_case_in_order_within_bounds(lengths: list[int], items: int, size: int) -> None:
    batches = Batches(items, size)
    cases = [{"n": n, "text": "x" * length} for n, length in enumerate(lengths)]

    def bodies() -> Iterator[bytes]:
        for case in cases:
            for full in batches.add(case):
                yield b"".join(full.upload().pieces())
        for last in batches.rest():
            yield b"".join(last.upload().pieces())

    made = list(bodies())
    parts = [json.loads(body) for body in made]
    assert [case for part in parts for case in part] == cases
    assert all(1 <= len(part) <= items for part in parts)
    assert all(len(body) <= size or len(part) == 1 for body, part in zip(made, parts, strict=True))


def test_a_batch_is_told_full_before_the_next_case_is_asked_for() -> None:
    batches = Batches(2, 1 << 20)
    assert [len(list(batches.add(a_case(n)))) for n in range(5)] == [0, 1, 0, 1, 0]


def test_no_secret_is_shown() -> None:
    secrets = {"api_key": "s3cret-key", "token": "s3cret-token"}
    access = Access("https://user:s3cret-pass@host/", **secrets)
    with connect("https://user:s3cret-pass@host/", **secrets) as client:
        shown = f"{client!r} {client} {vars(client)} {access!r} {connect_async('http://h', **secrets)!r}"
    assert "s3cret-key" not in shown
    assert "s3cret-token" not in shown
    assert "s3cret-pass" not in repr(client)


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host", "http://", "https://host:port"])
def test_a_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(ClientError, match="URL"):
        connect(url)
