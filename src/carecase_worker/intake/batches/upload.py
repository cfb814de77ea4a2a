"""Upload of a body into a batch: it is received, and split by threads in time slices."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, TypeVar

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from carecase_worker.batches.body import Body
from carecase_worker.intake.batches.receiving import receive
from carecase_worker.intake.limits.bodies import Open

_T = TypeVar("_T")
_SLICE = 24
"""Maximum number of groups of items in a thread's time slice: 1.5 MiB, the size of a piece."""
_CUT_FROM_BYTES = 640 << 10
"""Maximum memory in bytes of the last items and of the buffers that they are slices of."""


class Batch(Protocol):
    """A receiver of the items of a body."""

    @property
    def buffered_bytes(self) -> int:
        """The memory in bytes that the batch uses."""
        ...

    @property
    def is_busy(self) -> bool:
        """Return whether threads work for the batch, so that they must be awaited."""
        ...

    def add(self, items: Sequence[msgspec.Raw]) -> None:
        """Add the next items. Raises BatchRefused."""
        ...


@dataclass(frozen=True, slots=True)
class Incoming:
    """A body being received, and the batch that its items are added to."""

    body: Body
    batch: Batch
    opened: Open
    at_once_bytes: int = 0
    """The size up to which a body received in one piece is split without a thread, which would cost more."""

    async def receive(self, pieces: AsyncIterator[bytes], then: Callable[[], _T]) -> _T:
        """Receive the whole body; return the result of `then`, called once the batch has all items.

        Raises BatchRefused, RateExceeded, BacklogFull, and the errors of `then`.
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
        self._count_buffered()

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
            self._count_buffered()

    def _count_buffered(self) -> None:
        self.opened.holds(self.body.buffered_bytes + self.batch.buffered_bytes + _CUT_FROM_BYTES)


class OpenResponse(StreamingResponse):
    """A response to a body; the body counts as open until the response is sent, since its unread rest takes memory."""

    def __init__(self, document: AsyncIterator[bytes], media_type: str, open_until_then: ExitStack) -> None:
        super().__init__(document, 207, media_type=media_type)
        self._open = open_until_then

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, then close the body."""
        with self._open:
            await super().__call__(scope, receive, send)
