"""Listeners of jobs: their wake-ups, by job and by client. No I/O.

A wake-up means "look again". It is not queued: a listener that is slow is woken once, however much has changed.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

_MOST_NAMED = 1000
"""Jobs that a wake-up names, at most; of more, the listener is told that it must find out for itself."""


@dataclass(eq=False, slots=True)
class Follower:
    """A listener of one job, or of one client's jobs; it belongs to one event loop.

    `jobs` are those that have changed; if `missed`, others may have, too. `over` means that it is time to end.
    """

    of_one_job: bool
    jobs: set[str] = field(default_factory=set)
    missed: bool = False
    over: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _at_once: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self, job_id: str, final: bool) -> None:
        """Name a job that has changed; the end of the one job that is followed is not waited for."""
        if len(self.jobs) < _MOST_NAMED:
            self.jobs.add(job_id)
        else:
            self.missed = True
        if final and self.of_one_job:
            self._at_once.set()
        self._changed.set()

    def miss(self) -> None:
        """Note that changes may have been missed."""
        self.missed = True
        self._changed.set()

    def end(self) -> None:
        """Note that it is time to end."""
        self.over = True
        self._changed.set()
        self._at_once.set()

    async def turn(self, longest: timedelta, pause: timedelta) -> bool:
        """Wait for a change, for `longest` at most; return whether there is one.

        Of changes within the `pause` only the first is waited for, unless one is the end.
        """
        if not await _is_set(self._changed, longest):
            return False
        await _is_set(self._at_once, pause)
        self._changed.clear()
        self._at_once.clear()
        return True

    def take(self) -> tuple[set[str], bool]:
        """Return the jobs that have changed, and whether others may have, and begin anew."""
        taken = self.jobs, self.missed
        self.jobs, self.missed = set(), False
        return taken


class Followers:
    """The listeners of a process."""

    def __init__(self) -> None:
        self._of_job: dict[str, set[Follower]] = {}
        self._of_client: dict[str, set[Follower]] = {}
        self._over = False

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self._of_job or self._of_client)

    @contextmanager
    def of_job(self, job_id: str) -> Iterator[Follower]:
        """Provide a listener of one job."""
        with self._listening(self._of_job, job_id, Follower(of_one_job=True)) as follower:
            yield follower

    @contextmanager
    def of_client(self, client: str) -> Iterator[Follower]:
        """Provide a listener of a client's jobs."""
        with self._listening(self._of_client, client, Follower(of_one_job=False)) as follower:
            yield follower

    def wake(self, job_id: str, client: str, final: bool) -> None:
        """Wake the listeners of a job and of its client; an older worker does not tell the client."""
        for held in (self._of_job.get(job_id, ()), self._of_client.get(client, ())):
            for follower in held:
                follower.wake(job_id, final)

    def miss(self) -> None:
        """Wake all: changes may have been missed."""
        for follower in self._all():
            follower.miss()

    def end(self) -> None:
        """End all, also those who come later: the process stops."""
        self._over = True
        for follower in self._all():
            follower.end()

    def _all(self) -> list[Follower]:
        return [one for table in (self._of_job, self._of_client) for held in table.values() for one in held]

    @contextmanager
    def _listening(self, table: dict[str, set[Follower]], name: str, follower: Follower) -> Iterator[Follower]:
        if self._over:
            follower.end()
        held = table.setdefault(name, set())
        held.add(follower)
        try:
            yield follower
        finally:
            held.discard(follower)
            if not held and table.get(name) is held:
                del table[name]


async def _is_set(event: asyncio.Event, within: timedelta) -> bool:
    """Wait until an event is set, but not longer; return whether it is."""
    if not event.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                await event.wait()
    return event.is_set()
