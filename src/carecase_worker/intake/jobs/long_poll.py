"""Long poll: responses delayed until a job is final, as the client prefers."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from fastapi import Request

from carecase_worker.intake.http.requests.prefer import Preferences, preferences
from carecase_worker.store.job import Job
from carecase_worker.store.listening.completions import JobCompletions


@dataclass(frozen=True, slots=True)
class LongPoll:
    """The long poll; a waiting request occupies no thread."""

    completions: JobCompletions
    longest: timedelta

    def wanted(self, request: Request) -> Preferences:
        """Return the preferences of a request, with `wait` limited to the configured maximum."""
        return preferences(request.headers.getlist("prefer"), self.longest)

    async def job(self, request: Request, job_id: str, wait: timedelta, read: Callable[[], Awaitable[Job]]) -> Job:
        """Wait until the job is final, the timeout passes or the client disconnects, then return `read()`."""
        with self.completions.subscribe(job_id) as changed:
            job = await read()
            if job.state.final:
                return job
            leaving = asyncio.ensure_future(_set_when_left(request, changed))
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait.total_seconds()):
                        await changed.wait()
            finally:
                leaving.cancel()
        return await read()


async def _set_when_left(request: Request, left: asyncio.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    left.set()
