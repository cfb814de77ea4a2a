"""Time, chance and waiting, as arguments; the only place that asks the machine for them."""

import random
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import anyio


class Clock(Protocol):
    """The time of day."""

    def now(self) -> datetime:
        """The current moment, aware, in UTC."""
        ...


class Dice(Protocol):
    """Chance."""

    def roll(self) -> float:
        """A number drawn evenly from [0, 1)."""
        ...


class Sleep(Protocol):
    """Waiting."""

    def __call__(self, duration: timedelta, /) -> None:
        """Return after at least `duration`."""
        ...


class AsyncSleep(Protocol):
    """Waiting, while other tasks go on."""

    async def __call__(self, duration: timedelta, /) -> None:
        """Return after at least `duration`."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current moment, aware, in UTC."""
        return datetime.now(UTC)


class SystemDice:
    """The machine's chance; good for jitter, not for secrets."""

    def roll(self) -> float:
        """A number drawn evenly from [0, 1)."""
        return random.random()  # noqa: S311  # for jitter


class SeededDice:
    """The same chance for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # for samples

    def roll(self) -> float:
        """A number drawn evenly from [0, 1)."""
        return self._random.random()


def system_sleep(duration: timedelta) -> None:
    """Block this thread for `duration`."""
    time.sleep(duration.total_seconds())


async def system_async_sleep(duration: timedelta) -> None:
    """Let other tasks go on for `duration`."""
    await anyio.sleep(duration.total_seconds())


def stopwatch() -> float:
    """Seconds on a clock that only moves forward; for measuring durations."""
    return time.monotonic()


def thread_seconds() -> float:
    """Processor time that this thread has used, in seconds; for measuring what work costs."""
    return time.thread_time()


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds from 1970-01-01T00:00Z to an aware `moment`."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def epoch_us(moment: datetime) -> int:
    """Whole microseconds from 1970-01-01T00:00Z to an aware `moment`."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def milliseconds(duration: timedelta) -> int:
    """Whole milliseconds in a duration."""
    return duration // timedelta(milliseconds=1)


def from_epoch_ms(moment_ms: int) -> datetime:
    """The aware UTC moment that lies `moment_ms` after 1970-01-01T00:00Z."""
    return _EPOCH + timedelta(milliseconds=moment_ms)


def from_epoch_us(moment_us: int) -> datetime:
    """The aware UTC moment that lies `moment_us` after 1970-01-01T00:00Z."""
    return _EPOCH + timedelta(microseconds=moment_us)


def uuid7(clock: Clock) -> UUID:
    """A UUID of version 7 (RFC 9562): sorts by the clock's millisecond, then by chance."""
    value = (epoch_ms(clock.now()) & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
