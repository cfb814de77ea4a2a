"""One chunk, from claim to complete: decide purely, then act."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import assert_never
from uuid import UUID

from carecase_worker.cases.outcome import (
    CANCELLED,
    NOT_APPLIED,
    REFUSED,
    UNAVAILABLE,
    UNTRUSTED,
    Outcome,
    none_applied,
    runs_of,
)
from carecase_worker.cases.validation import Rules, keys_of, read_sound, validate, without
from carecase_worker.clock import Dice, Sleep, stopwatch
from carecase_worker.errors import Cause, FailureKind, PayloadUnreadable, SealBroken, StoreUnavailable, TargetFailure
from carecase_worker.jobs.chunks import Chunk, ChunkOutcomes, pack_done
from carecase_worker.jobs.job import COUNTS
from carecase_worker.jobs.seal import UNSEALED, Seals
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import ChunkRef, Claim, Claimed, Done, Lease, Wait
from carecase_worker.targets.plan import Defaults, Entry, WaveOfAll, WaveOfRows, WritePlan, key_of
from carecase_worker.targets.tables import ENTRY_VERSION, VERSION
from carecase_worker.targets.writer import LedgerKey, Targets
from carecase_worker.telemetry import logger
from carecase_worker.worker.isolation import killers
from carecase_worker.worker.outages import Outages
from carecase_worker.worker.retry import GiveUp, plan_retry
from carecase_worker.worker.sealed import open_payload, require_record, seal_result

_log = logger("worker")
_DEATHS_BEFORE_ISOLATION = 3
_COMPLETE_ATTEMPTS = 20
_COMPLETE_AGAIN = timedelta(milliseconds=250)
_COMPLETE_FOR_S = _COMPLETE_ATTEMPTS * _COMPLETE_AGAIN.total_seconds()
PLACE_BITS = 20
"""A version is the batch's place in the order of acceptance, then the item's place in the batch in this many bits."""


@dataclass(frozen=True, slots=True)
class Applied:
    """How an attempt at a chunk went, what to ring for now, what was claimed to go on with, and into how many shares
    the workers' time goes."""

    verdict: str
    database: str = ""
    items: int = 0
    rings: tuple[ChunkRef, ...] = ()
    following: tuple[ChunkRef, Claim] | None = None
    shares: int = 1


def plan_chunk(chunk: Chunk, lease: Lease) -> WritePlan:
    """What to write of a chunk, and what is certain without writing."""
    defaults = _defaults_of(chunk, lease)
    sound = read_sound(chunk.items, defaults.rules)  # None, too, if there are items that were not kept
    if sound is not None and len(set(sound.keys)) == len(sound.keys):
        whole = WaveOfAll(sound, defaults)
        return WritePlan(sound.keys, [None] * chunk.count, (whole,), lease.care_plan is not None, lease.strict)
    return plan_item_by_item(chunk, lease)


def plan_item_by_item(chunk: Chunk, lease: Lease, killers: Collection[int] = ()) -> WritePlan:
    """The same, no item taken together with another before it was looked at; `killers` are places not to be touched."""
    plan = _plan_items(chunk, _defaults_of(chunk, lease), killers)
    if lease.strict and any(one is not None and one.kind.failed for one in plan.decided):
        return replace(plan, decided=none_applied([one or NOT_APPLIED for one in plan.decided]), waves=())
    return replace(plan, all_or_nothing=lease.strict)


def _defaults_of(chunk: Chunk, lease: Lease) -> Defaults:
    rules = Rules(lease.care_plan, lease.user, lease.accepted_at)
    return Defaults(lease.seq << PLACE_BITS | chunk.first, rules)


def _plan_items(chunk: Chunk, defaults: Defaults, killers: Collection[int]) -> WritePlan:
    judged = validate(without(chunk.items, killers), defaults.rules, chunk.refused)
    for place in killers:
        judged[place] = REFUSED
    entries = []
    for place, one in enumerate(judged):
        if not isinstance(one, Outcome):
            one[VERSION] = one[ENTRY_VERSION] = defaults.first_version + place
            entries.append(Entry(place, one))
    decided = [one if isinstance(one, Outcome) else None for one in judged]
    waves = [WaveOfRows(wave, defaults) for wave in in_waves(entries)]
    return WritePlan(keys_of(chunk.items), decided, waves, defaults.rules.care_plan is not None)


def plan_answer(chunk: Chunk, outcome: Outcome) -> WritePlan:
    """A tombstone: nothing to write, every item answered alike."""
    return WritePlan(keys_of(chunk.items), [outcome] * chunk.count, waves=(), guard_care_plan=False)


def in_waves(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries in waves of distinct keys, in key order; a key's entries come in the order of their places."""
    ordered: list[list[Entry]] = []
    times: dict[int, int] = {}
    for entry in entries:
        wave = times.get(key_of(entry), 0)
        times[key_of(entry)] = wave + 1
        if wave == len(ordered):
            ordered.append([])
        ordered[wave].append(entry)
    for one in ordered:
        one.sort(key=key_of)
    return ordered


def settle(plan: WritePlan, outcomes: Sequence[Outcome], database_answered: bool = True) -> Done:
    """One outcome per item, in order, as complete takes them."""
    counts = dict.fromkeys(COUNTS, 0)
    retryable = False
    for outcome, count in runs_of(outcomes):
        counts[outcome.kind.counted_as] += count
        retryable = retryable or outcome.kind.retryable
    return Done(pack_done(ChunkOutcomes(plan.keys, outcomes)), counts, retryable, database_answered)


@dataclass(frozen=True, slots=True)
class Applier:
    """Applies chunks in one process."""

    store: JobStore
    targets: Targets
    dice: Dice
    sleep: Sleep
    holder: str
    is_dead: Callable[[str], bool]
    retry_deadline: timedelta
    seals: Seals = UNSEALED
    outages: Outages = field(default_factory=Outages)

    def claim(self, ref: ChunkRef) -> Claim:
        """Claim a chunk, also from a process of this machine that has died with it. Raises StoreUnavailable."""
        claim = self.store.claim(ref, self.holder)
        if claim.verdict is Claimed.BUSY and self.is_dead(claim.holder):
            self.store.bury(claim.holder)
            return self.store.claim(ref, self.holder)
        return claim

    def carry_out(self, lease: Lease, cancel: bool, go_on: bool = False) -> Applied:
        """Apply the leased chunk, or cancel it, or release it for another time; claim one that this opens, to go on.

        Raises StoreUnavailable.
        """
        try:
            require_record(self.seals, lease, also_unread=cancel)
            if lease.unsettled:
                return self._settle_first(lease, cancel, go_on)
            chunk = self._chunk(lease, also_blank=cancel)
            plan = plan_answer(chunk, CANCELLED) if cancel else self._plan(chunk, lease, self._rehearse_at(lease))
            plan = replace(plan, attempts=lease.history.too_slow)
            outcomes = self.targets.writer(lease.database).write(_ledger_key(lease), plan)
        except TargetFailure as failure:
            _log.warning("chunk not applied", database=lease.database, reason=str(failure), **_ids(lease))
            return self.fail(lease, failure.kind, failure.cause, cancel)
        except PayloadUnreadable as error:
            _log.error("chunk waits for a worker that can read it", reason=str(error), **_ids(lease))
            return self.fail(lease, FailureKind.UNREADABLE)
        except SealBroken as error:
            return self._refuse(lease, error)
        return self._complete(lease, settle(plan, outcomes), chunk.count, go_on)

    def fail(self, lease: Lease, kind: FailureKind, cause: Cause | None = None, cancel: bool = False) -> Applied:
        """Release a chunk after a failed attempt to apply or cancel it, or give it up. Raises StoreUnavailable."""
        if kind is not FailureKind.UNREADABLE:
            self.targets.let_go(lease.database)
        if kind is FailureKind.AWAY and cause is not None:
            self.outages.away(lease.database, cause, stopwatch())
        match plan_retry(kind, lease.history, self.retry_deadline, self.dice.roll()):
            case Wait() as wait:
                wait = replace(wait, reason=cause.name if cause else kind.value)
                self.store.release(lease.chunk, self.holder, wait)
                return Applied(f"released: {kind.value}", lease.database)
            case GiveUp(outcome):
                return self._give_up(lease, CANCELLED if cancel else outcome)
            case never:
                assert_never(never)

    def _settle_first(self, lease: Lease, cancel: bool, go_on: bool) -> Applied:
        """Have the order of acceptance start above what the database holds, then claim the chunk at its final place."""
        try:
            highest = self.targets.writer(lease.database).highest_version()
        except TargetFailure as failure:
            return self.fail(lease, failure.kind, failure.cause, cancel)
        self.store.settle(lease.database, highest >> PLACE_BITS)
        claim = self.store.claim(lease.chunk, self.holder)
        if claim.lease is None:
            return Applied(claim.verdict.value)
        return self.carry_out(claim.lease, claim.verdict is Claimed.CANCEL, go_on)

    def _chunk(self, lease: Lease, also_blank: bool = False) -> Chunk:
        """The chunk; a blank one, if that will do and it cannot be read: a lost key must not hold a tenant up."""
        try:
            return open_payload(self.seals, lease)
        except PayloadUnreadable:
            if not also_blank:
                raise
            return self._blank(lease)

    def _blank(self, lease: Lease) -> Chunk:
        """A chunk of as many items as that of the lease, about which nothing is known."""
        places = self.store.job(lease.chunk.job_id).places_of(lease.chunk.chunk_no)
        return Chunk(places.start, len(places), b"[" + b",".join([b"null"] * len(places)) + b"]")

    def _plan(self, chunk: Chunk, lease: Lease, rehearse: Callable[[WritePlan], None]) -> WritePlan:
        """The plan of a chunk; one that keeps killing its processes is taken apart first, by rehearsing its parts."""
        if lease.history.deaths < _DEATHS_BEFORE_ISOLATION:
            return plan_chunk(chunk, lease)

        lenient = replace(lease, strict=False)  # of a strict chunk, too, some items are tried without the others

        def rehearse_items(places: Collection[int]) -> None:
            others = set(range(chunk.count)) - set(places)
            rehearse(plan_item_by_item(chunk, lenient, others))

        return plan_item_by_item(chunk, lease, killers(chunk.count, rehearse_items))

    def _rehearse_at(self, lease: Lease) -> Callable[[WritePlan], None]:
        """Rehearsal at the chunk's database, by a connection of its own. Raises TargetFailure."""
        return lambda plan: self.targets.own_writer(lease.database).rehearse(plan)

    def _give_up(self, lease: Lease, outcome: Outcome) -> Applied:
        """Answer every item alike that is not certain, unless the ledger knows better; nobody can apply them later."""
        try:
            chunk = self._chunk(lease, also_blank=outcome is CANCELLED)
        except PayloadUnreadable:
            return self.fail(lease, FailureKind.UNREADABLE)
        except SealBroken as error:
            return self._refuse(lease, error)
        plan = plan_answer(chunk, outcome)
        if outcome is UNAVAILABLE:  # the database is away: only what is certain without it counts
            decided = self._plan(chunk, lease, lambda _: None).decided
            plan = replace(plan, decided=[one or outcome for one in decided])
        return self._complete(lease, self._told_by_ledger(lease, plan, outcome), chunk.count)

    def _refuse(self, lease: Lease, broken: SealBroken) -> Applied:
        """Answer every item of a chunk with 500 that is not what was admitted, or whose job is not.

        No database hears of it where it is the job's record that was changed: which database it is for is not certain.
        """
        _log.error("chunk refused", reason=str(broken), **_ids(lease))
        chunk = self._blank(lease)
        plan = plan_answer(chunk, UNTRUSTED)
        try:
            require_record(self.seals, lease)
        except (SealBroken, PayloadUnreadable):
            done = settle(plan, [UNTRUSTED] * chunk.count, database_answered=False)
        else:
            done = self._told_by_ledger(lease, plan, UNTRUSTED)
        return self._complete(lease, done, chunk.count)

    def _told_by_ledger(self, lease: Lease, plan: WritePlan, outcome: Outcome) -> Done:
        """The outcomes of a tombstone that is written, unless the ledger knows better; without it if it is away."""
        try:
            return settle(plan, self.targets.writer(lease.database).write(_ledger_key(lease), plan))
        except TargetFailure:
            return settle(plan, [one or outcome for one in plan.decided], database_answered=False)

    def _complete(self, lease: Lease, done: Done, items: int, go_on: bool = False) -> Applied:
        """Tell the job store, for five seconds if need be: the cases are committed, and nothing is more useful.

        A store that hangs, rather than refuses, takes as long for one attempt, and is told no more.
        """
        began = stopwatch()
        for _ in range(_COMPLETE_ATTEMPTS):
            try:
                return self._complete_once(lease, done, items, go_on)
            except StoreUnavailable:
                if stopwatch() - began > _COMPLETE_FOR_S:
                    raise
                self.sleep(_COMPLETE_AGAIN)
        return self._complete_once(lease, done, items, go_on)

    def _complete_once(self, lease: Lease, done: Done, items: int, go_on: bool) -> Applied:
        holder = self.holder if go_on else ""
        done = replace(done, packed=seal_result(self.seals, lease, done.packed))
        told = self.store.complete(lease.chunk, done, holder)
        if done.database_answered:
            self.outages.answered(lease.database, lease.history.failures)
        return Applied(told.verdict.value, lease.database, items, told.rings, told.following, told.shares)


def _ledger_key(lease: Lease) -> LedgerKey:
    return LedgerKey(UUID(lease.chunk.job_id), lease.chunk.chunk_no)


def _ids(lease: Lease) -> dict[str, str | int]:
    return {"job_id": lease.chunk.job_id, "chunk_no": lease.chunk.chunk_no}
