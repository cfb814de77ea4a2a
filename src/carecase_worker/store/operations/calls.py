"""Arguments and replies of the job store's operations, as values, for both threads and event loops. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from carecase_worker.clock import from_epoch_ms, milliseconds
from carecase_worker.errors import JobNotFound
from carecase_worker.settings.model import JobSettings
from carecase_worker.store.job import Job, job_from_record
from carecase_worker.store.keys import Keys
from carecase_worker.store.operations.admission import NewJob
from carecase_worker.store.operations.throughput import Throughput, Trouble
from carecase_worker.store.redis.connection import moment_of
from carecase_worker.store.scripts import named

PACE_FIELDS = ("open", "items_per_second", "completed_ms")
TROUBLE_FIELDS = ("since_ms", "reason")


def admit_call(keys: Keys, jobs: JobSettings, new: NewJob, last: Mapping[int, bytes]) -> tuple[list[str], list[Any]]:
    """Return the keys (after the prefix) and arguments of `admit` for a batch and its last chunks."""
    idempotency = [keys.idempotency(new.client, mark.key) for mark in new.marks]
    arguments = named(
        job=new.job_id,
        database=new.database,
        client=new.client,
        user=new.user,
        total=new.total,
        chunks=len(new.chunk_firsts),
        strict=new.strict,
        dry_run=new.dry_run,
        care_plan="" if new.care_plan is None else new.care_plan,
        firsts=",".join(map(str, new.chunk_firsts)),
        body_sha256="" if new.seal.data_key else new.body_sha256,
        bytes=new.payload_bytes,
        weight=new.weight or "",
        retry_of=new.retry_of,
        webhooks=new.webhooks,
        fingerprints=[mark.fingerprint for mark in new.marks],
        data_key=new.seal.data_key,
        traceparent=str(new.traceparent or ""),
        width=1 if new.dry_run else jobs.width,
        renotify_after_ms=milliseconds(jobs.renotify_after),
        retention_ms=milliseconds(jobs.retention),
        backlog={"jobs": jobs.max_backlog_jobs, "bytes": jobs.max_backlog_bytes},
        limits=limits_of(jobs),
    )
    return [*places_of(keys, new.job_id), *idempotency], [
        arguments,
        new.key_set,
        new.seal.inner,
        new.seal.outer,
        *flat(last),
    ]


def places_of(keys: Keys, job_id: str) -> list[str]:
    """Return the keys of a job's record and payload."""
    return [keys.job(job_id), keys.payload(job_id)]


def limits_of(jobs: JobSettings) -> dict[str, dict[str, int]]:
    """Return the storage limits: jobs and bytes of a client, and of all clients of a database."""
    return {
        "client": {"jobs": jobs.max_client_jobs, "bytes": jobs.max_client_bytes},
        "database": {"jobs": jobs.max_database_jobs, "bytes": jobs.max_database_bytes},
    }


def flat(payloads: Mapping[int, bytes]) -> Iterator[int | bytes]:
    """Return the numbers of some chunks, each followed by its payload."""
    return chain.from_iterable(payloads.items())


def job_of_replies(job_id: str, now: tuple[int, int], record: Mapping[bytes, bytes]) -> Job:
    """Return the job from the replies to TIME and HGETALL. Raises JobNotFound."""
    if b"state" not in record:
        raise JobNotFound("There is no such job.")
    return job_from_record(job_id, {name.decode(): value.decode() for name, value in record.items()}, moment_of(now))


def pace_of_replies(now: tuple[int, int], fields: Sequence[bytes | None]) -> Throughput:
    """Return the throughput from the replies to TIME and to HMGET of PACE_FIELDS."""
    open_items, rate, completed_ms = (int(field or 0) for field in fields)
    return Throughput(open_items, rate, moment_of(now) - from_epoch_ms(completed_ms))


def trouble_of_replies(now: tuple[int, int], fields: Sequence[bytes | None], open_chunks: int) -> Trouble | None:
    """Return the failure from the replies to TIME and to HMGET of TROUBLE_FIELDS; None if no chunk is open."""
    since_ms, reason = fields
    if since_ms is None or reason is None or not open_chunks:
        return None
    return Trouble(reason.decode(), moment_of(now) - from_epoch_ms(int(since_ms)))


def oldest_of(members: Sequence[bytes]) -> str | None:
    """Return the oldest open job, from the reply to ZRANGE for the first one."""
    return members[0].decode().partition("|")[0] if members else None
