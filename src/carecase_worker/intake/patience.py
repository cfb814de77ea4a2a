"""How long a request's body may keep us waiting."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from carecase_worker.errors import BatchFault, BatchRefused


async def in_time(pieces: AsyncIterator[bytes], longest: timedelta) -> AsyncIterator[bytes]:
    """The pieces of a body. Raises BatchRefused if one lets us wait for longer than `longest`."""
    while True:
        try:
            async with asyncio.timeout(longest.total_seconds()):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise BatchRefused(
                BatchFault.TOO_SLOW, "The body did not arrive in time. Send the request again."
            ) from None
        yield piece
