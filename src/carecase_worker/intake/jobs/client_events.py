"""The event stream of a client's jobs: progress, and completions in order."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from carecase_worker.errors import JobExpired, JobNotFound
from carecase_worker.intake.http.responses.event_stream import event, opening
from carecase_worker.intake.jobs.cursors import LastEnds
from carecase_worker.intake.jobs.documents import job_document
from carecase_worker.intake.jobs.listening import AGAIN, Listener
from carecase_worker.intake.limits.threads import ClientThreads
from carecase_worker.store.job import Job
from carecase_worker.store.queries.job_lists import FILTER_WINDOW, JobLists

_GAP = f"Only the newest {FILTER_WINDOW} jobs were examined. List the others with GET /jobs."


@dataclass(slots=True)
class ClientEvents:
    """The events of a client's jobs for one listener; `last` are the last completions that it received."""

    lists: JobLists
    threads: ClientThreads
    listener: Listener
    last: LastEnds
    _changed: set[str] = field(default_factory=set, init=False)
    _behind: bool = field(default=False, init=False)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the events until the listener's access ends, or the process stops."""
        yield opening(AGAIN, str(self.last))
        async for piece in self.listener.stream(self._news, lambda: False):
            yield piece

    async def _news(self) -> AsyncIterator[bytes]:
        """Yield the unsent events. If that fails, the next call starts from the same point."""
        changed, missed = self.listener.follower.take()
        self._changed |= changed
        self._behind |= missed
        whole, ended = await self._missed() if self._behind else (True, [])
        jobs = await self._read(self._changed - {job.job_id for job in ended})
        if not whole:
            yield event("gap", {"detail": _GAP})
        for job, finished_at in _in_order([*ended, *jobs]):
            self.last = self.last.with_end(finished_at, job.job_id)
            yield event("final", job_document(job, self.listener.root_path), str(self.last))
        for job in jobs:
            if not job.state.final:
                yield event("progress", job_document(job, self.listener.root_path))
        self._changed, self._behind = set(), False

    async def _missed(self) -> tuple[bool, list[Job]]:
        """Return the final jobs that were not sent, and whether all jobs were examined."""
        caller = self.listener.caller
        look = partial(self.lists.final_since, caller.client, caller.databases, self.last.look_from)
        whole, ended = await self.threads.run(caller.client, look)
        return whole, [job for job in ended if job.job_id not in self.last.job_ids]

    async def _read(self, job_ids: Collection[str]) -> list[Job]:
        """Read some jobs; deleted ones are left out."""
        found = await asyncio.gather(*map(self._readable, sorted(job_ids)))
        return [job for job in found if job is not None]

    async def _readable(self, job_id: str) -> Job | None:
        with suppress(JobNotFound, JobExpired):
            return await self.listener.read(job_id)
        return None


def _in_order(jobs: Iterable[Job]) -> list[tuple[Job, datetime]]:
    """Return the final jobs with their times of completion, in order of these."""
    ends = [(job, job.finished_at) for job in jobs if job.state.final and job.finished_at is not None]
    return sorted(ends, key=lambda end: (end[1], end[0].job_id))
