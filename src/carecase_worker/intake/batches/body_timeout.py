"""Reading of a request's body under time limits."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from starlette.types import Receive

from carecase_worker.errors import BatchFault, BatchRefused


async def in_time(receive: Receive, longest: timedelta, least_bytes_per_second: float) -> AsyncIterator[bytes]:
    """Yield the pieces of a body, without empty ones.

    Raises BatchRefused if one takes longer than `longest`, or all take too long, or if the client disconnects. The
    limit for all pieces is `longest`, plus the time of the received bytes at `least_bytes_per_second`. Only time spent
    waiting for the client counts.
    """
    seconds = asyncio.get_running_loop().time
    left_s = longest.total_seconds()
    while True:
        began = seconds()
        try:
            async with asyncio.timeout(min(left_s, longest.total_seconds())):
                message = await receive()
        except TimeoutError:
            raise BatchRefused(
                BatchFault.TOO_SLOW, "The body did not arrive in time. Send the request again."
            ) from None
        if message["type"] == "http.disconnect":
            raise BatchRefused(BatchFault.BROKEN_OFF, "The request broke off. Send it again.")
        piece = message.get("body", b"")
        left_s += len(piece) / least_bytes_per_second - (seconds() - began)
        if piece:
            yield piece
        if not message.get("more_body"):
            return
