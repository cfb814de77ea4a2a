"""Attacks by connections and floods: they take no credentials."""

import asyncio
from collections.abc import Awaitable

from tests.hostile.attack import Attack, Attacker, Send, Who, by_name
from tests.hostile.wire import LEFT, request

_LIVEZ = request("GET", "/livez")
_LONG = 64 << 10


async def idle(attacker: Attacker) -> None:
    """A connection on which nothing is sent."""
    async with attacker.connection() as connection:
        await _held(attacker, connection.end())


async def trickling(attacker: Attacker) -> None:
    """A head that comes byte by byte and never ends."""

    async def trickle() -> None:
        while True:
            await connection.send(b"x")
            await asyncio.sleep(0.1)  # the pace of the attacker

    async with attacker.connection() as connection:
        await connection.send(b"GET /livez HTTP/1.1\r\nx-slow: ")
        await _held(attacker, trickle())


async def _held(attacker: Attacker, what: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(attacker.scale.hold_s):
            await what
    except TimeoutError:
        attacker.tally.ended(LEFT)


async def endless_head(attacker: Attacker) -> None:
    """A head without end."""
    async with attacker.connection() as connection:
        await connection.send(b"GET /livez HTTP/1.1\r\n" + b"x: y\r\n" * (_LONG // 6))
        await connection.end()


async def endless_target(attacker: Attacker) -> None:
    """A first line without end."""
    async with attacker.connection() as connection:
        await connection.send(b"GET /" + b"x" * _LONG)
        await connection.end()


async def no_http(attacker: Attacker) -> None:
    """Bytes that are no HTTP."""
    async with attacker.connection() as connection:
        await connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        await connection.end()


async def pipelined(attacker: Attacker) -> None:
    """A hundred requests in one piece."""
    async with attacker.connection() as connection:
        await connection.send(_LIVEZ * 100)
        for _ in range(100):
            await connection.answer()


async def unread(attacker: Attacker) -> None:
    """Requests for a long answer, as many as may wait on a connection, none of which is read."""
    async with attacker.connection() as connection:
        await connection.send(request("GET", "/openapi.json") * 30)
        await asyncio.sleep(min(1.0, attacker.scale.hold_s))  # nothing is read for so long
        for _ in range(30):
            attacker.tally.ended(LEFT)


async def opened_and_closed(attacker: Attacker) -> None:
    """A connection that is closed at once."""
    async with attacker.connection():
        attacker.tally.ended(LEFT)


def flood(target: str) -> Send:
    """Requests on one connection, each sent once the one before is answered."""

    async def send(attacker: Attacker) -> None:
        async with attacker.connection() as connection:
            for _ in range(20):
                await connection.send(request("GET", target))
                await connection.answer()

    return send


def _nobody(name: str, send: Send, ends: str, lanes: int = 2, may_end: str = "") -> Attack:
    return Attack(name, Who.NOBODY, send, ends, lanes, may_end=may_end)


CONNECTIONS = by_name(
    _nobody("idle connections", idle, "left", lanes=100),
    _nobody("trickling heads", trickling, "left", lanes=50),
    # what the service has not read when it closes takes its answer with it
    _nobody("a head without end", endless_head, "", may_end="431 cut"),
    _nobody("a first line without end", endless_target, "", may_end="431 cut"),
    _nobody("no HTTP", no_http, "400"),
    _nobody("connections opened and closed", opened_and_closed, "left"),
    _nobody("pipelined requests", pipelined, "cut"),
    _nobody("answers that are not read", unread, "left"),
    _nobody("a flood of /livez", flood("/livez"), "200"),
    _nobody("a flood of /readyz", flood("/readyz"), "200"),
    _nobody("a flood of /metrics", flood("/metrics"), "200"),
    _nobody("a flood of /openapi.json", flood("/openapi.json"), "200"),
    _nobody("a flood of /docs", flood("/docs"), "200"),
    _nobody("a flood of /app", flood("/app"), "200"),
    _nobody("a flood of the page that signs in", flood("/app/signed-in.html"), "200"),
    _nobody("a flood of what is not there", flood("/nowhere/" + "x" * 2000), "404"),
)
