"""A body on its way into a batch: received, and taken apart by threads, one time slice after the other."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, TypeVar

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from carecase_worker.intake.bodies import Open
from carecase_worker.intake.body import Body, receive

_T = TypeVar("_T")
_SLICE = 24
"""Groups of items for which a thread works on a body at a time: 1.5 MiB, as much as a piece may have."""
_CUT_FROM_BYTES = 640 << 10
"""The texts that the last items were cut from, which they keep, at most; and the items themselves, however small."""


class Batch(Protocol):
    """Takes the items of a body."""

    @property
    def held_bytes(self) -> int:
        """The memory that it holds."""
        ...

    @property
    def is_busy(self) -> bool:
        """Tell if threads are at work for it, so that its end must be waited for."""
        ...

    def add(self, items: Sequence[msgspec.Raw]) -> None:
        """Take the next items. Raises BatchRefused."""
        ...


@dataclass(frozen=True, slots=True)
class Incoming:
    """A body that is open, and the batch that its items go into."""

    body: Body
    batch: Batch
    opened: Open
    at_once_bytes: int = 0
    """The size up to which a body that came as a whole is taken apart without a thread: that costs less than one."""

    async def receive(self, pieces: AsyncIterator[bytes], then: Callable[[], _T]) -> _T:
        """Take the whole body; what `then` gives, called by a thread once the batch has all items.

        Raises BatchRefused, RateExceeded, BacklogFull, and whatever `then` does.
        """
        last = await receive(pieces, self._take, self.opened.waits, self.body.piece_bytes)
        if self.body.is_small(last, self.at_once_bytes):
            for items in chain(self.body.take(last), self.body.finish()):
                self.batch.add(items)
            self.opened.takes(self.body.received)
            return await self.opened.run(then) if self.batch.is_busy else then()
        ended = await self._slices(chain(self.body.take(last), self.body.finish()), then)
        self.opened.waits(0)
        return ended

    async def _take(self, piece: bytes) -> None:
        await self._slices(self.body.take(piece), lambda: None)
        self._count_held()

    async def _slices(self, groups: Iterator[Sequence[msgspec.Raw]], then: Callable[[], _T]) -> _T:
        def time_slice() -> tuple[_T] | None:
            for number, items in enumerate(groups, start=1):
                self.batch.add(items)
                if number == _SLICE:
                    return None
            return (then(),)

        while True:
            ended = await self.opened.run(time_slice)
            self.opened.takes(self.body.received)
            if ended is not None:
                return ended[0]
            self._count_held()

    def _count_held(self) -> None:
        self.opened.holds(self.body.held_bytes + self.batch.held_bytes + _CUT_FROM_BYTES)


class Told(StreamingResponse):
    """An answer about a body, which stays open until all of the answer is sent: what is not read yet is held, too."""

    def __init__(self, document: AsyncIterator[bytes], media_type: str, open_until_then: ExitStack) -> None:
        super().__init__(document, 207, media_type=media_type)
        self._open = open_until_then

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._open:
            await super().__call__(scope, receive, send)
