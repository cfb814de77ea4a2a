"""Grouping of concurrent work on one event loop: items that arrive while a group is processed form the next group.

A single item is processed at once; many concurrent ones share the cost of one call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


class Grouping(Generic[_T, _R]):
    """A processor of items in groups, one group after the other; bound to the event loop that it is used on."""

    def __init__(self, do: Callable[[Sequence[_T]], Awaitable[Sequence[_R | BaseException]]], most: int) -> None:
        """Process groups of at most `most` items with `do`, which returns each item's result, or the error to raise."""
        self._do = do
        self._most = most
        self._waiting: list[tuple[_T, asyncio.Future[_R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def one(self, thing: _T) -> _R:
        """Process an item together with others and return its result.

        Raises the item's own error, or the error that `do` raised for its group or for an earlier one.
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
            if isinstance(results, BaseException):  # those that wait would fail in the same way
                group, self._waiting = group + self._waiting, []
                results = [results] * len(group)
            for (_, waiting), result in zip(group, results, strict=True):
                if waiting.done():  # its caller has left
                    continue
                if isinstance(result, BaseException):
                    waiting.set_exception(result)
                else:
                    waiting.set_result(result)
