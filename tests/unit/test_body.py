"""A body as it comes in: decoded in bounded pieces, bounded as a whole, taken in pieces."""

import asyncio
import gc
import gzip
import hashlib
from collections.abc import AsyncIterator, Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.batches.body import Body
from carecase_worker.batches.decoding import Decoder
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.files.media_types import BodyFormat, MediaType, media_type_of
from carecase_worker.intake.batches.receiving import receive
from carecase_worker.intake.http.problems import problem_of

LARGE = 3 << 20
ENCODERS: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
}


def received(
    sent: bytes, encoding: str | None, pieces: int, max_bytes: int = 1 << 30, form: BodyFormat = BodyFormat.ARRAY
) -> tuple[Body, list[bytes]]:
    """A body that came in so many pieces, and its items."""
    body = Body(Decoder(encoding), MediaType(form).splitter(None), max_bytes)
    size = max(1, len(sent) // pieces)
    starts = range(0, len(sent), size)
    items = [bytes(item) for start in starts for some in body.take(sent[start : start + size]) for item in some]
    return body, items + [bytes(item) for some in body.finish() for item in some]


@pytest.mark.parametrize("encoding", ENCODERS)
@given(numbers=st.lists(st.integers(), min_size=1), pieces=st.integers(1, 50))
def test_a_body_is_what_was_sent_however_it_is_cut(encoding: str | None, numbers: list[int], pieces: int) -> None:
    plain = str(numbers).encode()
    body, items = received(ENCODERS[encoding](plain), encoding, pieces)
    assert (body.size, body.sha256) == (len(plain), hashlib.sha256(plain).hexdigest())
    assert list(map(int, items)) == numbers


@pytest.mark.parametrize("encoding", ENCODERS)
def test_a_large_body_is_split_as_it_comes(encoding: str | None) -> None:
    plain = b"[" + b",".join(b"%07d" % n for n in range(1_000_000, 1_000_000 + LARGE // 8)) + b"]"
    _, items = received(ENCODERS[encoding](plain), encoding, 40)
    assert len(items) == LARGE // 8


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_is_decoded(encoding: str) -> None:
    bomb = ENCODERS[encoding](b" " * (64 << 20))
    with pytest.raises(BatchRefused) as refused:
        received(bomb, encoding, 1, max_bytes=LARGE)
    assert refused.value.fault is BatchFault.TOO_LARGE


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_that_decodes_to_nothing_is_bounded_too(encoding: str) -> None:
    empty = ENCODERS[encoding](b"")
    with pytest.raises(BatchRefused) as refused:
        received(empty * (LARGE // len(empty) + 1), encoding, 40, max_bytes=LARGE - 100)
    assert refused.value.fault is BatchFault.TOO_LARGE


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("broken", ["cut", "spoilt"])
def test_a_broken_body_is_refused(encoding: str, broken: str) -> None:
    whole = ENCODERS[encoding](b"[1]\n" * 1000)
    sent = whole[:-5] if broken == "cut" else b"x" + whole[1:]
    with pytest.raises(BatchRefused) as refused:
        received(sent, encoding, 3, form=BodyFormat.LINES)
    assert refused.value.fault is BatchFault.BROKEN_ENCODING


GZIP, ZSTD = gzip.compress(b"[1]"), zstandard.compress(b"[1]")
SKIPPABLE = b"\x50\x2a\x4d\x18\x08\x00\x00\x00whatever"


def zstd_with_window(window_log: int, body: bytes) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=window_log)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()  # no size: no single segment
    return frame.compress(body) + frame.flush()


@pytest.mark.parametrize("pieces", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("x-gzip", GZIP),
        ("X-GZip", GZIP),
        (" GZIP ", GZIP),
        ("ZSTD", ZSTD),
        ("", b"[1]"),
        ("Identity", b"[1]"),
        ("identity, gzip", GZIP),
        ("gzip,, identity", GZIP),
        (", zstd", ZSTD),
        ("gzip", gzip.compress(b"[") + gzip.compress(b"") + gzip.compress(b"1]")),
        ("gzip", GZIP + bytes(512)),
        ("gzip", GZIP + bytes(70_000)),
        ("gzip", gzip.compress(b"[1") + bytes(100) + gzip.compress(b"]") + b"\0"),
        ("gzip", gzip.compress(b"[1") + bytes(70_000) + gzip.compress(b"]")),
        ("zstd", zstandard.compress(b"[") + zstandard.compress(b"") + zstandard.compress(b"1]")),
        ("zstd", SKIPPABLE + ZSTD),
        ("zstd", zstandard.compress(b"[") + SKIPPABLE + zstandard.compress(b"1]") + SKIPPABLE),
        ("zstd", zstd_with_window(23, b"[1]")),
        ("zstd", zstandard.compress(b"[1]", level=19)),
    ],
)
def test_an_encoding_is_undone_however_it_is_named_and_put_together(encoding: str, sent: bytes, pieces: int) -> None:
    assert received(sent, encoding, pieces)[1] == [b"1"]


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", GZIP + b"x"),
        ("gzip", GZIP + bytes(9) + b"x"),
        ("gzip", bytes(9) + GZIP),
        ("gzip", GZIP + GZIP[:-1]),
        ("gzip", GZIP + GZIP[:1]),
        ("gzip", GZIP[:-1]),
        ("gzip", GZIP[:1]),
        ("gzip", ZSTD),
        ("gzip", b"[1]"),
        ("gzip", bytes(20)),
        ("zstd", ZSTD + b"x"),
        ("zstd", ZSTD + bytes(9)),
        ("zstd", ZSTD + ZSTD[:-1]),
        ("zstd", SKIPPABLE[:-1]),
        ("zstd", ZSTD[:3]),
        ("zstd", GZIP),
        ("zstd", b"[1]"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 10_000])
def test_garbage_and_what_broke_off_is_refused_whatever_came_before_it(encoding: str, sent: bytes, pieces: int) -> None:
    with pytest.raises(BatchRefused, match=f"is not valid {encoding}, or it is truncated") as refused:
        received(sent, encoding, pieces)
    assert refused.value.fault is BatchFault.BROKEN_ENCODING


@pytest.mark.parametrize("window_log", [24, 27, 30])
@pytest.mark.parametrize("pieces", [1, 10_000])
def test_a_window_that_is_too_large_is_refused_with_the_limit_and_what_to_do(window_log: int, pieces: int) -> None:
    with pytest.raises(BatchRefused, match=r"more than 8 MiB.*--long=23 or less.*without --ultra") as refused:
        received(zstd_with_window(window_log, b"[1]"), "zstd", pieces)
    assert refused.value.fault is BatchFault.BROKEN_ENCODING


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        *((encoding, b"") for encoding in ENCODERS),
        ("gzip", gzip.compress(b"")),
        ("zstd", zstandard.compress(b"")),
        ("zstd", SKIPPABLE),
    ],
)
def test_an_empty_body_is_refused_as_that(encoding: str | None, sent: bytes) -> None:
    with pytest.raises(BatchRefused) as refused:
        received(sent, encoding, 3)
    assert refused.value.fault is BatchFault.EMPTY


@pytest.mark.parametrize(
    "name", ["br", "deflate", "compress", "gzip, gzip", "gzip, zstd", "zstd;q=1", "*", "gzip zstd"]
)
def test_any_other_encoding_is_none_of_ours(name: str) -> None:
    with pytest.raises(BatchRefused, match="gzip or zstd") as refused:
        Decoder(name)
    assert refused.value.fault is BatchFault.ENCODING
    assert dict(problem_of(refused.value).headers) == {"Accept-Encoding": "zstd, gzip"}


@pytest.mark.parametrize("kind", ["application/json", "text/json; charset=utf-8", "application/vnd.x+json"])
def test_json_by_any_of_its_names_is_an_array(kind: str) -> None:
    assert media_type_of(kind) == media_type_of(kind.upper()) == MediaType(BodyFormat.ARRAY)


@pytest.mark.parametrize(
    "kind", [None, "", "text/html", "application/xml", "image/x+json", "text/csv; charset=klingon"]
)
def test_anything_else_is_none_of_ours(kind: str | None) -> None:
    with pytest.raises(BatchRefused) as refused:
        media_type_of(kind)
    assert refused.value.fault is BatchFault.MEDIA_TYPE
    assert "application/x-ndjson, text/csv, text/tab-separated-values" in problem_of(refused.value).headers["Accept"]


@pytest.mark.parametrize("size", [1, 1000, 1 << 20, 5 << 20])
def test_a_body_that_comes_in_crumbs_is_taken_in_pieces_and_in_order(size: int) -> None:
    sent = bytes(range(256)) * ((LARGE if size > 1 else 1 << 14) // 256)
    taken: list[bytes] = []

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(sent), size):
            yield sent[start : start + size]

    async def take(piece: bytes) -> None:
        taken.append(piece)

    last = asyncio.run(receive(stream(), take, lambda _: None))
    assert b"".join([*taken, last]) == sent
    assert all(len(piece) < (1 << 20) + size for piece in taken)
    if size == 1:
        assert len(taken) == len(sent) >> 10, "a thousand crumbs are a piece, too"


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_whatever_piece_is_refused_the_body_is(pieces: int) -> None:
    """The last one is taken while nothing more comes in."""
    taken: list[bytes] = []

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield bytes(1 << 20)

    async def take(piece: bytes) -> None:
        taken.append(piece)
        if len(taken) == pieces:
            raise BatchRefused(BatchFault.TOO_LARGE, "no more")

    with pytest.raises(BatchRefused, match="no more"):
        asyncio.run(receive(stream(), take, lambda _: None))


def test_what_waits_is_counted_with_what_is_being_taken() -> None:
    sizes: list[int] = []

    async def run() -> None:
        may_end = asyncio.Event()

        async def stream() -> AsyncIterator[bytes]:
            yield bytes(1 << 20)
            yield bytes(100)
            may_end.set()
            for _ in range(5):
                await asyncio.sleep(0)
            yield bytes(50)

        async def take(_: bytes) -> None:
            await may_end.wait()

        assert await receive(stream(), take, sizes.append) == bytes(150)

    asyncio.run(run())
    assert sizes == [1 << 20, 100 + (1 << 20), 150]


async def refuse(_: bytes) -> None:
    raise BatchRefused(BatchFault.NOT_JSON, "no JSON")


def test_a_piece_that_is_refused_ends_the_body_at_its_next_byte() -> None:
    came: list[bytes] = []

    async def stream() -> AsyncIterator[bytes]:
        for piece in (bytes(1 << 20), *[b"x"] * 100):
            came.append(piece)
            yield piece
            await asyncio.sleep(0)

    with pytest.raises(BatchRefused, match="no JSON"):
        asyncio.run(receive(stream(), refuse, lambda _: None))
    assert len(came) < 10


def test_of_two_failures_one_is_raised_and_none_is_left_for_the_log() -> None:
    left: list[object] = []

    async def stream() -> AsyncIterator[bytes]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
        yield bytes(1 << 20)
        await asyncio.sleep(0)
        raise BatchRefused(BatchFault.TOO_LARGE, "too slow")

    with pytest.raises(BatchRefused, match="too slow"):
        asyncio.run(receive(stream(), refuse, lambda _: None))
    gc.collect()
    assert left == []
