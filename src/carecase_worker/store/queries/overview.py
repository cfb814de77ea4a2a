"""Overview of the open work: each database with its backlog and circuit breaker, each worker with its claimed chunks.

Read-only; any Redis user with read access to the job store's keys can use it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.clock import from_epoch_us
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.keys import Keys
from carecase_worker.store.operations.calls import (
    PACE_FIELDS,
    TROUBLE_FIELDS,
    oldest_of,
    pace_of_replies,
    trouble_of_replies,
)
from carecase_worker.store.operations.throughput import Trouble
from carecase_worker.store.redis.connection import connect, moment_of, redis_errors
from carecase_worker.store.workers.presence import Workers


class Breaker(Enum):
    """State of the circuit breaker of a database."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    """One attempt is probing the database."""


@dataclass(frozen=True, slots=True)
class DatabaseWork:
    """The open work of one database. `oldest` is the age of `oldest_job`."""

    database: str
    open_jobs: int
    open_items: int
    open_bytes: int
    open_chunks: int
    items_per_second: int
    oldest_job: str | None
    oldest: timedelta
    breaker: Breaker
    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class ChunkInHand:
    """A chunk that a pool process has claimed, of `process` on `host`."""

    host: str
    process: str
    chunk: ChunkRef
    database: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The open work at one time, by Redis's clock."""

    at: datetime
    databases: Sequence[DatabaseWork]
    workers: Workers
    in_hand: Sequence[ChunkInHand]


class Overviews:
    """Source of overviews. Its methods raise StoreUnavailable."""

    def __init__(self, settings: RedisSettings, databases: Iterable[str], timeout: timedelta) -> None:
        self._redis = connect(settings, timeout, attempts=1)
        self._keys = Keys(settings.prefix)
        self._databases = tuple(sorted(databases))

    def read(self, workers: Workers) -> Overview:
        """Read an overview, in two round trips; `workers` are those with a recent heartbeat."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hgetall(self._keys.holding)
            for database in self._databases:
                self._ask(pipe, database)
            time, holding, *answers = pipe.execute()
        now, parts = moment_of(time), len(answers) // len(self._databases) if self._databases else 1
        each = dict(zip(self._databases, zip(*[iter(answers)] * parts, strict=True), strict=True))
        oldest = {name: oldest_of(answer[-1]) for name, answer in each.items()}
        chunks = {ChunkRef.of(member.decode()): holder.decode() for member, holder in holding.items()}
        jobs = self._jobs({*filter(None, oldest.values()), *(chunk.job_id for chunk in chunks)})
        return Overview(
            now,
            [_work(name, answer, oldest[name], jobs, time) for name, answer in each.items()],
            workers,
            sorted((_in_hand(chunk, holder, jobs) for chunk, holder in chunks.items()), key=_place),
        )

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _ask(self, pipe: Any, database: str) -> None:
        keys = self._keys
        pipe.hmget(keys.backlog(database), ["jobs", "bytes"])
        pipe.hmget(keys.pace(database), PACE_FIELDS)
        pipe.zcard(keys.due(database))
        pipe.exists(keys.failures(database))
        pipe.get(keys.circuit(database))
        pipe.hmget(keys.trouble(database), TROUBLE_FIELDS)
        pipe.zrange(keys.open(database), 0, 0)

    def _jobs(self, job_ids: Iterable[str]) -> Mapping[str, tuple[str, datetime | None]]:
        """Return the database and the time of acceptance of each job."""
        wanted = sorted(job_ids)
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            for job_id in wanted:
                pipe.hmget(self._keys.job(job_id), ["database", "accepted_us"])
            replies = pipe.execute()
        return {
            job_id: ((name or b"").decode(), from_epoch_us(int(accepted_us)) if accepted_us else None)
            for job_id, (name, accepted_us) in zip(wanted, replies, strict=True)
        }


def _work(
    database: str,
    answer: Sequence[Any],
    oldest: str | None,
    jobs: Mapping[str, tuple[str, datetime | None]],
    now: tuple[int, int],
) -> DatabaseWork:
    (open_jobs, size), pace, chunks, failing, circuit, trouble, _ = answer
    accepted, throughput = jobs[oldest][1] if oldest else None, pace_of_replies(now, pace)
    return DatabaseWork(
        database,
        int(open_jobs or 0),
        throughput.open_items,
        int(size or 0),
        chunks,
        throughput.now_per_second,
        oldest,
        moment_of(now) - accepted if accepted else timedelta(0),
        _breaker(bool(failing), bool(circuit)),
        trouble_of_replies(now, trouble, chunks),
    )


def _breaker(failing: bool, probing: bool) -> Breaker:
    """Return the state of the breaker; `probing`: its circuit has a holder."""
    if not failing:
        return Breaker.CLOSED
    return Breaker.HALF_OPEN if probing else Breaker.OPEN


def _in_hand(chunk: ChunkRef, holder: str, jobs: Mapping[str, tuple[str, datetime | None]]) -> ChunkInHand:
    machine, _, rest = holder.partition(":")
    return ChunkInHand(machine.partition("/")[0], rest.partition(":")[0], chunk, jobs[chunk.job_id][0])


def _place(one: ChunkInHand) -> tuple[str, str, str, int]:
    return one.host, one.process, one.chunk.job_id, one.chunk.chunk_no
