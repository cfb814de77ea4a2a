"""The calls of the contract as steps: requests, parsing of responses, and delays before retries. No I/O."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import TypeVar, assert_never
from urllib.parse import quote
from uuid import UUID

from carecase_worker.client import documents
from carecase_worker.client.documents import Group, ItemResult, Job, Page
from carecase_worker.client.events import EventReader
from carecase_worker.client.exchange.steps import Delay, NoResponse, Request, Response, Steps, asked
from carecase_worker.client.exchange.verdicts import (
    Done,
    GiveUp,
    RetryPolicy,
    TryAgain,
    next_step,
    retry_after,
    unreadable,
)
from carecase_worker.client.uploads import BatchBuffer, Batches, Upload
from carecase_worker.clock import Clock, Random
from carecase_worker.errors import ClientError, JobNotFinal, JobUnknown, RequestRefused

_LONG_POLL = timedelta(seconds=20)
_HEARTBEAT = timedelta(seconds=60)
"""The maximum time between two events of a stream; the service's default heartbeat is 15 s."""
_EVENTS = "text/event-stream"
_MIN_POLL_INTERVAL = timedelta(milliseconds=100)
_USUAL_DELAY = timedelta(seconds=1)
_A_SECOND = timedelta(seconds=1)
_TOO_LARGE, _GONE, _NOTHING_MORE = 413, 410, 204
_LONGEST_KEY = 255

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Calls:
    """Factory of the steps of each call. Every call is retried on transient errors, without duplicating anything."""

    database: str | None
    clock: Clock
    random: Random
    new_id: Callable[[], UUID]
    policy: RetryPolicy = field(default_factory=RetryPolicy)

    def submit(
        self, upload: Upload, care_plan: int | None, key: str | None = None, strict: bool = False, dry_run: bool = False
    ) -> Steps[Job]:
        """Send a batch, each time with the same Idempotency-Key: it becomes one job, even if responses are lost."""
        headers = {"Idempotency-Key": _key(key) or str(self.new_id())}
        if strict:
            headers["Prefer"] = "handling=strict"
        parameters = {**upload.parameters, **({"dryRun": "true"} if dry_run else {})}
        answer = yield from self._answered(self._put(upload, care_plan, headers, parameters))
        return _read(answer, documents.accepted_job)

    def submit_part(
        self, batches: Batches, part: BatchBuffer, care_plan: int | None, run: str | None, dry_run: bool = False
    ) -> Iterator[Steps[Sequence[Job]]]:
        """Send one of many batches; its Idempotency-Key is that of the run plus the batch's index.

        If the batch is too large for the service, it and later ones are split. Each part has its own steps, so that its
        job is known before the next one is sent.
        """

        def send(batch: BatchBuffer) -> Steps[Job]:
            key = _key_of_part(run, batch.first) if run and batch.first else run
            return self.submit(batch.upload(), care_plan, key, dry_run=dry_run)

        return self._in_parts(batches, part, send)

    def validate_part(
        self, batches: Batches, part: BatchBuffer, care_plan: int | None
    ) -> Iterator[Steps[Sequence[Page[ItemResult]]]]:
        """Validate one of many batches without storing or applying it."""

        def send(batch: BatchBuffer) -> Steps[Page[ItemResult]]:
            request = self._put(batch.upload(), care_plan, {}, {"validateOnly": "true"})
            answer = yield from self._answered(request)
            return _read(answer, lambda content: documents.page_of_items(content, None, None, batch.first))

        return self._in_parts(batches, part, send)

    def job(self, job_id: str, within: timedelta = timedelta()) -> Steps[Job]:
        """Fetch a job once it is final, or its current state after `within`."""
        if not within:
            return _read((yield from self._answered(Request("GET", _path(job_id)))), documents.job_of_status)
        return (yield from self._polled(job_id, self.clock.now() + within))

    def wait(self, job_id: str, timeout: timedelta | None) -> Steps[Job]:
        """Fetch the job once it is final. Raises JobNotFinal if it is not within `timeout`."""
        job = yield from self._polled(job_id, None if timeout is None else self.clock.now() + timeout)
        if not job.final:
            raise JobNotFinal(f"The job is not final yet, but {job.state}. It continues by itself; wait for it again.")
        return job

    def follow(self, job_id: str, reader: EventReader, outcomes: bool) -> Steps[Job]:
        """Read the events of a job until it is final; an interrupted stream is resumed after its last event."""
        parameters = {} if outcomes else {"outcomes": "false"}
        while reader.final is None:
            headers = {"Accept": _EVENTS, **({"Last-Event-ID": reader.last_id} if reader.last_id else {})}
            request = Request(
                "GET", f"{_path(job_id)}/events", headers, parameters, long_poll=_HEARTBEAT, take=reader.feed
            )
            answer = yield from self._answered(request)
            if answer.status == _NOTHING_MORE:
                return (yield from self.job(job_id))
            if reader.broken or not answer.headers.get("content-type", "").startswith(_EVENTS):
                raise unreadable(answer)
            if reader.final is None:
                reader.resume()
                yield Delay(reader.again)
        return reader.final

    def result(self, job_id: str, wanted: Group | None, number: int, size: int | None) -> Steps[Page[ItemResult]]:
        """Fetch a page of the result of a final job; without a size, all of it. Raises JobNotFinal."""
        parameters = {} if size is None else {"page": str(number), "pageSize": str(size)}
        if wanted:
            parameters["outcome"] = wanted
        answer = yield from self._answered(Request("GET", f"{_path(job_id)}/result", parameters=parameters))
        if answer.status == 202:
            raise JobNotFinal(
                "The job is not final yet. Wait for it: client.wait(job), carecase status JOB --watch", 202
            )
        pagination = answer.headers.get("x-pagination")
        return _read(answer, lambda content: documents.page_of_items(content, pagination, wanted))

    def jobs(self, state: str | None, database: str | None, number: int, size: int) -> Steps[Page[Job]]:
        """Fetch a page of the caller's jobs, the newest first."""
        wanted = {"state": state, "database": database, "page": str(number), "pageSize": str(size)}
        parameters = {name: value for name, value in wanted.items() if value is not None}
        answer = yield from self._answered(Request("GET", "/jobs", parameters=parameters))
        pagination = answer.headers.get("x-pagination")
        return _read(answer, lambda content: documents.page_of_jobs(content, pagination))

    def cancel(self, job_id: str) -> Steps[Job]:
        """Cancel the items that have not been applied; return the job after that."""
        answer = yield from self._answered(Request("DELETE", _path(job_id)))
        return _read(answer, documents.accepted_job)

    def purge(self, job_id: str) -> Steps[None]:
        """Remove payload and result of a final job; also succeeds if the result was no longer kept."""
        try:
            yield from self._answered(Request("DELETE", _path(job_id), parameters={"purge": "true"}))
        except JobUnknown as error:
            if error.status != _GONE:  # the service also says so if the response to an earlier try was lost
                raise

    def retry(self, job_id: str, key: str | None = None) -> Steps[Job]:
        """Retry the items that failed for a reason other than their content; repeated calls return the same new job."""
        headers = {"Idempotency-Key": _key(key) or f"retry of {job_id}"}
        answer = yield from self._answered(Request("POST", f"{_path(job_id)}/retry", headers))
        return _read(answer, documents.accepted_job)

    def _put(
        self,
        upload: Upload,
        care_plan: int | None,
        headers: Mapping[str, str],
        parameters: Mapping[str, str] = MappingProxyType({}),
    ) -> Request:
        path = "/care-cases-batch" if care_plan is None else f"/care-plans/{care_plan}/cases-batch"
        named = {
            "Content-Type": upload.content_type,
            "Content-Encoding": upload.content_encoding,
            "vbasoftware-database": self.database,
        }
        sent = {name: value for name, value in named.items() if value}
        return Request("PUT", path, {**sent, **headers}, parameters, body=upload.pieces)

    def _in_parts(
        self, batches: Batches, whole: BatchBuffer, send: Callable[[BatchBuffer], Steps[_T]]
    ) -> Iterator[Steps[Sequence[_T]]]:
        """Send a batch, split into smaller ones while it is too large for the service; one at a time."""
        waiting = [whole]
        while waiting:
            yield self._first_of(waiting, batches, send)

    def _first_of(
        self, waiting: list[BatchBuffer], batches: Batches, send: Callable[[BatchBuffer], Steps[_T]]
    ) -> Steps[Sequence[_T]]:
        """Send the first waiting batch and return its result; if too large, queue its parts and return nothing."""
        with waiting.pop(0) as part:
            if part.items <= batches.items:
                try:
                    return [(yield from send(part))]
                except ClientError as refusal:
                    if refusal.status != _TOO_LARGE or part.items < 2:
                        raise
                batches.halve(part)
            waiting[:0] = part.cut(batches.items)
            return []

    def _polled(self, job_id: str, deadline: datetime | None) -> Steps[Job]:
        """Poll the job until it is final or the deadline has passed."""
        while True:
            hold = _LONG_POLL if deadline is None else min(_LONG_POLL, max(deadline - self.clock.now(), timedelta()))
            prefer = {"Prefer": f"wait={-(-hold // _A_SECOND)}"}  # rounded up to whole seconds
            answer = yield from self._answered(Request("GET", _path(job_id), prefer, long_poll=hold))
            job = _read(answer, documents.job_of_status)
            now = self.clock.now()
            if job.final or (deadline is not None and now >= deadline):
                return job
            yield Delay(_delay(answer, now, deadline))

    def _answered(self, request: Request) -> Steps[Response]:
        """Return the successful response to a request, retried as `policy` allows. Raises ClientError."""
        tried, trouble = 1, None
        while True:
            reply = yield from asked(replace(request, silence=self.policy.silence))
            now = self.clock.now()
            trouble = trouble or now - (reply.silent if isinstance(reply, NoResponse) else timedelta())
            match next_step(reply, tried, self.policy, self.random.random(), now, now - trouble):
                case Done(answer):
                    return answer
                case TryAgain(after, reason):
                    yield Delay(after, reason)
                    tried += 1
                case GiveUp(error):
                    raise error
                case never:
                    assert_never(never)


def _delay(answer: Response, now: datetime, deadline: datetime | None) -> timedelta:
    """Return the delay before the next poll: a short one after a long poll, else its Retry-After."""
    if re.search("wait=[1-9]", answer.headers.get("preference-applied", "")):
        return _MIN_POLL_INTERVAL
    delay = retry_after(answer, now) or _USUAL_DELAY
    return delay if deadline is None else min(delay, deadline - now)


def _read(answer: Response, read: Callable[[bytes], _T]) -> _T:
    """Read the content of a response. Raises ServiceUnreachable if it is not as expected."""
    try:
        return read(answer.content)
    except (ValueError, LookupError):
        raise unreadable(answer) from None


def _key(key: str | None) -> str | None:
    """Check that a header can carry an Idempotency-Key. Raises RequestRefused."""
    if key is not None and not re.fullmatch(r"[!-~](?:[ -~]{0,253}[!-~])?", key):
        raise RequestRefused(
            "The Idempotency-Key must have 1 to 255 ASCII letters, digits and signs. Choose another one."
        )
    return key


def _key_of_part(run: str, first: int) -> str:
    """Return the Idempotency-Key of a batch of a run that begins with this item; it has a digest for a long key."""
    key = f"{run}-{first}"
    return key if len(key) <= _LONGEST_KEY else f"{sha256(run.encode()).hexdigest()}-{first}"


def _path(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"
