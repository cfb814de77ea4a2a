"""Which type and which encoding an answer has."""

import gzip
from itertools import count

import pytest
import zstandard
from tests.steps import steps_each

from carecase_worker.intake.http.requests.negotiation import encoding, json_type, names_version
from carecase_worker.intake.http.responses.compression import compressed


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/plain, application/json, text/json", "application/json"),
        ("text/plain", "text/plain"),
        ("text/json;q=0.9", "text/json"),
        ("text/*", "text/json"),
        ("Text/Plain;charset=utf-8, */*;q=0.1", "text/plain"),
        ("text/plain;q=0.5, application/json;q=0.4", "text/plain"),
        ("application/json;q=0, */*", "text/json"),
        ("application/json;q=0, text/*;q=0.2, text/json;q=0.1", "text/plain"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=nonsense", None),
        ("*/*;q=0", None),
        ("\x00;;=,", None),
    ],
)
def test_the_type_is_the_one_that_the_client_likes_best(accept: str | None, kind: str | None) -> None:
    assert json_type(accept) == kind


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip, deflate, br", "gzip"),
        ("gzip, zstd", "zstd"),
        ("gzip;q=1, zstd;q=0.5", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *;q=0.1", "gzip"),
        ("gzip;q=0", None),
    ],
)
def test_the_encoding_is_the_one_that_the_client_likes_best(accept: str | None, name: str | None) -> None:
    assert encoding(accept) == name


def test_compressed_pieces_are_the_pieces() -> None:
    pieces = [b"first " * 10, b"second " * 10_000, b"", b"third"]
    whole = b"".join(pieces)
    assert b"".join(compressed(pieces, None)) == whole
    assert gzip.decompress(b"".join(compressed(pieces, "gzip"))) == whole
    frame = b"".join(compressed(pieces, "zstd"))
    assert zstandard.ZstdDecompressor().decompressobj().decompress(frame) == whole


@pytest.mark.parametrize("header", ["," * 32_000, ";" * 32_000, "a," * 16_000, "a;q=" * 8_000])
def test_of_a_long_list_only_the_beginning_is_read(header: str) -> None:
    numbers = count()  # another list each time, since the answer to one is remembered
    assert steps_each(lambda: (json_type(f"{next(numbers)},{header}"), encoding(header)), len(header), 20) < 20


def test_a_list_counts_as_far_as_a_thousand_characters() -> None:
    assert json_type("," * 990 + "text/plain") == "text/plain"
    assert json_type("," * 991 + "text/plain") is None
    assert names_version("," * 997 + '"t"', '"t"')
    assert not names_version("," * 998 + '"t"', '"t"')
