"""Attacks by streams of events: as many as a client may have, each of which hears of each of its jobs."""

import asyncio

from tests.builders import a_batch, a_case
from tests.hostile.attack import FIRST_KEY, Attack, Attacker, Send, Who, by_name
from tests.hostile.wire import LEFT

_TINY = a_batch(a_case(FIRST_KEY))
_LANES = 50
_JOBS = 4
_BETWEEN_S = 0.25


def listening(is_read: bool) -> Send:
    """A stream of all jobs, and some tiny jobs, whose events all streams send."""

    async def send(attacker: Attacker) -> None:
        async with attacker.connection() as connection:
            await connection.send(attacker.head("GET", "/jobs/events"))
            for _ in range(_JOBS):
                await attacker.batch(_TINY, attacker.key())
                if is_read:
                    attacker.tally.received += await connection.come(_BETWEEN_S)
                else:
                    await asyncio.sleep(_BETWEEN_S)  # the stream is not read for so long
            attacker.tally.ended(LEFT)

    return send


STREAMS = by_name(
    Attack("streams that are not read", Who.CLIENT, listening(is_read=False), "202 left", lanes=_LANES, keeps=True),
    Attack("streams that are read", Who.CLIENT, listening(is_read=True), "202 left", lanes=_LANES, keeps=True),
)
