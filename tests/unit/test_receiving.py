"""Bodies that are received while a part of them is processed: no fault comes late, no work outlives its request."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from carecase_worker.batches.body import MAX_PIECES
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.intake.batches.receiving import receive

PIECE = b"x" * 10
BAD = BatchRefused(BatchFault.NOT_JSON, "It is no JSON.")
CUT_OFF = BatchRefused(BatchFault.BROKEN_OFF, "It broke off.")


def test_a_fault_of_a_piece_is_known_before_the_next_one_is_whole() -> None:
    sent: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield PIECE
        for number in range(len(PIECE) - 1):
            await asyncio.sleep(0)  # lets the first piece be looked at
            sent.append(number)
            yield b"x"

    async def take(_: bytes) -> None:
        raise BAD

    with pytest.raises(BatchRefused) as refused:
        asyncio.run(receive(pieces(), take, lambda _: None, len(PIECE)))
    assert refused.value is BAD
    assert len(sent) < len(PIECE) // 2


@pytest.mark.parametrize("last", [b"", b"x"])
def test_a_fault_of_the_piece_before_the_last_is_not_lost(last: bytes) -> None:
    """Its items would be, and the batch be accepted without them."""

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (PIECE, last):
            yield piece

    async def take(_: bytes) -> None:
        raise BAD

    with pytest.raises(BatchRefused) as refused:
        asyncio.run(receive(pieces(), take, lambda _: None, len(PIECE)))
    assert refused.value is BAD


def test_so_many_tiny_pieces_are_processed_however_few_bytes_they_have() -> None:
    """Each takes fifty times its size in memory."""
    taken: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(2 * MAX_PIECES + 7):
            yield b"x"

    async def take(piece: bytes) -> None:
        taken.append(len(piece))

    assert asyncio.run(receive(pieces(), take, lambda _: None)) == b"x" * 7
    assert taken == [MAX_PIECES] * 2


@pytest.mark.parametrize(("is_processed", "last"), [(True, 3), (False, 13)])
def test_what_is_being_processed_counts_as_waiting_until_it_is(is_processed: bool, last: int) -> None:
    waiting: list[int] = []

    async def run() -> bytes:
        go_on = asyncio.Event()
        if is_processed:
            go_on.set()

        async def pieces() -> AsyncIterator[bytes]:
            yield PIECE
            for _ in range(3):
                await asyncio.sleep(0)  # lets the first piece be processed
                yield b"x"
            go_on.set()

        async def take(_: bytes) -> None:
            await go_on.wait()

        return await receive(pieces(), take, waiting.append, len(PIECE))

    assert asyncio.run(run()) == b"xxx"
    assert (waiting[0], waiting[-1]) == (10, last)


def test_a_request_that_breaks_off_is_over_once_its_last_piece_has_been_processed() -> None:
    processed: list[bytes] = []

    async def run() -> None:
        broken_off, go_on = asyncio.Event(), asyncio.Event()

        async def pieces() -> AsyncIterator[bytes]:
            yield PIECE
            broken_off.set()
            raise CUT_OFF

        async def take(piece: bytes) -> None:
            await go_on.wait()
            processed.append(piece)

        receiving = asyncio.create_task(receive(pieces(), take, lambda _: None, len(PIECE)))
        await broken_off.wait()
        for _ in range(10):
            await asyncio.sleep(0)  # would let it end
        assert not receiving.done()
        go_on.set()
        with pytest.raises(BatchRefused) as refused:
            await receiving
        assert refused.value is CUT_OFF

    asyncio.run(run())
    assert processed == [PIECE]
