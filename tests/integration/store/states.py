"""The states of the job store's model, and what Redis holds in each.

What the store keeps beside jobs and chunks (backlogs, open work, busy databases) is counted anew from them each time.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.integration.store.webhooks import Webhooks

COUNTS = ("created", "updated", "superseded", "failed", "cancelled")
MINUTE_MS = 60_000
LONGEST_MS = 150_000  # of a lease of 15 seconds
FINAL = ("completed", "cancelled")
RECORD_BYTES, CHUNK_BYTES = 4096, 256
Answer = list[Any]
Left = tuple[str, str, str, int]
"""Whose, of which job, what, and how many bytes: something that goes by itself."""


def size_of(payload_bytes: int, chunks: int) -> int:
    """The bytes that are counted for chunks."""
    return payload_bytes + CHUNK_BYTES * chunks


@dataclass(frozen=True)
class Batch:
    """The arguments of `admit` for a batch. `sizes` has the items of each chunk."""

    job: str
    sizes: tuple[int, ...] = (1,)
    database: str = "demo"
    client: str = "ann"
    user: str = "her token"
    care_plan: str = ""
    payload_bytes: int = 10
    fingerprint: str = "f"
    idempotency: str | None = None
    strict: str = "0"
    retry_of: str = ""
    data_key: str = ""
    also_known: tuple[tuple[str, str], ...] = ()
    """Further idempotency records that the batch may be known by, with its fingerprints there."""
    weight: str = ""
    """What it takes of a group's room, if it may go in one."""
    keys: str = ""
    """The set of its cases' keys, packed."""
    webhooks: str = ""
    """The webhooks that get its events, as `announce` reads them."""
    traceparent: str = ""
    dry_run: bool = False
    """It is no part of the order of acceptance: nobody waits for it, and it waits for nobody."""

    @property
    def size(self) -> int:
        """The bytes that are counted for it when it is admitted."""
        return RECORD_BYTES + size_of(self.payload_bytes, len(self.sizes))

    @property
    def firsts(self) -> str:
        return ",".join(str(sum(self.sizes[:number])) for number in range(len(self.sizes)))


@dataclass(frozen=True)
class Limits:
    """What a process goes by: settings of `[jobs]`."""

    renotify_after_ms: int = 2_000
    width: int = 2
    max_jobs: int = 5
    max_bytes: int = 60
    retention_ms: int = 3_600_000
    client_jobs: int = 1_000
    client_bytes: int = 10_000_000
    database_jobs: int = 1_000
    database_bytes: int = 10_000_000
    lease_ms: int = 15_000

    @property
    def longest_ms(self) -> int:
        """Nothing waits for longer than that."""
        return max(MINUTE_MS, 10 * self.lease_ms)


@dataclass
class Chunk:
    """A chunk of a job. `lease` has its fields without the number, `due_ms` is there while it is open."""

    size: int
    opened: bool = False
    due_ms: int | None = None
    lease: dict[str, Any] = field(default_factory=dict)
    outcome: str | None = None
    tally: str = ""


@dataclass
class Job:
    """A job; `marks` are the fields of its record that come and go, `untold` what an older version did not write."""

    batch: Batch
    limits: Limits
    seq: int
    accepted_us: int
    unsettled: bool
    chunks: list[Chunk]
    size: int
    state: str = "queued"
    marks: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    untold: tuple[str, ...] = ()
    purged: bool = False
    result_till_ms: int | None = None
    record_till_ms: int | None = None
    signature: str = ""
    after: list[str] = field(default_factory=list)
    """The jobs that wait for this one, while it is open."""

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @property
    def left(self) -> int:
        """Items that have no outcome yet."""
        return sum(self.batch.sizes) - sum(self.counts.values())

    def record(self) -> dict[str, Any]:
        batch, limits = self.batch, self.limits
        record = {
            "client": batch.client,
            "user": batch.user,
            "database": batch.database,
            "care_plan": batch.care_plan,
            "seq": self.seq,
            "accepted_us": self.accepted_us,
            "unsettled": int(self.unsettled),
            "state": self.state,
            "total": sum(batch.sizes),
            "processed": sum(self.counts.values()),
            "chunks": len(self.chunks),
            "opened": sum(chunk.opened for chunk in self.chunks),
            "firsts": batch.firsts,
            "sha256": batch.job[-1] * 64,
            "strict": batch.strict,
            "bytes": batch.payload_bytes,
            "retention_ms": limits.retention_ms,
            "width": limits.width,
            "idempotency": "" if batch.idempotency is None else f"c:{batch.idempotency}",
            "size": self.size,
            "data_key": batch.data_key,
            "signature": self.signature,
            "weight": batch.weight,
            "webhooks": batch.webhooks,
            **({"traceparent": batch.traceparent} if batch.traceparent else {}),
            **({"dry_run": 1} if batch.dry_run else {}),
            **{name: count for name, count in self.counts.items() if count},
            **self.marks,
        }
        if self.purged:
            record |= {"sha256": "", "idempotency": ""}
            del record["data_key"], record["signature"]
        return {name: value for name, value in record.items() if name not in self.untold}


@dataclass
class Database:
    """What is kept of a database: its order of acceptance, jobs that wait, and how it does."""

    seq: int
    has_order: bool = False
    had_jobs: bool = False
    unplaced: list[str] = field(default_factory=list)
    behind: dict[str, int] = field(default_factory=dict)
    pace: dict[str, int] = field(default_factory=dict)
    settled: int | None = None
    circuit: tuple[str, int] | None = None
    failures: int = 0
    trouble: dict[str, Any] = field(default_factory=dict)
    failing: dict[str, int] = field(default_factory=dict)
    ready: dict[str, int] = field(default_factory=dict)
    awake_till_ms: int | None = None
    joined_till_ms: int | None = None


@dataclass
class Payloads:
    """The packed items of a job by chunk, and when they go."""

    chunks: dict[int, str]
    till_ms: int | None


class States:
    """The whole store at one time of its clock."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us
        self.jobs: dict[str, Job] = {}
        self.payloads: dict[str, Payloads] = {}
        self.databases: dict[str, Database] = {}
        self.holding: dict[str, str] = {}  # chunk -> process
        self.known: dict[str, tuple[str, int | None]] = {}
        self.listed: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        self.leaving: dict[str, dict[Left, int]] = defaultdict(dict)
        self.staged: dict[str, tuple[str, str, int]] = {}
        self.counted: set[tuple[str, str, str]] = set()
        self.stats: dict[str, int] = defaultdict(int)
        self.measures: dict[str, int] = defaultdict(int)
        self.told_final: list[str] = []
        self.told_progress: list[str] = []
        self.webhooks = Webhooks()
        self.workers: dict[str, int] = {}
        self.clocks: dict[str, str] = {}
        self.rates: dict[str, tuple[int, int]] = {}

    @property
    def now_ms(self) -> int:
        return self.now_us // 1000

    def elapse(self, by_us: int) -> None:
        self.now_us += by_us

        def over(till_ms: int | None) -> bool:
            return till_ms is not None and till_ms <= self.now_ms

        self.payloads = {job: held for job, held in self.payloads.items() if not over(held.till_ms)}
        self.known = {key: held for key, held in self.known.items() if not over(held[1])}
        self.webhooks.elapse(self.now_ms)
        self.rates = {client: held for client, held in self.rates.items() if not over(held[1])}
        self.jobs = {name: job for name, job in self.jobs.items() if not over(job.record_till_ms)}
        for job in self.jobs.values():
            if over(job.result_till_ms):
                job.result_till_ms = None
                for chunk in job.chunks:
                    chunk.outcome, chunk.tally = None, ""
        for database in self.databases.values():
            if database.circuit and over(database.circuit[1]):
                database.circuit = None
            if over(database.awake_till_ms):
                database.awake_till_ms = None
            if over(database.joined_till_ms):
                database.joined_till_ms = None

    def due(self, database: str) -> dict[str, int]:
        """When to notify for each open chunk of a database."""
        return {
            f"{name}:{n}": chunk.due_ms
            for name, job in self.jobs.items()
            for n, chunk in enumerate(job.chunks)
            if job.batch.database == database and chunk.due_ms is not None
        }

    def open_jobs(self, database: str) -> list[Job]:
        """The jobs of a database that are not final."""
        return [job for job in self.jobs.values() if job.batch.database == database and not job.final]

    def jobs_in_order(self, database: str) -> list[Job]:
        """Those that have a place in the order of acceptance."""
        return [job for job in self.open_jobs(database) if not job.batch.dry_run]

    def working(self, database: str) -> set[str]:
        """Those that are being applied."""
        return {job.batch.job for job in self.open_jobs(database) if any(chunk.opened for chunk in job.chunks)}

    def backlog(self, database: str) -> tuple[int, int]:
        """How many those are, and their bytes."""
        jobs = self.open_jobs(database)
        return len(jobs), sum(job.batch.payload_bytes for job in jobs)

    def kept(self, database: str) -> dict[str, int]:
        """What is counted for a database and its clients, counted anew from what is there."""
        usage: dict[str, int] = {}
        for where, name, client in self.counted:
            if where == database:
                usage[f"{name}:{client}"] = self.kept_of(database, client)[name]
                usage[name] = self.kept_of(database, None)[name]
        return usage | {f"staged:{job}": size for job, (where, _, size) in self.staged.items() if where == database}

    def kept_of(self, database: str, client: str | None) -> dict[str, int]:
        """What is counted for one client, or for all."""
        left = [one for one in self.leaving[database] if client in (None, one[0])]
        jobs = [job for job in self.open_jobs(database) if client in (None, job.batch.client)]
        staged = [size for where, who, size in self.staged.values() if where == database and client in (None, who)]
        done = sum(size for _, _, _, size in left)
        return {
            "jobs": len(jobs) + sum(what == "result" for _, _, what, _ in left),
            "bytes": done + sum(job.size for job in jobs) + sum(staged),
            "done": done,
        }

    def busy(self) -> set[str]:
        """The databases that have such jobs."""
        return {job.batch.database for job in self.jobs.values() if not job.final}

    def everything(self) -> dict[str, tuple[Any, int | None]]:
        """Each key's value as Redis returns it, and the ms of the clock at which it expires, if it does."""
        keys: dict[str, tuple[Any, int | None]] = {
            "holding": (self.holding, None),
            "busy": (self.busy(), None),
            "stats": (self.stats, None),
            "measures": (self.measures, None),
            "workers": (self.workers, None),
            "clocks": (self.clocks, None),
            **{f"rate:{client}": (str(full_at), till) for client, (full_at, till) in self.rates.items()},
            "final": (list(self.told_final), None),
            "progress": (list(self.told_progress), None),
            **{key: (text, till) for key, (text, till) in self.known.items()},
            **dict(self.webhooks.keys()),
            **{f"payload:{job}": (held.chunks, held.till_ms) for job, held in self.payloads.items()},
        }
        keys |= {f"jobs:{where}:{client}": (dict(held), None) for (where, client), held in self.listed.items()}
        for where, held_until in self.leaving.items():
            keys[f"leaving:{where}"] = ({"|".join(map(str, left)): till for left, till in held_until.items()}, None)
        keys |= {f"kept:{where}": (self.kept(where), None) for where in {where for where, _, _ in self.counted}}
        for name, job in self.jobs.items():
            chunks = list(enumerate(job.chunks))
            lease = {f"{n}:{name}": value for n, chunk in chunks for name, value in chunk.lease.items()}
            keys[f"job:{name}"] = (job.record(), job.record_till_ms)
            if not job.final:
                if job.batch.keys:
                    keys[f"keys:{name}"] = ((job.batch.keys,), None)
                keys[f"after:{name}"] = (set(job.after), None)
            keys[f"lease:{name}"] = (lease, None)
            for kind in ("outcome", "tally"):
                held = {n: getattr(chunk, kind) for n, chunk in chunks if getattr(chunk, kind)}
                keys[f"{kind}:{name}"] = (held, job.result_till_ms)
        for name, database in self.databases.items():
            keys |= self._of_database(name, database)
        return {key: (_text(value), till) for key, (value, till) in keys.items() if value}

    def _of_database(self, name: str, database: Database) -> dict[str, tuple[Any, int | None]]:
        (jobs, size), ordered = self.backlog(name), self.jobs_in_order(name)
        keys: dict[str, tuple[Any, int | None]] = {
            f"seq:{name}": (str(database.seq) if database.has_order else "", None),
            f"due:{name}": (self.due(name), None),
            f"open:{name}": ({f"{job.batch.job}|{job.batch.care_plan}": job.seq for job in ordered}, None),
            f"plans:{name}": (Counter(job.batch.care_plan for job in ordered), None),
            f"unplaced:{name}": ({job: self.jobs[job].seq for job in database.unplaced}, None),
            f"behind:{name}": (database.behind, None),
            f"working:{name}": (self.working(name), None),
            f"trouble:{name}": (database.trouble, None),
            f"failing:{name}": (database.failing, None),
            f"failures:{name}": (str(database.failures or ""), None),
        }
        if database.had_jobs:
            keys[f"backlog:{name}"] = ({"jobs": jobs, "bytes": size}, None)
            keys[f"pace:{name}"] = ({"open": sum(job.left for job in self.open_jobs(name)), **database.pace}, None)
        if database.settled is not None:
            keys[f"settled:{name}"] = (str(database.settled), None)
        keys[f"ready:{name}"] = (database.ready, None)
        if database.awake_till_ms is not None:
            keys[f"awake:{name}"] = (("",), database.awake_till_ms)
        if database.joined_till_ms is not None:
            keys[f"joined:{name}"] = (("",), database.joined_till_ms)
        if database.circuit:
            keys[f"circuit:{name}"] = ((database.circuit[0],), database.circuit[1])
        return keys


def _text(value: Any) -> Any:
    """A value as Redis returns it: names, numbers and scores are text."""
    if isinstance(value, dict):
        return {str(name): str(held) for name, held in value.items()}
    return value[0] if isinstance(value, tuple) else value
