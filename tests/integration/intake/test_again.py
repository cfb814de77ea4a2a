"""What of a final job is worth sending again: the items that failed for a reason outside themselves, and no other."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from uuid import uuid4

import msgspec
import pytest
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkLimits, ChunkRef
from carecase_worker.batches.encryption import Kind, Seals
from carecase_worker.batches.payloads import ChunkOutcomes, pack_done, unpack
from carecase_worker.cases.outcomes import CANCELLED, FIXED, REFUSED, UNAVAILABLE, UNTRUSTED, Outcome
from carecase_worker.cases.outcomes import Kind as OutcomeKind
from carecase_worker.errors import JobConflict
from carecase_worker.intake.jobs.resubmit import add_retryable_items
from carecase_worker.store.job import Job
from carecase_worker.store.operations.claims import ChunkResult
from carecase_worker.store.pending_batch import Admissions, Sender

ITEMS = 2  # a chunk
EVERY_KIND = [FIXED.get(kind, Outcome(kind, "why")) for kind in OutcomeKind if kind is not OutcomeKind.VALID]
"""Of those that a job's items can have: `Valid` is the answer of a check alone."""
WORTH_IT = (CANCELLED, REFUSED, UNAVAILABLE, UNTRUSTED)
"""409 `Cancelled`, 500, 503: the contract's reasons outside an item."""
SEALS = Seals({"k": bytes(32)})


@pytest.fixture
def packers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as packers:
        yield packers


def item(place: int) -> bytes:
    return b'{"case_Key":%d}' % place


def a_job(store: Stores, strict: bool, chunks: int) -> Job:
    """A sealed job of so many chunks, of items that name their places in the batch, accepted just now."""
    with ThreadPoolExecutor(1) as packers:
        admissions = Admissions(store.batches, ChunkLimits(ITEMS, 1000, 1000), 1000, packers, SEALS)
        draft = admissions.draft(Sender("demo", "demo", "demo", None, strict=strict), uuid4())
        draft.add([msgspec.Raw(item(place)) for place in range(chunks * ITEMS)])
        return store.jobs.job(draft.admit("0" * 64).job_id)


def ended(store: Stores, job: Job, outcomes: Sequence[Outcome], keep: Sequence[bool]) -> Job:
    """The job once each item has its outcome, and the payloads are kept as `keep` says."""
    key = SEALS.opened(job.data_key, job.binding).key
    for number, kept in enumerate(keep):
        some = [outcomes[place] for place in job.places_of(number)]
        counts = {name: sum(one.kind.counted_as == name for one in some) for name in job.counts}
        ref = ChunkRef(job.job_id, number)
        packed = key.seal(Kind.RESULT, ref, pack_done(ChunkOutcomes([None] * len(some), some)))
        store.leases.complete(ref, ChunkResult(packed, counts, retryable=kept))
    return store.jobs.job(job.job_id)


def sent_again(store: Stores, packers: ThreadPoolExecutor, job: Job) -> list[bytes]:
    """The items of the job that a retry of `job` makes, in order."""
    bounds = ChunkLimits(items=3, size=1000, item_size=1000)
    draft = Admissions(store.batches, bounds, 1000, packers).draft(Sender("demo", "demo", "demo", None), uuid4())
    digest = add_retryable_items(store.jobs, SEALS, job, draft)
    again = store.jobs.job(draft.admit(digest).job_id)
    payloads = store.jobs.payloads(again.job_id, range(len(again.chunk_firsts)))
    chunks = [unpack(payload) for payload in payloads if payload is not None]
    items = [bytes(raw) for chunk in chunks for raw in msgspec.json.decode(chunk.items, type=list[msgspec.Raw])]
    assert again.total == len(items)
    assert again.body_sha256 == digest == hashlib.sha256(b"[%b]" % b",".join(items)).hexdigest()
    return items


def worth_it(outcomes: Sequence[Outcome]) -> list[bool]:
    """For each chunk whether any of its items is."""
    return [bool({*outcomes[first : first + ITEMS]} & {*WORTH_IT}) for first in range(0, len(outcomes), ITEMS)]


def test_items_that_failed_by_their_own_fault_are_not_sent_again(store: Stores, packers: ThreadPoolExecutor) -> None:
    """Every kind of outcome beside every other, in a job of so many chunks that they are read in several parts."""
    outcomes = [one for first in EVERY_KIND for second in EVERY_KIND for one in (first, second)]
    Random(1).shuffle(outcomes)
    job = ended(store, a_job(store, False, len(outcomes) // ITEMS), outcomes, worth_it(outcomes))
    expected = [item(place) for place, outcome in enumerate(outcomes) if outcome in WORTH_IT]
    assert sent_again(store, packers, job) == expected


def test_payloads_that_are_kept_for_nothing_change_nothing(store: Stores, packers: ThreadPoolExecutor) -> None:
    outcomes = [EVERY_KIND[0], EVERY_KIND[3], UNAVAILABLE, EVERY_KIND[4]]
    job = ended(store, a_job(store, False, 2), outcomes, [True, True])
    assert sent_again(store, packers, job) == [item(2)]


@pytest.mark.parametrize("outcome", EVERY_KIND, ids=lambda one: one.kind.name)
def test_of_a_strict_job_all_goes_again_or_nothing(
    store: Stores, packers: ThreadPoolExecutor, outcome: Outcome
) -> None:
    """It is applied whole: what was not applied, because of another item, goes again with that one."""
    job = ended(store, a_job(store, True, 1), [outcome, Outcome(OutcomeKind.INVALID, "why")], [True])
    if outcome in WORTH_IT:
        assert sent_again(store, packers, job) == [item(0), item(1)]
    else:
        with pytest.raises(JobConflict, match="nothing to retry"):
            sent_again(store, packers, job)


def test_where_nothing_is_worth_it_there_is_nothing_to_send(store: Stores, packers: ThreadPoolExecutor) -> None:
    outcomes = [one for one in EVERY_KIND if one not in WORTH_IT]
    outcomes += outcomes[: len(outcomes) % 2]
    for keep in (True, False):
        job = ended(store, a_job(store, False, len(outcomes) // 2), outcomes, [keep] * (len(outcomes) // 2))
        with pytest.raises(JobConflict, match="nothing to retry"):
            sent_again(store, packers, job)


def test_of_a_job_that_is_not_final_nothing_goes_again(store: Stores, packers: ThreadPoolExecutor) -> None:
    job = ended(store, a_job(store, False, 2), [UNAVAILABLE] * 4, [True])
    with pytest.raises(JobConflict, match="not final yet"):
        sent_again(store, packers, job)
