"""How long a request's body may keep us waiting."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from carecase_worker.errors import BatchFault, BatchRefused


async def in_time(
    pieces: AsyncIterator[bytes], longest: timedelta, least_bytes_per_second: float
) -> AsyncIterator[bytes]:
    """The pieces of a body. Raises BatchRefused if one lets us wait for longer than `longest`, or all for too long.

    All together they may take `longest`, and what `least_bytes_per_second` gives what has come. Only the time counts in
    which we wait for the client.
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
