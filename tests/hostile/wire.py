"""HTTP by hand, as an attacker speaks it: every byte is the attack's own, and is counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

LEFT, CUT = "left", "cut"
"""Ends without an answer: by the attacker, and by the service."""
_LINE_BYTES = 1 << 20
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Access:
    """An intake, and the credentials by which one client comes in; the address that its connections come from."""

    host: str
    port: int
    api_key: str
    bearer: str
    database: str
    source: str

    @property
    def credentials(self) -> tuple[str, ...]:
        """The header lines that say who sends a request."""
        return (f"x-api-key: {self.api_key}", f"authorization: Bearer {self.bearer}")


@dataclass
class Tally:
    """The bytes that an attack has sent, what they decode to, those of the answers, and how often it ended in
    which way: with a status, `left` by the attacker, or `cut` by the service."""

    sent: int = 0
    decoded: int = 0
    received: int = 0
    ends: dict[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Count the requests, and connections without one, that came to an end."""
        return sum(self.ends.values())

    def ended(self, how: str) -> None:
        """Count an answer, or an end without one."""
        self.ends[how] = self.ends.get(how, 0) + 1


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and body of an answer."""

    status: int
    body: bytes


class Connection:
    """One connection, on which requests are sent and answers are read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tally: Tally) -> None:
        self._reader = reader
        self._writer = writer
        self._tally = tally

    @classmethod
    @asynccontextmanager
    async def to(cls, access: Access, tally: Tally) -> AsyncIterator[Self]:
        """A connection until the block ends, and then nothing more is read of it."""
        opened = asyncio.open_connection(access.host, access.port, local_addr=(access.source, 0), limit=_LINE_BYTES)
        reader, writer = await opened
        try:
            yield cls(reader, writer, tally)
        finally:
            writer.transport.abort()

    async def send(self, data: bytes) -> None:
        """Send bytes, as fast as they are taken."""
        self._tally.sent += len(data)
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> Answer:
        """The next final answer, read to its end; others are passed over. Raises OSError, EOFError."""
        async with asyncio.timeout(_PATIENCE_S):
            status = 100
            while status < 200:
                head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
                status = int(head[9:12])
            body = await self._body(head)
        self._tally.received += len(body)
        self._tally.ended(str(status))
        return Answer(status, body)

    async def end(self) -> None:
        """Wait until the service closes the connection; an answer that it gives first is counted."""
        async with asyncio.timeout(_PATIENCE_S):
            rest = await self._reader.read(-1)
        self._tally.ended(rest[9:12].decode() if rest.startswith(b"HTTP/1.1 ") else CUT)

    async def come(self, seconds: float) -> int:
        """Read what comes within so many seconds; its bytes."""
        size = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while piece := await self._reader.read(_LINE_BYTES):
                    size += len(piece)
        return size

    async def _body(self, head: bytes) -> bytes:
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        if b"transfer-encoding" not in fields:
            return await self._reader.readexactly(int(fields.get(b"content-length", b"0")))
        pieces = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            pieces.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(pieces)


def request(method: str, target: str, *lines: str) -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "host: x", *lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    """A chunk of a body whose length nobody knows."""
    return b"%x\r\n%b\r\n" % (len(data), data)
