"""One chunk, from claim to complete: decide purely, then act."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import assert_never

from carecase_worker.batches.chunking import Chunk, ChunkRef
from carecase_worker.batches.encryption import UNSEALED, Seals
from carecase_worker.cases.outcomes import CANCELLED, UNAVAILABLE, UNTRUSTED, Outcome
from carecase_worker.clock import NEVER, Random, Sleep, epoch_us, monotonic
from carecase_worker.errors import Cause, FailureKind, PayloadUnreadable, SealBroken, StoreUnavailable, TargetFailure
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.lease_store import LeaseStore
from carecase_worker.store.operations.claims import ChunkResult, Claimed, Claims, Completed, Lease, RetryLater
from carecase_worker.targets.case_versions import seq_of
from carecase_worker.targets.plan import WritePlan
from carecase_worker.targets.registry import Targets
from carecase_worker.telemetry import logger
from carecase_worker.tracing.tracer import UNTRACED, Span
from carecase_worker.worker.attempts.outages import Outages
from carecase_worker.worker.attempts.planning import (
    plan_chunk,
    plan_some,
    plan_uniform_outcome,
    to_chunk_result,
)
from carecase_worker.worker.attempts.poison import is_to_isolate, isolated_further, isolation_of
from carecase_worker.worker.attempts.report import Report
from carecase_worker.worker.attempts.retry_policy import GiveUp, plan_retry
from carecase_worker.worker.attempts.sealed import open_payload, require_record, seal_result
from carecase_worker.worker.attempts.writing import written
from carecase_worker.worker.metrics import Meter, Stage, unmetered

_log = logger("worker")
_ISOLATING = "isolating"
_COMPLETE_ATTEMPTS = 20
_COMPLETE_AGAIN = timedelta(milliseconds=250)
_COMPLETE_FOR_S = _COMPLETE_ATTEMPTS * _COMPLETE_AGAIN.total_seconds()


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of an attempt.

    `to_notify` are the chunks to notify for now, `following` those claimed as the next work, and `shares` is the number
    of shares of the workers' time. `reason` names the failure for which chunks were released, if any were.
    """

    verdict: str
    database: str = ""
    items: int = 0
    to_notify: tuple[ChunkRef, ...] = ()
    following: Claims = ()
    shares: int = 1
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Applier:
    """The attempts at chunks of one process; `span` is that of the current one, `claims_until` a time of `seconds`."""

    leases: LeaseStore
    jobs: JobStore
    targets: Targets
    random: Random
    sleep: Sleep
    holder: str
    is_dead: Callable[[str], bool]
    retry_deadline: timedelta
    seals: Seals = UNSEALED
    outages: Outages = field(default_factory=Outages)
    meter: Meter = field(default_factory=unmetered)
    report: Report = field(default_factory=Report)
    span: Span = UNTRACED
    seconds: Callable[[], float] = monotonic
    isolates_for: timedelta = timedelta(seconds=5)

    def claim(self, ref: ChunkRef) -> Claims:
        """Claim a chunk, taking it back from a dead process of this machine if necessary.

        With a small chunk, also claim other ready ones. Raises StoreUnavailable.
        """
        with self.meter.stage(Stage.CLAIM):
            claims = self.leases.claim_group(ref, self.holder)
        first = claims[0][1]
        if first.verdict is Claimed.BUSY and self.is_dead(first.holder):
            self.leases.reclaim(first.holder)
            return self.leases.claim_group(ref, self.holder)
        return claims

    def prepared(self, lease: Lease, cancel: bool) -> WritePlan:
        """Return the plan of a leased chunk. Raises SealBroken, PayloadUnreadable, TargetFailure."""
        with self.meter.stage(Stage.VALIDATE):
            require_record(self.seals, lease, also_unread=cancel)
            chunk = self._chunk(lease, allow_placeholder=cancel)
            plan = plan_uniform_outcome(chunk, CANCELLED) if cancel else plan_chunk(chunk, lease)
        return replace(plan, attempts=lease.history.too_slow)

    def run(self, lease: Lease, cancel: bool, claims_until: float = NEVER) -> Applied:
        """Apply or cancel the leased chunk, or release it to be tried again; until `claims_until`, claim the next work.

        Raises StoreUnavailable.
        """
        try:
            if lease.unsettled:
                require_record(self.seals, lease, also_unread=cancel)
                return self._settle_first(lease, cancel, claims_until)
            if not cancel and is_to_isolate(lease.history):
                require_record(self.seals, lease)
                return self._isolate(lease, lambda plan: self.targets.own_writer(lease.database).rehearse(plan))
            with self.span.child("validate"):
                plan = self.prepared(lease, cancel)
            with self.span.child("write"), self.meter.stage(Stage.WRITE):
                done = written(self.targets, lease, plan)
        except TargetFailure as failure:
            _log.warning("chunk not applied", database=lease.database, reason=str(failure), **_ids(lease))
            return self.fail(lease, failure.kind, failure.cause, cancel)
        except PayloadUnreadable as error:
            _log.error("chunk waits for a worker that can read it", reason=str(error), **_ids(lease))
            return self.fail(lease, FailureKind.UNREADABLE)
        except SealBroken as error:
            return self._refuse(lease, error)
        self.meter.attempts(lease.database, 1)
        return self.complete([(lease, done)], claims_until)

    def fail(self, lease: Lease, kind: FailureKind, cause: Cause | None = None, cancel: bool = False) -> Applied:
        """Release a chunk after a failed attempt to apply or cancel it, or give it up. Raises StoreUnavailable."""
        match plan_retry(kind, lease.history, self.retry_deadline, self.random.random()):
            case RetryLater() as wait:
                self.release([lease], wait, kind, cause)
                return released(lease.database, kind, cause)
            case GiveUp(outcome):
                self.meter.attempts(lease.database, 1, kind)
                if not cancel:
                    self.report.give_up(lease.database, lease.chunk.job_id, kind.value)
                self._after_failure(lease.database, kind, cause)
                return self._give_up(lease, CANCELLED if cancel else outcome)
            case never:
                assert_never(never)

    def release(self, leases: Sequence[Lease], wait: RetryLater, kind: FailureKind, cause: Cause | None) -> None:
        """Release chunks of one database after a failed attempt. Raises StoreUnavailable."""
        self.meter.attempts(leases[0].database, len(leases), kind)
        self._after_failure(leases[0].database, kind, cause)
        wait = replace(wait, reason=_reason(kind, cause))
        self.leases.release([lease.chunk for lease in leases], self.holder, wait)
        self.report.release(leases[0].database, (lease.chunk.job_id for lease in leases), wait.reason)

    def _after_failure(self, database: str, kind: FailureKind, cause: Cause | None) -> None:
        if kind is not FailureKind.UNREADABLE:
            self.targets.disconnect(database)
        if kind is FailureKind.AWAY and cause is not None:
            self.outages.away(database, cause, self.seconds())

    def _settle_first(self, lease: Lease, cancel: bool, claims_until: float) -> Applied:
        """Settle the order of acceptance of the database, then claim the chunk again, at its final place."""
        try:
            highest = self.targets.writer(lease.database).highest_version()
        except TargetFailure as failure:
            return self.fail(lease, failure.kind, failure.cause, cancel)
        self.leases.settle(lease.database, seq_of(highest))
        claim = self.leases.claim(lease.chunk, self.holder)
        if claim.lease is None:
            return Applied(claim.verdict.value)
        return self.run(claim.lease, claim.verdict is Claimed.CANCEL, claims_until)

    def _chunk(self, lease: Lease, allow_placeholder: bool = False) -> Chunk:
        """Return the chunk; a placeholder if it cannot be read and `allow_placeholder`.

        So a lost key cannot block a tenant.
        """
        try:
            return open_payload(self.seals, lease)
        except PayloadUnreadable:
            if not allow_placeholder:
                raise
            return self._blank(lease)

    def _blank(self, lease: Lease) -> Chunk:
        """Return a placeholder with as many items as the leased chunk, all null."""
        places = self.jobs.job(lease.chunk.job_id).places_of(lease.chunk.chunk_no)
        return Chunk(places.start, len(places), b"[" + b",".join([b"null"] * len(places)) + b"]")

    def _isolate(self, lease: Lease, rehearse: Callable[[WritePlan], None]) -> Applied:
        """Search for the items that kill the processes of a chunk, then release it with what was found.

        The next attempt goes on, or applies the others: so each has its time for itself. Raises as `run` catches.
        """
        chunk = self._chunk(lease)

        def rehearse_items(places: Collection[int]) -> None:
            rehearse(plan_some(chunk, lease, places))

        known = isolation_of(lease.history, chunk.count)
        further = isolated_further(known, rehearse_items, self.isolates_for.total_seconds(), self.seconds)
        self.meter.poison(lease.database, len(further.found) - len(known.found))
        wait = RetryLater(timedelta(0), counts_toward_deadline=False, isolation=further)
        self.leases.release([lease.chunk], self.holder, wait)
        self.report.release(lease.database, [lease.chunk.job_id], _ISOLATING)
        return Applied(f"released: {_ISOLATING}", lease.database, to_notify=(lease.chunk,), reason=_ISOLATING)

    def _give_up(self, lease: Lease, outcome: Outcome) -> Applied:
        """Record `outcome` for every undecided item, unless the ledger already has the chunk.

        The ledger row stops any later attempt.
        """
        try:
            chunk = self._chunk(lease, allow_placeholder=outcome is CANCELLED)
        except PayloadUnreadable:
            return self.fail(lease, FailureKind.UNREADABLE)
        except SealBroken as error:
            return self._refuse(lease, error)
        plan = plan_uniform_outcome(chunk, outcome)
        if outcome is UNAVAILABLE:  # the database is away: only what is certain without it counts
            if is_to_isolate(lease.history):
                return self._isolate(lease, lambda _: None)
            plan = replace(plan, decided=[one or outcome for one in plan_chunk(chunk, lease).decided])
        return self.complete([(lease, self._tombstone_outcomes(lease, plan, outcome))])

    def _refuse(self, lease: Lease, broken: SealBroken) -> Applied:
        """Record a 500 for every item of a chunk whose payload, or whose job's record, was modified.

        If the record was modified, no database is written to, since the chunk's database is unknown.
        """
        _log.error("chunk refused", reason=str(broken), **_ids(lease))
        chunk = self._blank(lease)
        plan = plan_uniform_outcome(chunk, UNTRUSTED)
        try:
            require_record(self.seals, lease)
        except (SealBroken, PayloadUnreadable):
            done = to_chunk_result(plan, [UNTRUSTED] * chunk.count, database_answered=False)
        else:
            done = self._tombstone_outcomes(lease, plan, UNTRUSTED)
        return self.complete([(lease, done)])

    def _tombstone_outcomes(self, lease: Lease, plan: WritePlan, outcome: Outcome) -> ChunkResult:
        """Write the plan as a tombstone; return its outcomes, or those that the ledger already has.

        A dry run writes no tombstone. If the database is away, the outcomes are those of the plan.
        """
        try:
            return written(self.targets, lease, plan)
        except TargetFailure:
            return to_chunk_result(plan, [one or outcome for one in plan.decided], database_answered=False)

    def complete(self, done: Sequence[tuple[Lease, ChunkResult]], claims_until: float = NEVER) -> Applied:
        """Store outcomes in the job store; retry for five seconds, since the cases are already committed.

        If a call hangs for that long, there is no further one. All chunks are of one database.
        Raises StoreUnavailable.
        """
        began = self.seconds()
        with self.span.child("complete"):
            for _ in range(_COMPLETE_ATTEMPTS):
                try:
                    return self._complete_once(done, claims_until)
                except StoreUnavailable:
                    if self.seconds() - began > _COMPLETE_FOR_S:
                        raise
                    self.sleep(_COMPLETE_AGAIN)
            return self._complete_once(done, claims_until)

    def _complete_once(self, done: Sequence[tuple[Lease, ChunkResult]], claims_until: float) -> Applied:
        chunks = [(lease.chunk, replace(one, packed=seal_result(self.seals, lease, one.packed))) for lease, one in done]
        with self.meter.stage(Stage.COMPLETE):
            completion = self.leases.complete_all(chunks, self.holder if self.seconds() < claims_until else "")
        database, failures = done[0][0].database, max(lease.history.failures for lease, _ in done)
        if any(one.database_answered for _, one in done):
            self.outages.answered(database, failures)
        for (lease, one), verdict in zip(done, completion.verdicts, strict=True):
            if verdict is Completed.KEPT:
                self.report.keep(lease.database, lease.chunk.job_id, one.counts, lease.dry_run)
        for lease, _ in done:
            if lease.chunk.job_id in completion.final and lease.traceparent is not None:
                began_ns, job_id = epoch_us(lease.accepted_at) * 1000, lease.chunk.job_id
                self.span.past("job", began_ns, lease.traceparent, job_id=job_id, database=database, items=lease.total)
        items = sum(sum(one.counts.values()) for _, one in done)
        return Applied(
            completion.verdict.value, database, items, completion.to_notify, completion.following, completion.shares
        )


def released(database: str, kind: FailureKind, cause: Cause | None) -> Applied:
    """Return the result of an attempt after which chunks were released."""
    return Applied(f"released: {kind.value}", database, reason=_reason(kind, cause))


def trace_fields(lease: Lease) -> dict[str, str]:
    """Return the log fields of the trace that a leased chunk belongs to."""
    return {} if lease.traceparent is None else {"trace_id": lease.traceparent.trace_id}


def _ids(lease: Lease) -> dict[str, str | int]:
    return {"job_id": lease.chunk.job_id, "chunk_no": lease.chunk.chunk_no, **trace_fields(lease)}


def _reason(kind: FailureKind, cause: Cause | None) -> str:
    return cause.name if cause else kind.value
