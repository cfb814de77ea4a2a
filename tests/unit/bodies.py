"""Bodies in tests, in pieces of any size, and the refusals of them."""

import gzip
from collections.abc import Callable

import pytest
import zstandard
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
