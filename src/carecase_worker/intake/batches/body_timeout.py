"""Timeouts of a request's body."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from carecase_worker.errors import BatchFault, BatchRefused


async def in_time(
    pieces: AsyncIterator[bytes], longest: timedelta, least_bytes_per_second: float
) -> AsyncIterator[bytes]:
    """Yield the pieces of a body. Raises BatchRefused if one takes longer than `longest`, or all take too long.

    The time limit for all pieces is `longest`, plus the time of the received bytes at `least_bytes_per_second`. Only
    time spent waiting for the client counts.
    """
    seconds = asyncio.get_running_loop().time
    left_s = longest.total_seconds()
    while True:
        began = seconds()
        try:
            async with asyncio.timeout(min(left_s, longest.total_seconds())):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise BatchRefused(
                BatchFault.TOO_SLOW, "The body did not arrive in time. Send the request again."
            ) from None
        left_s += len(piece) / least_bytes_per_second - (seconds() - began)
        yield piece
