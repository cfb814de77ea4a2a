"""One chunk, from claim to complete: decide purely, then act."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never
from uuid import UUID

from carecase_worker.cases.care_case import KEY
from carecase_worker.cases.outcome import CANCELLED, Outcome
from carecase_worker.cases.validation import Row, Rules, invalid, keys_of, validate
from carecase_worker.clock import Clock, Dice, Sleep
from carecase_worker.errors import FailureKind, StoreUnavailable, TargetFailure
from carecase_worker.jobs.chunks import Chunk, ChunkOutcomes, pack_done, unpack
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import ChunkRef, Claim, Claimed, Lease
from carecase_worker.targets.tables import ENTRY_VERSION, VERSION
from carecase_worker.targets.writer import Entry, LedgerKey, WritePlan, Writer
from carecase_worker.worker.retry import GiveUp, TryAgain, plan_retry

_COMPLETE_ATTEMPTS = 20
_COMPLETE_AGAIN = timedelta(milliseconds=250)
PLACE_BITS = 20
"""A version is the batch's place in the order of acceptance, then the item's place in the batch in this many bits."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What complete is told of a chunk."""

    packed: bytes
    counts: dict[str, int]
    retryable: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """How an attempt at a chunk went, and what to ring for now."""

    verdict: str
    database: str = ""
    items: int = 0
    rings: tuple[ChunkRef, ...] = ()


def plan_chunk(chunk: Chunk, lease: Lease, max_item_bytes: int) -> WritePlan:
    """What to write of a chunk, and what is certain without writing."""
    judged = validate(chunk.items, Rules(lease.care_plan, lease.user, lease.submitted_at))
    for place in chunk.oversized:
        judged[place] = invalid(f"item: must have at most {max_item_bytes} bytes")
    entries = []
    for place, one in enumerate(judged):
        if not isinstance(one, Outcome):
            one[VERSION] = one[ENTRY_VERSION] = lease.seq << PLACE_BITS | (chunk.first + place)
            entries.append(Entry(place, one))
    decided = [one if isinstance(one, Outcome) else None for one in judged]
    return WritePlan(decided, waves(entries), guard_care_plan=lease.care_plan is not None)


def plan_cancelled(chunk: Chunk) -> WritePlan:
    """A tombstone: nothing to write, every item cancelled."""
    return WritePlan([CANCELLED] * chunk.count, waves=(), guard_care_plan=False)


def waves(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries in waves of distinct keys, in key order; a key's entries come in the order of their places."""
    ordered: list[list[Entry]] = []
    times: dict[int, int] = {}
    for entry in entries:
        wave = times.get(entry.row[KEY], 0)
        times[entry.row[KEY]] = wave + 1
        if wave == len(ordered):
            ordered.append([])
        ordered[wave].append(entry)
    for one in ordered:
        one.sort(key=_key)
    return ordered


def _key(entry: Entry) -> int:
    row: Row = entry.row
    return int(row[KEY])


def settle(chunk: Chunk, outcomes: Sequence[Outcome]) -> Settlement:
    """One outcome per item, in order, as complete takes them."""
    counts = dict.fromkeys(("created", "updated", "superseded", "failed", "cancelled"), 0)
    for outcome in outcomes:
        counts["failed" if outcome.kind.failed else outcome.kind.name.lower()] += 1
    packed = pack_done(ChunkOutcomes(keys_of(chunk.items), outcomes))
    return Settlement(packed, counts, retryable=any(outcome.kind.retryable for outcome in outcomes))


@dataclass(frozen=True, slots=True)
class Applier:
    """Applies chunks in one process."""

    store: JobStore
    writer_for: Callable[[str], Writer]
    let_go: Callable[[str], None]
    clock: Clock
    dice: Dice
    sleep: Sleep
    holder: str
    is_dead: Callable[[str], bool]
    retry_deadline: timedelta
    max_item_bytes: int

    def claim(self, ref: ChunkRef) -> Claim:
        """Claim a chunk, also from a process of this machine that has died with it. Raises StoreUnavailable."""
        claim = self.store.claim(ref, self.holder, self.clock.now())
        if claim.verdict is Claimed.BUSY and self.is_dead(claim.holder):
            return self.store.claim(ref, self.holder, self.clock.now(), dead_holder=claim.holder)
        return claim

    def carry_out(self, lease: Lease, cancel: bool) -> Applied:
        """Apply the leased chunk, or cancel it, or release it for another time. Raises StoreUnavailable."""
        try:
            chunk = unpack(lease.payload)
            plan = plan_cancelled(chunk) if cancel else plan_chunk(chunk, lease, self.max_item_bytes)
            key = LedgerKey(UUID(lease.chunk.job_id), lease.chunk.chunk_no)
            outcomes = self.writer_for(lease.database).write(key, plan)
        except TargetFailure as failure:
            return self.fail(lease, failure.kind)
        return self._complete(lease, chunk, outcomes)

    def fail(self, lease: Lease, kind: FailureKind) -> Applied:
        """Release a chunk after a failed attempt, or give it up."""
        self.let_go(lease.database)
        now = self.clock.now()
        plan = plan_retry(kind, lease.releases, now - lease.submitted_at, self.retry_deadline, self.dice.roll())
        match plan:
            case TryAgain(after, pause):
                self.store.release(lease.chunk, self.holder, now + after, pause)
                return Applied(f"released: {kind.value}", lease.database)
            case GiveUp(outcome):
                chunk = unpack(lease.payload)
                return self._complete(lease, chunk, [outcome] * chunk.count)
            case never:
                assert_never(never)

    def _complete(self, lease: Lease, chunk: Chunk, outcomes: Sequence[Outcome]) -> Applied:
        done = settle(chunk, outcomes)
        attempts = 0
        while True:
            try:
                verdict, rings = self.store.complete(
                    lease.chunk, done.packed, done.counts, done.retryable, self.clock.now()
                )
            except StoreUnavailable:
                # the cases are committed: nothing is more useful than to tell the job store, once it is back
                attempts += 1
                if attempts == _COMPLETE_ATTEMPTS:
                    raise
                self.sleep(_COMPLETE_AGAIN)
            else:
                return Applied(verdict.value, lease.database, chunk.count, rings)
