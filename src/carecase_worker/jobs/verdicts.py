"""What goes into the verbs of the job store, and what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import assert_never

from carecase_worker.clock import from_epoch_us

_STILL_AT_WORK = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """Which chunk of which job."""

    job_id: str
    chunk_no: int

    @classmethod
    def of(cls, member: bytes) -> "ChunkRef":
        """The chunk that a member of `due` names."""
        job_id, chunk_no = member.decode().split(":")
        return cls(job_id, int(chunk_no))


class Admitted(Enum):
    """What stage and admit say."""

    STAGED = "staged"
    ADMITTED = "admitted"
    KNOWN = "known"
    REUSED = "reused"
    FULL = "full"
    USED = "used"
    CROWDED = "crowded"
    LOST = "lost"


class Purged(Enum):
    """What purge says."""

    PURGED = "purged"
    OPEN = "open"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Staging:
    """A batch that is coming in, whose it is, and how much of it is staged: bytes of payloads, and chunks."""

    job_id: str
    client: str
    database: str
    size: int = 0
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """What Redis keeps of a client in a database: jobs, open or with a result, and the bytes counted for all of it."""

    jobs: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """The verdict on a batch, the job that stands for it, the chunks to ring for, and `whose` share is full, if so."""

    verdict: Admitted
    job_id: str
    rings: tuple[ChunkRef, ...] = ()
    whose: str = ""

    @classmethod
    def of(cls, answer: Sequence[bytes], job_id: str) -> "Admission":
        """The admission that an answer of stage or admit tells of."""
        verdict, *rest = answer
        match Admitted(verdict.decode()):
            case Admitted.KNOWN:
                return cls(Admitted.KNOWN, rest[0].decode())
            case (Admitted.USED | Admitted.CROWDED) as full:
                return cls(full, job_id, whose=rest[0].decode())
            case (Admitted.STAGED | Admitted.ADMITTED | Admitted.REUSED | Admitted.FULL | Admitted.LOST) as other:
                return cls(other, job_id, tuple(map(ChunkRef.of, rest)))
            case never:
                assert_never(never)


@dataclass(frozen=True, slots=True)
class NewJob:
    """What admit needs to know of a staged batch."""

    job_id: str
    client: str
    user: str
    database: str
    care_plan: int | None
    total: int
    chunk_firsts: Sequence[int]
    payload_bytes: int
    body_sha256: str
    fingerprint: str
    idempotency_key: str | None
    strict: bool = False
    retry_of: str = ""


class Claimed(Enum):
    """What claim says."""

    APPLY = "apply"
    CANCEL = "cancel"
    DONE = "done"
    GONE = "gone"
    BUSY = "busy"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class History:
    """What went wrong before.

    Of the chunk: `deaths` of processes that held it, `releases` after failed attempts, `faults` among these that nobody
    could explain, and those that took too long. Of the job: for how long its database has been failing it. Of the
    database: `failures`, the attempts in a row that found it away.
    """

    deaths: int = 0
    releases: int = 0
    faults: int = 0
    failures: int = 0
    failing_for: timedelta = timedelta(0)
    too_slow: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A chunk that is the caller's to apply or to cancel, and what it needs to know of the job.

    `seq` is the batch's place in the order of acceptance; while it is `unsettled`, the database may hold higher ones
    from before this Redis.
    """

    chunk: ChunkRef
    payload: bytes
    history: History
    database: str
    care_plan: int | None
    user: str
    seq: int
    accepted_at: datetime
    strict: bool = False
    unsettled: bool = False

    @classmethod
    def of(cls, chunk: ChunkRef, answer: Sequence[bytes]) -> "Lease":
        """The lease that an answer of claim tells of."""
        payload, deaths, releases, faults, too_slow, failures, failing_for_ms, *job = answer
        database, care_plan, user, seq, strict, accepted_us, unsettled = job
        failing_for = timedelta(milliseconds=int(failing_for_ms))
        return cls(
            chunk=chunk,
            payload=payload,
            history=History(int(deaths), int(releases), int(faults), int(failures), failing_for, int(too_slow)),
            database=database.decode(),
            care_plan=int(care_plan) if care_plan else None,
            user=user.decode(),
            seq=int(seq),
            accepted_at=from_epoch_us(int(accepted_us)),
            strict=strict == b"1",
            unsettled=unsettled == b"1",
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The verdict on a claim; the lease is there with APPLY and CANCEL, the holder with BUSY."""

    verdict: Claimed
    lease: Lease | None = None
    holder: str = ""

    @classmethod
    def of(cls, chunk: ChunkRef, answer: Sequence[bytes]) -> "Claim":
        """The claim that an answer of claim tells of."""
        verdict, *rest = answer
        match Claimed(verdict.decode()):
            case (Claimed.APPLY | Claimed.CANCEL) as taken:
                return cls(taken, Lease.of(chunk, rest))
            case Claimed.BUSY:
                return cls(Claimed.BUSY, holder=rest[0].decode())
            case (Claimed.DONE | Claimed.GONE | Claimed.HELD) as other:
                return cls(other)
            case never:
                assert_never(never)


@dataclass(frozen=True, slots=True)
class Done:
    """What complete is told of a chunk: its outcomes, packed and counted; whether `retry` may want the payload again;
    whether it was the database that decided, rather than its absence."""

    packed: bytes
    counts: Mapping[str, int]
    retryable: bool = False
    database_answered: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """What release is told: when to try again, how long to leave the database alone, whether nobody knows why the
    attempt failed, whether the database is to blame, and what it failed with: then its retry deadline runs; and whether
    the attempt came to no end in its time."""

    after: timedelta
    pause: timedelta = timedelta(0)
    unexplained: bool = False
    database_to_blame: bool = True
    reason: str = ""
    too_slow: bool = False


class Completed(Enum):
    """What complete says."""

    KEPT = "kept"
    DONE = "done"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Completion:
    """What became of a chunk's outcomes, into how many shares the workers' time goes, the chunks to ring for now, and
    one that was claimed to go on with."""

    verdict: Completed
    shares: int = 1
    rings: tuple[ChunkRef, ...] = ()
    following: tuple[ChunkRef, Claim] | None = None


class Cancelled(Enum):
    """What cancel says."""

    CANCELLING = "cancelling"
    FINAL = "final"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Which:
    """Which of a client's jobs are wanted: `count` from the place `first` on, of those in a state, of a database."""

    first: int
    count: int
    state: str | None = None
    database: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """A database that has been failing its chunks: what with, and for how long."""

    reason: str
    lasting: timedelta


@dataclass(frozen=True, slots=True)
class Pace:
    """A database's open work, and its pace: items, and items a second (0: not known).

    `quiet` is how long ago a chunk was completed.
    """

    open_items: int
    items_per_second: int
    quiet: timedelta = timedelta(0)

    @property
    def now_per_second(self) -> int:
        """Items a second at present: the rate measured, and 0 once nothing has been completed for ten seconds."""
        return self.items_per_second if self.quiet < _STILL_AT_WORK else 0
