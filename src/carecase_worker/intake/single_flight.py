"""Single flight: what many ask for at once is made once, in a thread of its own, and told to all for a moment."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from carecase_worker.clock import stopwatch

_T = TypeVar("_T")


class SingleFlight(Generic[_T]):
    """One value, made again for who asks once it is as old as `kept`.

    However many ask, it takes one thread, and none of those that clients' requests have.
    """

    def __init__(self, make: Callable[[], _T], kept: timedelta, seconds: Callable[[], float] = stopwatch) -> None:
        self._make = make
        self._kept_s = kept.total_seconds()
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._thread = CapacityLimiter(1)
        self._told: tuple[_T, float] | None = None

    async def __call__(self) -> _T:
        """The value. Raises what `make` raises; then whoever asks next has it made."""
        async with self._turn:
            if self._told is None or self._seconds() - self._told[1] >= self._kept_s:
                made = await run_sync(self._make, limiter=self._thread)
                self._told = made, self._seconds()
            return self._told[0]
