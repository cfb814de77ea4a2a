"""Single flight: a value requested concurrently is computed once, in its own thread, and cached briefly."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from carecase_worker.clock import monotonic

_T = TypeVar("_T")


class SingleFlight(Generic[_T]):
    """A value that is recomputed on request once it is older than `kept`.

    It uses one thread, however many callers request it, and none of the clients' threads.
    """

    def __init__(self, make: Callable[[], _T], kept: timedelta, seconds: Callable[[], float] = monotonic) -> None:
        self._make = make
        self._kept_s = kept.total_seconds()
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._thread = CapacityLimiter(1)
        self._cached: tuple[_T, float] | None = None

    async def __call__(self) -> _T:
        """Return the value. Raises the errors of `make`; the next call then tries again."""
        async with self._turn:
            if self._cached is None or self._seconds() - self._cached[1] >= self._kept_s:
                made = await run_sync(self._make, limiter=self._thread)
                self._cached = made, self._seconds()
            return self._cached[0]
