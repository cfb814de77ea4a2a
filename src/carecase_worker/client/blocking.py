"""CareCases: the calls, carried out while the program waits."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar

import httpx

from carecase_worker.client import transport
from carecase_worker.client.access import Access
from carecase_worker.client.calls import Calls
from carecase_worker.client.documents import PAGE_SIZE, Group, ItemResult, Job, Page, id_of
from carecase_worker.client.steps import Delay, Reply, Request, Result, Steps, advance
from carecase_worker.client.uploads import BATCH_BYTES, BATCH_ITEMS, Batch, Batches, Case, nothing_sent, reading
from carecase_worker.clock import Sleep

_T = TypeVar("_T")


class CareCases:
    """A connection to the service. Calls that fail for a passing reason are tried again; that never doubles a batch.

    Every call raises a ClientError if it comes to nothing.
    """

    def __init__(self, access: Access, calls: Calls, sleep: Sleep) -> None:
        self._shown_url = transport.shown_url(access)
        self._calls = calls
        self._sleep = sleep
        self._http = httpx.Client(**transport.http_options(access))

    def __repr__(self) -> str:
        return f"CareCases({self._shown_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connections."""
        self._http.close()

    def submit(
        self,
        batch: Batch,
        care_plan: int | None = None,
        idempotency_key: str | None = None,
        sent: Callable[[int], None] = nothing_sent,
    ) -> Job:
        """Send cases, a file or bytes as one batch; the job that stands for it.

        Calls `sent` with the size of each piece of a file that is sent.
        """
        with reading(batch, sent) as upload:
            return self._run(self._calls.submit(upload, care_plan, idempotency_key))

    def submit_all(
        self,
        cases: Iterable[Case],
        care_plan: int | None = None,
        idempotency_key: str | None = None,
        batch_items: int = BATCH_ITEMS,
        batch_bytes: int = BATCH_BYTES,
    ) -> Iterator[Job]:
        """Send any number of cases in batches, in order; the job of each, once it is accepted.

        A batch is sent when its job is asked for, and no more than one is held. With an Idempotency-Key, to which each
        batch's number is added, a program that is run again with the same cases gets the same jobs.
        """
        batches = Batches(batch_items, batch_bytes)
        for case in cases:
            for batch in batches.add(case):
                yield self._run(self._calls.submit_part(batch, care_plan, idempotency_key))
        for batch in batches.rest():
            yield self._run(self._calls.submit_part(batch, care_plan, idempotency_key))

    def job(self, job: Job | str, within: timedelta = timedelta()) -> Job:
        """Where a job stands: once it is final, or when the time is over."""
        return self._run(self._calls.job(id_of(job), within))

    def wait(self, job: Job | str, timeout: timedelta | None = None) -> Job:
        """The job once it is final. Raises JobNotFinal if it is not within `timeout`."""
        return self._run(self._calls.wait(id_of(job), timeout))

    def results(
        self, job: Job | str, outcome: Group | None = None, page_size: int | None = PAGE_SIZE
    ) -> Iterator[ItemResult]:
        """What became of each item of a final job, in order, or of those with one outcome. Raises JobNotFinal.

        Asks for a page at a time; with a page size of None, for the whole in one go.
        """
        return self._all(lambda number: self._calls.result(id_of(job), outcome, number, page_size))

    def jobs(
        self, state: str | None = None, database: str | None = None, page: int = 1, page_size: int = PAGE_SIZE
    ) -> Iterator[Job]:
        """The caller's jobs, the newest first, from a page on. Asks for a page at a time."""
        return self._all(lambda number: self._calls.jobs(state, database, number, page_size), page)

    def cancel(self, job: Job | str) -> Job:
        """Cancel what has not been applied; the job as it is then. Raises JobStateRefused if that is nothing."""
        return self._run(self._calls.cancel(id_of(job)))

    def retry(self, job: Job | str, idempotency_key: str | None = None) -> Job:
        """Send again what failed for a reason outside the items; the new job. Raises JobStateRefused if none is."""
        return self._run(self._calls.retry(id_of(job), idempotency_key))

    def _all(self, page: Callable[[int], Steps[Page[_T]]], first: int = 1) -> Iterator[_T]:
        number: int | None = first
        while number is not None:
            told = self._run(page(number))
            yield from told.elements
            number = told.next

    def _run(self, steps: Steps[_T]) -> _T:
        with closing(steps):
            step = advance(steps)
            while not isinstance(step, Result):
                step = advance(steps, self._carry_out(step))
            return step.value

    def _carry_out(self, step: Request | Delay) -> Reply:
        if isinstance(step, Delay):
            self._sleep(step.duration)
            return None
        try:
            body = transport.content(step.body)
            return transport.answer(self._http.request(content=body, **transport.arguments(step)))
        except transport.NO_ANSWER as error:
            return transport.no_answer(error)
