"""Listeners of jobs and their wake-ups, by job and by client. No I/O.

A wake-up means "read again". Wake-ups are not queued: a slow listener is woken once, however much has changed.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

_MOST_NAMED = 1000
"""Maximum number of jobs that a wake-up names; beyond that, it only says that others may have changed (`missed`)."""


@dataclass(eq=False, slots=True)
class Follower:
    """A listener of one job, or of one client's jobs; it belongs to one event loop.

    `jobs` have changed; if `missed`, others may have changed, too. `over`: the process stops.
    """

    of_one_job: bool
    jobs: set[str] = field(default_factory=set)
    missed: bool = False
    over: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _at_once: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self, job_id: str, final: bool) -> None:
        """Add a changed job; the end of a single followed job wakes the listener without a pause."""
        if len(self.jobs) < _MOST_NAMED:
            self.jobs.add(job_id)
        else:
            self.missed = True
        if final and self.of_one_job:
            self._at_once.set()
        self._changed.set()

    def miss(self) -> None:
        """Record that changes may have been missed."""
        self.missed = True
        self._changed.set()

    def end(self) -> None:
        """Record that the process stops."""
        self.over = True
        self._changed.set()
        self._at_once.set()

    async def turn(self, longest: timedelta, pause: timedelta) -> bool:
        """Wait up to `longest` for a change; return whether there is one.

        After a change, further ones are collected for `pause`, unless one is the end.
        """
        if not await _is_set(self._changed, longest):
            return False
        await _is_set(self._at_once, pause)
        self._changed.clear()
        self._at_once.clear()
        return True

    def take(self) -> tuple[set[str], bool]:
        """Return and reset the changed jobs, and whether others may have changed."""
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
        """Return whether there are listeners."""
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
        """Wake the listeners of a job and of its client; workers of older versions do not send the client."""
        for followers in (self._of_job.get(job_id, ()), self._of_client.get(client, ())):
            for follower in followers:
                follower.wake(job_id, final)

    def miss(self) -> None:
        """Wake all: changes may have been missed."""
        for follower in self._all():
            follower.miss()

    def end(self) -> None:
        """End all current and future listeners: the process stops."""
        self._over = True
        for follower in self._all():
            follower.end()

    def _all(self) -> list[Follower]:
        return [one for table in (self._of_job, self._of_client) for followers in table.values() for one in followers]

    @contextmanager
    def _listening(self, table: dict[str, set[Follower]], name: str, follower: Follower) -> Iterator[Follower]:
        if self._over:
            follower.end()
        followers = table.setdefault(name, set())
        followers.add(follower)
        try:
            yield follower
        finally:
            followers.discard(follower)
            if not followers and table.get(name) is followers:
                del table[name]


async def _is_set(event: asyncio.Event, within: timedelta) -> bool:
    """Wait until an event is set, or `within` has passed; return whether it is set."""
    if not event.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                await event.wait()
    return event.is_set()
