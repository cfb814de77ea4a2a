"""CareCases: the client for programs without asyncio."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import replace
from heapq import merge
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
from carecase_worker.client.exchange.steps import Delay, Moved, Notice, Reply, Request, Result, Steps, advance
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
    items_in,
    nothing_sent,
    reading,
)
from carecase_worker.clock import Sleep
from carecase_worker.errors import JobStateRefused

_T = TypeVar("_T")


def unnoticed(_: Request | Delay) -> AbstractContextManager[Moved]:
    """Ignore a step."""
    return nullcontext(lambda: None)


class CareCases:
    """The client of the service. Calls with transient failures are retried; that never duplicates a batch.

    Every call raises a ClientError if it fails.
    """

    def __init__(self, access: Access, calls: Calls, sleep: Sleep, notice: Notice = unnoticed) -> None:
        self._shown_url = transport.shown_url(access)
        self._calls = calls
        self._sleep = sleep
        self._notice = notice
        self._http = transport.opened(httpx.Client, access)

    def __repr__(self) -> str:
        return f"CareCases({self._shown_url!r})"

    @property
    def database(self) -> str | None:
        """The target database of batches; None if none is set."""
        return self._calls.database

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(
        self,
        batch: Batch,
        care_plan: int | None = None,
        idempotency_key: str | None = None,
        sent: Callable[[int], None] = nothing_sent,
        strict: bool = False,
        dry_run: bool = False,
    ) -> Job:
        """Send cases, a file or bytes as one batch; return its job.

        Calls `sent` with the size of each piece of a file that is sent, of cases once with that of all. With `strict`
        all items are applied or none. A dry run is rolled back: its result has the outcome that each item would have.
        """
        with reading(batch, sent) as upload:
            return self._run(self._calls.submit(upload, care_plan, idempotency_key, strict, dry_run))

    def submit_all(
        self,
        cases: Batch,
        care_plan: int | None = None,
        idempotency_key: str | None = None,
        batch_items: int = BATCH_ITEMS,
        batch_bytes: int = BATCH_BYTES,
        dry_run: bool = False,
    ) -> Iterator[Job]:
        """Send any number of cases, or a file of any size, in batches, in order; yield each job once it is accepted.

        Lazy: a batch is sent when its job is iterated to, and only one is in memory; the file may be a pipe. A batch
        that is too large for the service is split. With an Idempotency-Key, to which each batch's index is added, a
        repeated run with the same cases returns the same jobs. Dry runs are as of `submit_in`.
        """
        yield from self.submit_in(Batches(batch_items, batch_bytes), cases, care_plan, idempotency_key, dry_run)

    def submit_in(
        self,
        batches: Batches,
        cases: Batch,
        care_plan: int | None = None,
        idempotency_key: str | None = None,
        dry_run: bool = False,
    ) -> Iterator[Job]:
        """Send cases as `submit_all` does, with `batches` given by the caller, which report the progress.

        Each batch of a dry run sees only stored cases, not the other batches.
        """
        for item in items_in(cases):
            for part in batches.add(item):
                yield from self._each(self._calls.submit_part(batches, part, care_plan, idempotency_key, dry_run))
        for part in batches.rest():
            yield from self._each(self._calls.submit_part(batches, part, care_plan, idempotency_key, dry_run))

    def validate(self, cases: Batch, care_plan: int | None = None) -> Iterator[ItemResult]:
        """Validate any number of cases without storing or applying them; yield the service's result for each, in order.

        Conflicts (409) are not detected, since only the target database can find them.
        """
        batches = Batches(VALIDATED_ITEMS, BATCH_BYTES)
        for item in items_in(cases):
            for part in batches.add(item):
                yield from self._validated(batches, part, care_plan)
        for part in batches.rest():
            yield from self._validated(batches, part, care_plan)

    def job(self, job: Job | str, within: Duration = 0) -> Job:
        """Return a job once it is final, or its current state after `within`, a timedelta or seconds."""
        return self._run(self._calls.job(id_of(job), duration_of(within, "within")))

    def wait(self, job: Job | str, timeout: Duration | None = None) -> Job:
        """Return the job once it is final. Raises JobNotFinal if it is not within `timeout`, a timedelta or seconds."""
        limit = None if timeout is None else duration_of(timeout, "timeout")
        return self._run(self._calls.wait(id_of(job), limit))

    def follow(self, job: Job | str, on_event: Callable[[JobEvent], None], outcomes: bool = True) -> Job:
        """Call `on_event` with each event of a job, as it happens; return the job once it is final.

        With `outcomes`, the events include the outcomes of items, as chunks are committed.
        """
        return self._run(self._calls.follow(id_of(job), EventReader(on_event), outcomes))

    def results(
        self, job: Job | str, outcome: Group | None = None, page_size: int | None = PAGE_SIZE
    ) -> Iterator[ItemResult]:
        """Yield the result of each item of a final job, in order, or of those with one outcome. Raises JobNotFinal.

        Fetches a page at a time; with a page size of None, the whole result at once.
        """
        return self._all(lambda number: self._calls.result(id_of(job), outcome, number, page_size))

    def jobs(
        self, state: str | None = None, database: str | None = None, page: int = 1, page_size: int = PAGE_SIZE
    ) -> Iterator[Job]:
        """Yield the caller's jobs, the newest first, from a page on. Fetches a page at a time."""
        return self._all(lambda number: self._calls.jobs(state, database, number, page_size), page)

    def cancel(self, job: Job | str) -> Job:
        """Cancel the items that have not been applied; return the job after that. Raises JobStateRefused if final."""
        return self._run(self._calls.cancel(id_of(job)))

    def purge(self, job: Job | str) -> None:
        """Remove payload and result of a final job before they expire. Raises JobStateRefused if it is not final."""
        self._run(self._calls.purge(id_of(job)))

    def retry(self, job: Job | str, idempotency_key: str | None = None) -> Job:
        """Retry the items that failed for a reason other than their content; return the new job.

        Raises JobStateRefused if there are none, or the job is not final.
        """
        return self._run(self._calls.retry(id_of(job), idempotency_key))

    def write_failed(
        self, job: Job | str, original: OriginalFile, to: Path | None = None, choice: Choice = TO_BE_MENDED
    ) -> Written:
        """Write the items of a final job that were not applied to a new file, in the original's format, with reasons.

        The file is `to`, or beside the original. Raises BatchUnreadable if the original is not the file that was sent.
        """
        fetched = self.job(job)
        found = original_of(original, fetched)
        results = (
            self.results(fetched)
            if found.has_rows_of_the_service
            else merge(self.results(fetched, "failed"), self.results(fetched, "cancelled"), key=place_of)
        )
        return write_failed(found, results, to or usual_path(original), choice)

    def resend(self, job: Job | str, mended: OriginalFile) -> Job:
        """Send a corrected file of a job's failed items, for the same database and care plan; return the new job.

        What was a dry run, or strict, is so again.
        Repeating it with the same content returns the same job, until that expires. Raises RequestRefused if the file
        is the whole original.
        """
        fetched = self.job(job)
        refuse_original(mended, fetched)
        return self._sent_for(fetched, mended)

    def resend_failed(self, job: Job | str, original: OriginalFile) -> Job:
        """Resend unchanged the items that failed for a reason other than their content; return the new job.

        They are read from the file only if `retry` is refused. Raises JobStateRefused if there are none.
        """
        try:
            return self.retry(job)
        except JobStateRefused:
            with TemporaryDirectory() as place:
                to = Path(place) / usual_path(original).name
                written = self.write_failed(job, original, to, TO_BE_RESENT)
                if not written.count:
                    raise
                return self._sent_for(self.job(job), as_original(to, original))

    def _sent_for(self, job: Job, file: OriginalFile) -> Job:
        calls = replace(self._calls, database=job.database)
        with reading(file) as upload:
            key = key_of_resent(job, path_of(file))
            return self._run(calls.submit(upload, job.care_plan_key, key, job.strict, job.dry_run))

    def _validated(self, batches: Batches, part: BatchBuffer, care_plan: int | None) -> Iterator[ItemResult]:
        for page in self._each(self._calls.validate_part(batches, part, care_plan)):
            yield from page.elements

    def _each(self, parts: Iterable[Steps[Sequence[_T]]]) -> Iterator[_T]:
        for steps in parts:
            yield from self._run(steps)

    def _all(self, page: Callable[[int], Steps[Page[_T]]], first: int = 1) -> Iterator[_T]:
        number: int | None = first
        while number is not None:
            listed = self._run(page(number))
            yield from listed.elements
            number = listed.next

    def _run(self, steps: Steps[_T]) -> _T:
        with closing(steps):
            step = advance(steps)
            while not isinstance(step, Result):
                step = advance(steps, self._carry_out(step))
            return step.value

    def _carry_out(self, step: Request | Delay) -> Reply:
        with self._notice(step) as moved:
            if isinstance(step, Delay):
                self._sleep(step.duration)
                return None
            try:
                if step.take is not None:
                    return self._taken(step, step.take)
                body = transport.content(step.body, moved)
                return transport.answer(self._http.request(content=body, **transport.arguments(step)))
            except transport.NO_ANSWER as error:
                return transport.no_answer(error, step)

    def _taken(self, step: Request, take: Callable[[bytes], None]) -> Reply:
        """Pass on a successful response piece by piece; a truncated one is a response, too."""
        with self._http.stream(**transport.arguments(step)) as response:
            if not response.is_success:
                response.read()
                return transport.answer(response)
            with suppress(transport.NO_ANSWER):
                for piece in response.iter_bytes():
                    take(piece)
            return transport.cut_off(response)
