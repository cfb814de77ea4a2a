"""Bodies in tests, in pieces of any size, and the refusals of them."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import assume
from tests.builders import a_case, items_of

from carecase_worker.batches.lines import LineSplitter
from carecase_worker.batches.splitting import ArraySplitter, Splitter
from carecase_worker.errors import BatchFault, BatchRefused

MARK = b"\xef\xbb\xbf"
ENCODERS: dict[str | None, Callable[[bytes], bytes]] = {None: bytes, "gzip": gzip.compress, "zstd": zstandard.compress}
CASES = [a_case(1, case_ID="Ünï\u2028x"), a_case(2, case_ID="a\\r\\nb"), a_case(3)]


def array(text: bytes) -> list[bytes]:
    return [bytes(item) for item in items_of(text, ArraySplitter())]


def lines(text: bytes) -> list[bytes]:
    return [bytes(item) for item in items_of(text, LineSplitter())]


def refusal(splitter: Splitter, body: bytes, piece_bytes: int = 1 << 20) -> tuple[BatchFault, str]:
    """The fault of a body that comes in pieces, and the text that its sender gets."""
    with pytest.raises(BatchRefused) as refused:
        items_of(body, splitter, piece_bytes)
    return refused.value.fault, str(refused.value)


NOTHING = (BatchFault.EMPTY, "The batch is empty. Send at least one CareCase.")


def spoilt(items: list[Any], place: float, junk: bytes) -> bytes:
    """Items as JSON, of which a byte at a place (from 0 to 1) is replaced with junk."""
    whole = json.dumps(items).encode()
    cut = int(place * len(whole))
    return whole[:cut] + junk + whole[cut + 1 :]


def require_split_as_json(body: bytes) -> None:
    """Check that a body is split into the items that a JSON parser finds, or refused if that finds no array of some."""
    assume(b"\\ud" not in body)  # what becomes of half a surrogate pair has a test of its own
    try:
        parsed = json.loads(body, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        parsed = None
    try:
        split = [json.loads(bytes(raw)) for raw in items_of(body, ArraySplitter(20), 7)]
    except BatchRefused:
        split = None
    assert split == (parsed if isinstance(parsed, list) and parsed else None)
