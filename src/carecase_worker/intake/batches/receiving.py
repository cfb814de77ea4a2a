"""Receiving of a request's body, in pieces large enough to process one by one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from carecase_worker.batches.body import MAX_PIECES, PIECE_BYTES


def _started(work: Awaitable[None]) -> "asyncio.Future[None]":
    """Start work whose error is raised where it is awaited, or dropped if it is never awaited."""
    started = asyncio.ensure_future(work)
    started.add_done_callback(lambda done: done.cancelled() or done.exception())
    return started


async def receive(
    stream: AsyncIterator[bytes],
    take: Callable[[bytes], Awaitable[None]],
    waits: Callable[[int], None],
    piece_bytes: int = PIECE_BYTES,
) -> bytes:
    """Read a request's body: `take` receives all but the last piece, which is returned.

    Pieces have `piece_bytes` or somewhat more, or less if the body arrived in tiny parts. One is processed while the
    next one is received; `waits` is called with the bytes of both. Raises the errors of `stream` and `take`.
    """
    waiting: list[bytes] = []
    waiting_bytes = taking_bytes = 0
    taking: asyncio.Future[None] | None = None

    try:
        async for piece in stream:
            waiting.append(piece)
            waiting_bytes += len(piece)
            if taking is not None and taking.done():
                taking.result()
                taking_bytes = 0
            waits(waiting_bytes + taking_bytes)
            if waiting_bytes >= piece_bytes or len(waiting) >= MAX_PIECES:
                if taking is not None:
                    await taking
                taking = _started(take(b"".join(waiting)))
                waiting, waiting_bytes, taking_bytes = [], 0, waiting_bytes
        if taking is not None:
            await taking
    finally:
        if taking is not None:
            await asyncio.wait([taking])  # so that no work on the body outlives this call
    return b"".join(waiting)
