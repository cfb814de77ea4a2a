"""AsyncCareCases: the client for asyncio."""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self, TypeVar

import httpx

from carecase_worker.client.access import Access
from carecase_worker.client.documents import PAGE_SIZE, Group, ItemResult, Job, Page, id_of, place_of
from carecase_worker.client.durations import Duration, duration_of
from carecase_worker.client.events import EventReader, JobEvent
from carecase_worker.client.exchange import transport
from carecase_worker.client.exchange.calls import Calls
from carecase_worker.client.exchange.steps import Delay, Reply, Request, Result, Steps, advance
from carecase_worker.client.mending.failed_files import (
    Written,
    as_original,
    key_of_resent,
    usual_path,
    write_failed,
)
from carecase_worker.client.mending.failed_items import TO_BE_MENDED, TO_BE_RESENT, Choice
from carecase_worker.client.mending.originals import OriginalFile, original_of, path_of, refuse_original
from carecase_worker.client.uploads import (
    BATCH_BYTES,
    BATCH_ITEMS,
    VALIDATED_ITEMS,
    Batch,
    BatchBuffer,
    Batches,
    Case,
    items_in,
    reading,
)
from carecase_worker.client.values import encoded
from carecase_worker.clock import AsyncSleep
from carecase_worker.errors import JobStateRefused

_T = TypeVar("_T")


class AsyncCareCases:
    """The client for asyncio: every call of CareCases, to be awaited or iterated with `async for`.

    Cases may come from an asynchronous iterator, too.
    """

    def __init__(self, access: Access, calls: Calls, sleep: AsyncSleep) -> None:
        self._shown_url = transport.shown_url(access)
        self._calls = calls
        self._sleep = sleep
        self._http = transport.opened(httpx.AsyncClient, access)

    def __repr__(self) -> str:
        return f"AsyncCareCases({self._shown_url!r})"

    @property
    def database(self) -> str | None:
        """The target database of batches; None if none is set."""
        return self._calls.database

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def submit(
        self,
        batch: Batch | AsyncIterable[Case],
        care_plan: int | None = None,
        idempotency_key: str | None = None,
        strict: bool = False,
        dry_run: bool = False,
    ) -> Job:
        """Send cases, a file or bytes as one batch; return its job. A dry run is rolled back."""
        if isinstance(batch, AsyncIterable):
            with BatchBuffer() as gathered:
                async for item in _items_in(batch):
                    gathered.add(item)
                upload = gathered.upload()
                return await self._run(self._calls.submit(upload, care_plan, idempotency_key, strict, dry_run))
        with reading(batch) as upload:
            return await self._run(self._calls.submit(upload, care_plan, idempotency_key, strict, dry_run))

    async def submit_all(
        self,
        cases: Batch | AsyncIterable[Case],
        care_plan: int | None = None,
        idempotency_key: str | None = None,
        batch_items: int = BATCH_ITEMS,
        batch_bytes: int = BATCH_BYTES,
        dry_run: bool = False,
    ) -> AsyncIterator[Job]:
        """Send any number of cases in batches, in order; yield the job of each batch once it is accepted.

        Each batch of a dry run sees only stored cases, not the other batches.
        """
        batches = Batches(batch_items, batch_bytes)
        async for part in _parts(batches, cases):
            for steps in self._calls.submit_part(batches, part, care_plan, idempotency_key, dry_run):
                for job in await self._run(steps):
                    yield job

    async def validate(
        self, cases: Batch | AsyncIterable[Case], care_plan: int | None = None
    ) -> AsyncIterator[ItemResult]:
        """Validate any number of cases without storing or applying them; yield the result of each, in order."""
        batches = Batches(VALIDATED_ITEMS, BATCH_BYTES)
        async for part in _parts(batches, cases):
            for steps in self._calls.validate_part(batches, part, care_plan):
                for page in await self._run(steps):
                    for element in page.elements:
                        yield element

    async def job(self, job: Job | str, within: Duration = 0) -> Job:
        """Return a job once it is final, or its current state after `within`, a timedelta or seconds."""
        return await self._run(self._calls.job(id_of(job), duration_of(within, "within")))

    async def wait(self, job: Job | str, timeout: Duration | None = None) -> Job:
        """Return the job once it is final. Raises JobNotFinal if it is not within `timeout`, a timedelta or seconds."""
        limit = None if timeout is None else duration_of(timeout, "timeout")
        return await self._run(self._calls.wait(id_of(job), limit))

    async def follow(self, job: Job | str, on_event: Callable[[JobEvent], None], outcomes: bool = True) -> Job:
        """Call `on_event` with each event of a job, as it happens; return the job once it is final.

        With `outcomes`, the events include the outcomes of items, as chunks are committed.
        """
        return await self._run(self._calls.follow(id_of(job), EventReader(on_event), outcomes))

    def results(
        self, job: Job | str, outcome: Group | None = None, page_size: int | None = PAGE_SIZE
    ) -> AsyncIterator[ItemResult]:
        """Yield the result of each item of a final job, in order, or of those with one outcome. Raises JobNotFinal."""
        return self._all(lambda number: self._calls.result(id_of(job), outcome, number, page_size))

    def jobs(
        self, state: str | None = None, database: str | None = None, page: int = 1, page_size: int = PAGE_SIZE
    ) -> AsyncIterator[Job]:
        """Yield the caller's jobs, the newest first, from a page on. Fetches a page at a time."""
        return self._all(lambda number: self._calls.jobs(state, database, number, page_size), page)

    async def cancel(self, job: Job | str) -> Job:
        """Cancel the items that have not been applied; return the job after that."""
        return await self._run(self._calls.cancel(id_of(job)))

    async def purge(self, job: Job | str) -> None:
        """Remove payload and result of a final job before they expire. Raises JobStateRefused if it is not final."""
        await self._run(self._calls.purge(id_of(job)))

    async def retry(self, job: Job | str, idempotency_key: str | None = None) -> Job:
        """Retry the items that failed for a reason other than their content; return the new job."""
        return await self._run(self._calls.retry(id_of(job), idempotency_key))

    async def write_failed(
        self, job: Job | str, original: OriginalFile, to: Path | None = None, choice: Choice = TO_BE_MENDED
    ) -> Written:
        """Write the items of a final job that were not applied to a new file, in the original's format, with reasons.

        The file is `to`, or beside the original. Raises BatchUnreadable if the original is not the file that was sent.
        """
        fetched = await self.job(job)
        found = original_of(original, fetched)
        groups: tuple[Group | None, ...] = (None,) if found.has_rows_of_the_service else ("failed", "cancelled")
        results = sorted([item for group in groups async for item in self.results(fetched, group)], key=place_of)
        return write_failed(found, results, to or usual_path(original), choice)

    async def resend(self, job: Job | str, mended: OriginalFile) -> Job:
        """Send a corrected file of a job's failed items, for the same database and care plan; return the new job.

        What was a dry run, or strict, is so again.
        Repeating it with the same content returns the same job, until that expires. Raises RequestRefused if the file
        is the whole original.
        """
        fetched = await self.job(job)
        refuse_original(mended, fetched)
        return await self._sent_for(fetched, mended)

    async def resend_failed(self, job: Job | str, original: OriginalFile) -> Job:
        """Resend unchanged the items that failed for a reason other than their content; return the new job.

        They are read from the file only if `retry` is refused. Raises JobStateRefused if there are none.
        """
        try:
            return await self.retry(job)
        except JobStateRefused:
            with TemporaryDirectory() as place:
                to = Path(place) / usual_path(original).name
                written = await self.write_failed(job, original, to, TO_BE_RESENT)
                if not written.count:
                    raise
                return await self._sent_for(await self.job(job), as_original(to, original))

    async def _sent_for(self, job: Job, file: OriginalFile) -> Job:
        calls = replace(self._calls, database=job.database)
        with reading(file) as upload:
            key = key_of_resent(job, path_of(file))
            return await self._run(calls.submit(upload, job.care_plan_key, key, job.strict, job.dry_run))

    async def _all(self, page: Callable[[int], Steps[Page[_T]]], first: int = 1) -> AsyncIterator[_T]:
        number: int | None = first
        while number is not None:
            listed = await self._run(page(number))
            for element in listed.elements:
                yield element
            number = listed.next

    async def _run(self, steps: Steps[_T]) -> _T:
        with closing(steps):
            step = advance(steps)
            while not isinstance(step, Result):
                step = advance(steps, await self._carry_out(step))
            return step.value

    async def _carry_out(self, step: Request | Delay) -> Reply:
        if isinstance(step, Delay):
            await self._sleep(step.duration)
            return None
        try:
            if step.take is not None:
                return await self._taken(step, step.take)
            body = transport.async_content(step.body)
            return transport.answer(await self._http.request(content=body, **transport.arguments(step)))
        except transport.NO_ANSWER as error:
            return transport.no_answer(error, step)

    async def _taken(self, step: Request, take: Callable[[bytes], None]) -> Reply:
        """Pass on a successful response piece by piece; a truncated one is a response, too."""
        async with self._http.stream(**transport.arguments(step)) as response:
            if not response.is_success:
                await response.aread()
                return transport.answer(response)
            with suppress(transport.NO_ANSWER):
                async for piece in response.aiter_bytes():
                    take(piece)
            return transport.cut_off(response)


async def _parts(batches: Batches, cases: Batch | AsyncIterable[Case]) -> AsyncIterator[BatchBuffer]:
    async for item in _items_in(cases):
        for part in batches.add(item):
            yield part
    for part in batches.rest():
        yield part


async def _items_in(cases: Batch | AsyncIterable[Case]) -> AsyncIterator[bytes]:
    if isinstance(cases, AsyncIterable):
        number = 0
        async for case in cases:
            yield encoded(case, number)
            number += 1
    else:
        for item in items_in(cases):
            yield item
