"""Clock, randomness and sleep, passed as arguments; the only module that reads them from the machine."""

import random
import secrets
import time
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Protocol
from uuid import UUID

import anyio

NEVER = -inf
"""A time that has passed at every reading of a clock."""
_MAX_DOUBLINGS = 20  # a timedelta cannot hold fifty of half a second


class Clock(Protocol):
    """The time of day."""

    def now(self) -> datetime:
        """Return the current moment, aware, in UTC."""
        ...


class Random(Protocol):
    """A source of random numbers."""

    def random(self) -> float:
        """Return a number drawn evenly from [0, 1)."""
        ...


class Sleep(Protocol):
    """A blocking sleep."""

    def __call__(self, duration: timedelta, /) -> None:
        """Return after at least `duration`."""
        ...


class AsyncSleep(Protocol):
    """A sleep that lets other tasks run."""

    async def __call__(self, duration: timedelta, /) -> None:
        """Return after at least `duration`."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current moment, aware, in UTC."""
        return datetime.now(UTC)


class SystemRandom:
    """Random numbers of the machine; for jitter, not for secrets."""

    def random(self) -> float:
        """Return a number drawn evenly from [0, 1)."""
        return random.random()  # noqa: S311  # for jitter


class SeededRandom:
    """Random numbers that repeat for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # for samples

    def random(self) -> float:
        """Return a number drawn evenly from [0, 1)."""
        return self._random.random()


def system_sleep(duration: timedelta) -> None:
    """Block this thread for `duration`."""
    time.sleep(duration.total_seconds())


async def system_async_sleep(duration: timedelta) -> None:
    """Let other tasks run for `duration`."""
    await anyio.sleep(duration.total_seconds())


def monotonic() -> float:
    """Return the seconds of a clock that only moves forward; for measuring durations."""
    return time.monotonic()


def wall_ns() -> int:
    """Return the nanoseconds from 1970-01-01T00:00Z to now by the machine's clock; for the start times of spans."""
    return time.time_ns()


def thread_seconds() -> float:
    """Return the processor time that this thread has used, in seconds; for measuring the cost of work."""
    return time.thread_time()


def backoff(failures: int, first: timedelta, longest: timedelta, chance: float) -> timedelta:
    """Return the delay after `failures` failures: exponential from `first` up to `longest`; up to half of it is jitter.

    `chance` is a random number from [0, 1); the jitter keeps callers that failed together from retrying together.
    """
    doubled: int = 2 ** min(failures, _MAX_DOUBLINGS)
    return min(first * doubled, longest) * (0.5 + chance / 2)


def epoch_ms(moment: datetime) -> int:
    """Return the whole milliseconds from 1970-01-01T00:00Z to an aware `moment`."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def epoch_us(moment: datetime) -> int:
    """Return the whole microseconds from 1970-01-01T00:00Z to an aware `moment`."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def milliseconds(duration: timedelta) -> int:
    """Return the whole milliseconds in a duration."""
    return duration // timedelta(milliseconds=1)


def from_epoch_ms(moment_ms: int) -> datetime:
    """Return the aware UTC moment that lies `moment_ms` after 1970-01-01T00:00Z."""
    return _EPOCH + timedelta(milliseconds=moment_ms)


def from_epoch_us(moment_us: int) -> datetime:
    """Return the aware UTC moment that lies `moment_us` after 1970-01-01T00:00Z."""
    return _EPOCH + timedelta(microseconds=moment_us)


def uuid7(clock: Clock) -> UUID:
    """Return a UUID of version 7 (RFC 9562): it sorts by the clock's millisecond, then at random."""
    value = (epoch_ms(clock.now()) & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
