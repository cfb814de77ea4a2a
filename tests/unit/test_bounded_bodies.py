"""A body is decoded in steps that are short, in memory that is counted; one that is split at once is small."""

import gzip
import random

import pytest
import zstandard

from carecase_worker.batches.body import Body
from carecase_worker.batches.decoding import Decoder
from carecase_worker.batches.lines import LineSplitter
from carecase_worker.batches.splitting import ArraySplitter

BOMB = bytes(8 << 20)
STEP_BYTES = 256 << 10


def test_a_gzip_bomb_decodes_in_small_parts_though_it_comes_at_once() -> None:
    parts = list(Decoder("gzip").decode(gzip.compress(BOMB)))
    assert b"".join(parts) == BOMB
    assert max(map(len, parts)) <= STEP_BYTES


@pytest.mark.parametrize(
    ("encoding", "sent", "least_bytes"),
    [
        ("identity", BOMB, 0),
        ("gzip", gzip.compress(BOMB), 32 << 10),  # its window
        ("zstd", zstandard.ZstdCompressor(19).compress(BOMB), 8 << 20),  # that of this level
    ],
)
def test_the_memory_of_a_decoder_is_counted_once_it_is_used(encoding: str, sent: bytes, least_bytes: int) -> None:
    decoder = Decoder(encoding)
    assert decoder.buffered_bytes == 0
    for _ in decoder.decode(sent):
        pass
    assert least_bytes <= decoder.buffered_bytes <= 2 * least_bytes


@pytest.mark.parametrize("splitter", [ArraySplitter, LineSplitter])
def test_the_memory_of_a_body_is_that_of_an_item_that_has_not_ended(
    splitter: type[ArraySplitter | LineSplitter],
) -> None:
    body, item = Body(Decoder(None), splitter(), 1 << 30), b'"' + random.Random(1).randbytes(50_000).hex().encode()
    for piece in (b"[" * (splitter is ArraySplitter) + item[:90_000], item[90_000:]):
        assert not any(map(len, body.take(piece)))
    assert len(item) <= body.buffered_bytes <= 2 * len(item)


@pytest.mark.parametrize(
    ("encoding", "before", "size", "is_small"),
    [(None, 0, 100, True), (None, 0, 101, False), (None, 1, 99, False), ("gzip", 0, 99, False), ("zstd", 0, 99, False)],
)
def test_only_a_whole_body_that_decodes_to_no_more_than_itself_is_small(
    encoding: str | None, before: int, size: int, is_small: bool
) -> None:
    """It is split where other requests wait for it."""
    body = Body(Decoder(encoding), ArraySplitter(), 1 << 30)
    for _ in body.take(b"[" * before):
        pass
    assert body.is_small(bytes(size), at_most=100) == is_small
