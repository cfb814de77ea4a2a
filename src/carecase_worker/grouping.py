"""Things of one event loop that are done together: those that come up while others are being done go next.

One that is alone waits for no company; many at once share what each would cost by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


class Grouping(Generic[_T, _R]):
    """Has things done in groups, one group after the other. Belongs to the event loop that it is used on."""

    def __init__(self, do: Callable[[Sequence[_T]], Awaitable[Sequence[_R | BaseException]]], most: int) -> None:
        """Have groups of at most `most` done by `do`, which gives the result of each thing, or the error to raise."""
        self._do = do
        self._most = most
        self._waiting: list[tuple[_T, asyncio.Future[_R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def one(self, thing: _T) -> _R:
        """The result of a thing, once it is done.

        Raises what came of it, and what `do` raises for its group or for one that it has waited for.
        """
        result: asyncio.Future[_R] = asyncio.get_running_loop().create_future()
        self._waiting.append((thing, result))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await result

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            (results,) = await asyncio.gather(self._do([thing for thing, _ in group]), return_exceptions=True)
            if isinstance(results, BaseException):  # whoever waits would have to wait for the same
                group, self._waiting = group + self._waiting, []
                results = [results] * len(group)
            for (_, waiting), result in zip(group, results, strict=True):
                if waiting.done():  # who asked has left
                    continue
                if isinstance(result, BaseException):
                    waiting.set_exception(result)
                else:
                    waiting.set_result(result)
