"""A batch that comes in is packed and staged by other threads, and is whole, in order, or nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest
from tests.integration.worker.attempts import SteppedStore, away_at

from carecase_worker.errors import StoreUnavailable
from carecase_worker.jobs.admission import Admissions, Draft, Sender
from carecase_worker.jobs.chunks import ChunkBounds, unpack
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import Admission

JOB = UUID(int=7)
ITEMS_A_CALL, CALLS = 100, 40
ITEM_BYTES = 1_000  # of noise, so that what is staged has megabytes, too


def draft_of(store: Any, packers: ThreadPoolExecutor) -> Draft:
    admissions = Admissions(store, ChunkBounds(250, 1 << 20, 1 << 18), 100_000, packers)
    return admissions.draft(Sender("ann", "ann", "demo", None), JOB)


def send(draft: Draft) -> Admission:
    fill(draft)
    return draft.admit("0" * 64)


def fill(draft: Draft) -> list[bytes]:
    """Add items of noise, call by call; what was added."""
    dice, added = Random(1), []
    for _ in range(CALLS):
        items = [b'"%b"' % dice.randbytes(ITEM_BYTES // 2).hex().encode() for _ in range(ITEMS_A_CALL)]
        draft.add([msgspec.Raw(item) for item in items])
        added += items
    return added


@pytest.fixture
def packers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as packers:
        yield packers


def test_every_item_is_there_in_order_and_every_byte_is_counted(store: JobStore, packers: ThreadPoolExecutor) -> None:
    draft = draft_of(store, packers)
    added = fill(draft)
    admission = draft.admit("0" * 64)
    job = store.job(admission.job_id)
    payloads = [payload for payload in store.payloads(job.job_id, range(len(job.chunk_firsts))) if payload is not None]
    chunks = [unpack(payload) for payload in payloads]
    assert tuple(chunk.first for chunk in chunks) == job.chunk_firsts == tuple(range(0, len(added), 250))
    assert [bytes(raw) for chunk in chunks for raw in msgspec.json.decode(chunk.items, type=list[msgspec.Raw])] == added
    assert store.backlog("demo") == (1, sum(map(len, payloads)))
    assert sum(map(len, payloads)) > 1 << 20, "several calls of stage"


def test_what_was_staged_goes_with_a_draft_that_is_given_up(store: JobStore, packers: ThreadPoolExecutor) -> None:
    draft = draft_of(store, packers)
    fill(draft)
    draft.discard()
    assert store.payloads(str(JOB), range(16)) == [None] * 16
    assert store.backlog("demo") == (0, 0)


def test_a_store_that_goes_away_meanwhile_refuses_the_batch(store: JobStore, packers: ThreadPoolExecutor) -> None:
    draft = draft_of(SteppedStore(store, away_at("after stage")), packers)
    with pytest.raises(StoreUnavailable):
        send(draft)
    draft.discard()
    assert store.payloads(str(JOB), range(16)) == [None] * 16
