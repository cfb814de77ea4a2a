"""One attack: who makes it, what is sent, and what it may cost."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from itertools import count

from tests.hostile.wire import Access, Answer, Connection, Tally, request

BATCH = "/care-cases-batch"
FIRST_KEY = 1_900_000_000
"""The first of the case keys of attacks and of the other client."""
_AGAIN_S = 0.2


class Who(Enum):
    """The maker of an attack."""

    NOBODY = "nobody"
    CLIENT = "a client"


@dataclass(frozen=True, slots=True)
class Scale:
    """Size of attacks: the bytes that bombs decode to, how often one lane repeats its attack, how long
    connections are held that the service does not close; `niceness` (0 to 19) is the attackers' nice value."""

    bomb_bytes: int
    rounds: int
    hold_s: float
    niceness: int


@dataclass
class Attacker:
    """The means of an attack, and its tally; `found` is what it has prepared."""

    access: Access
    scale: Scale
    tally: Tally = field(default_factory=Tally)
    found: str = ""
    _keys: Iterator[str] = field(default_factory=lambda: map(f"{secrets.token_hex(8)}-{{}}".format, count()))

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A new connection."""
        return Connection.to(self.access, self.tally)

    def head(self, method: str, target: str, *lines: str) -> bytes:
        """The head of a request with credentials."""
        return request(method, target, *self.access.credentials, *lines)

    def batch_head(self, *lines: str, target: str = BATCH) -> bytes:
        """The head of a batch, without its length."""
        more = () if any(line.startswith("content-type:") for line in lines) else ("content-type: application/json",)
        return self.head("PUT", target, f"vbasoftware-database: {self.access.database}", *more, *lines)

    async def once(self, data: bytes) -> Answer:
        """Send a whole request on a connection of its own; its answer."""
        async with self.connection() as connection:
            await connection.send(data)
            return await connection.answer()

    async def again(self, data: bytes, times: int) -> None:
        """Send a whole request so many times on one connection, each once the one before is answered."""
        async with self.connection() as connection:
            for _ in range(times):
                await connection.send(data)
                await connection.answer()

    async def batch(self, body: bytes, *lines: str, target: str = BATCH, decoded: int = 0) -> Answer:
        """Send a batch on a connection of its own; `decoded` says what its body decodes to."""
        self.tally.decoded += decoded or len(body)
        return await self.once(self.batch_head(*lines, f"content-length: {len(body)}", target=target) + body)

    async def accepted(self, body: bytes) -> str:
        """Send a batch until it is accepted; its job id."""
        while (response := await self.batch(body)).status != 202:
            await asyncio.sleep(_AGAIN_S)  # the pace of the attacker
        return str(json.loads(response.body)["job"]["jobId"])

    async def final(self, job_id: str) -> None:
        """Wait until a job is final."""
        while (await self.once(self.head("GET", f"/jobs/{job_id}/result", "prefer: wait=30"))).status != 207:
            await asyncio.sleep(_AGAIN_S)  # the pace of the attacker

    def key(self) -> str:
        """An Idempotency-Key that was not sent before."""
        return f"idempotency-key: {next(self._keys)}"


Send = Callable[[Attacker], Awaitable[None]]


async def _nothing(_: Attacker) -> None:
    """Prepare nothing."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack. Each of its lanes sends it again and again; `prepare` is done once, before it is measured.

    `ends` are the ways in which it ends while nothing else is done, each at least once: with these statuses, `left` or
    `cut`. One that is refused before it comes to what it attacks ends otherwise. `may_end` are others that depend on
    who is faster. `keeps` says that Redis keeps something of it, within what a client may have; else all of it goes.
    """

    name: str
    who: Who
    send: Send
    ends: str
    lanes: int = 2
    prepare: Send = _nothing
    keeps: bool = False
    may_end: str = ""


def by_name(*attacks: Attack) -> Mapping[str, Attack]:
    """Attacks by their names."""
    return {attack.name: attack for attack in attacks}
