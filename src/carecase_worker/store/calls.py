"""Arguments of the job store's operations, and Redis's replies, as values: for threads and an event loop. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from carecase_worker.clock import from_epoch_ms, milliseconds
from carecase_worker.errors import JobNotFound
from carecase_worker.settings.model import JobSettings
from carecase_worker.store.admission import NewJob
from carecase_worker.store.job import Job, job_from_record
from carecase_worker.store.keys import Keys
from carecase_worker.store.redis.connection import moment_of
from carecase_worker.store.throughput import Throughput

PACE_FIELDS = ("open", "items_per_second", "completed_ms")


def admit_call(keys: Keys, jobs: JobSettings, new: NewJob, last: Mapping[int, bytes]) -> tuple[list[str], list[Any]]:
    """Return the keys and arguments with which `admit` makes a batch a job, with its last chunks."""
    idempotency = [keys.idempotency(new.client, mark.key) for mark in new.marks]
    fingerprints = [mark.fingerprint for mark in new.marks]
    args = [
        new.job_id, milliseconds(jobs.renotify_after), jobs.width, jobs.max_backlog_jobs, jobs.max_backlog_bytes,
        new.payload_bytes, milliseconds(jobs.retention), *(fingerprints[:1] or [""]), new.database,
        "" if new.care_plan is None else new.care_plan, new.client, new.user, new.total, len(new.chunk_firsts),
        ",".join(map(str, new.chunk_firsts)), "" if new.seal.data_key else new.body_sha256, int(new.strict),
        *most_kept(jobs), new.retry_of, new.seal.data_key, new.seal.inner, new.seal.outer, new.weight or "",
        new.key_set, str(new.traceparent or ""), *fingerprints[1:], *flat(last),
    ]  # fmt: skip
    return [keys.prefix, *places_of(keys, new.job_id), *idempotency], args


def places_of(keys: Keys, job_id: str) -> list[str]:
    """Return the keys of a job's record and payload."""
    return [keys.job(job_id), keys.payload(job_id)]


def most_kept(jobs: JobSettings) -> tuple[int, int, int, int]:
    """Return the limits of what is kept: jobs and bytes of a client, then those of all clients of a database."""
    return jobs.max_client_jobs, jobs.max_client_bytes, jobs.max_database_jobs, jobs.max_database_bytes


def flat(payloads: Mapping[int, bytes]) -> Iterator[int | bytes]:
    """Return the numbers of some chunks, each followed by its payload."""
    return chain.from_iterable(payloads.items())


def job_told(job_id: str, now: tuple[int, int], record: Mapping[bytes, bytes]) -> Job:
    """Return the job from the replies to TIME and HGETALL. Raises JobNotFound."""
    if b"state" not in record:
        raise JobNotFound("There is no such job.")
    return job_from_record(job_id, {name.decode(): value.decode() for name, value in record.items()}, moment_of(now))


def pace_told(now: tuple[int, int], fields: Sequence[bytes | None]) -> Throughput:
    """Return the pace from the replies to TIME and to HMGET of PACE_FIELDS."""
    open_items, rate, completed_ms = (int(field or 0) for field in fields)
    return Throughput(open_items, rate, moment_of(now) - from_epoch_ms(completed_ms))
