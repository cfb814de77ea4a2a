"""Plans of chunks, and their outcomes, as values. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from carecase_worker.batches.chunking import Chunk
from carecase_worker.batches.payloads import ChunkOutcomes, pack_done
from carecase_worker.cases.given_fields import given_update_fields
from carecase_worker.cases.outcomes import NOT_APPLIED, REFUSED, Outcome, none_applied, runs_of
from carecase_worker.cases.validation import Rules, keys_of, read_valid, validate, without
from carecase_worker.store.job import COUNTS
from carecase_worker.store.operations.claims import ChunkResult, Lease
from carecase_worker.targets.case_versions import HIGHEST_SEQ, version_of, versions_from
from carecase_worker.targets.plan import Defaults, Entry, WaveOfAll, WaveOfRows, WritePlan, in_waves
from carecase_worker.targets.tables import ENTRY_VERSION, VERSION


def plan_chunk(chunk: Chunk, lease: Lease) -> WritePlan:
    """Plan a chunk: the cases to write, and the outcomes that are certain without writing.

    Known poison items are refused.
    """
    if lease.history.isolation is not None:
        return plan_item_by_item(chunk, lease, lease.history.isolation.found)
    defaults = _defaults_of(chunk, lease)
    valid = read_valid(chunk.items, defaults.rules)  # None, too, if there are items that were not kept
    if valid is not None and len(set(valid.keys)) == len(valid.keys):
        waves, guard = (WaveOfAll(valid, defaults),), lease.care_plan is not None
        plan = WritePlan(valid.keys, [None] * chunk.count, waves, guard, lease.strict, lines=chunk.lines)
        return replace(plan, given=_given(chunk, lease))
    return plan_item_by_item(chunk, lease)


def plan_some(chunk: Chunk, lease: Lease, places: Collection[int]) -> WritePlan:
    """Plan only the items at some indices; those of a strict chunk, too, are tried without the others."""
    others = set(range(chunk.count)) - set(places)
    return plan_item_by_item(chunk, replace(lease, strict=False), others)


def plan_item_by_item(chunk: Chunk, lease: Lease, poison_items: Collection[int] = ()) -> WritePlan:
    """Plan a chunk after validating each item separately; `poison_items` are the indices of items to refuse."""
    plan = _plan_items(chunk, _defaults_of(chunk, lease), poison_items)
    if lease.strict and any(one is not None and one.kind.failed for one in plan.decided):
        return replace(plan, decided=none_applied([one or NOT_APPLIED for one in plan.decided]), waves=())
    return replace(plan, all_or_nothing=lease.strict, given=_given(chunk, lease))


def _defaults_of(chunk: Chunk, lease: Lease) -> Defaults:
    rules = Rules(lease.care_plan, lease.user, lease.accepted_at)
    return Defaults(version_of(HIGHEST_SEQ if lease.dry_run else lease.seq, chunk.first), rules)


def _given(chunk: Chunk, lease: Lease) -> Sequence[Collection[str]]:
    return given_update_fields(chunk.items) if lease.dry_run else ()


def _plan_items(chunk: Chunk, defaults: Defaults, poison_items: Collection[int]) -> WritePlan:
    judged = validate(without(chunk.items, poison_items), defaults.rules, chunk.refused)
    for place in poison_items:
        judged[place] = REFUSED
    entries = []
    for place, (one, version) in enumerate(
        zip(judged, versions_from(defaults.first_version, len(judged)), strict=True)
    ):
        if not isinstance(one, Outcome):
            one[VERSION] = one[ENTRY_VERSION] = version
            entries.append(Entry(place, one))
    decided = [one if isinstance(one, Outcome) else None for one in judged]
    waves = [WaveOfRows(wave, defaults) for wave in in_waves(entries)]
    return WritePlan(keys_of(chunk.items), decided, waves, defaults.rules.care_plan is not None, lines=chunk.lines)


def plan_uniform_outcome(chunk: Chunk, outcome: Outcome) -> WritePlan:
    """Return a tombstone: nothing to write, and the same outcome for every item."""
    decided = [outcome] * chunk.count
    return WritePlan(keys_of(chunk.items), decided, waves=(), guard_care_plan=False, lines=chunk.lines)


def to_chunk_result(plan: WritePlan, outcomes: Sequence[Outcome], database_answered: bool = True) -> ChunkResult:
    """Convert outcomes, one per item and in order, to the arguments of `complete`."""
    counts = dict.fromkeys(COUNTS, 0)
    retryable = False
    for outcome, count in runs_of(outcomes):
        counts[outcome.kind.counted_as] += count
        retryable = retryable or outcome.kind.retryable
    return ChunkResult(pack_done(ChunkOutcomes(plan.keys, outcomes, plan.lines)), counts, retryable, database_answered)
