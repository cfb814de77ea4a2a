"""Jobs of the store's tests: admitted, completed, finished."""

from collections.abc import Callable
from datetime import timedelta

from tests.builders import a_new_job
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.store.operations.admission import Admitted, NewJob
from carecase_worker.store.operations.claims import (
    ChunkResult,
    Completed,
    Lease,
)

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
LEASE = timedelta(seconds=15)
DAY, WEEK = timedelta(days=1), timedelta(days=7)
Elapse = Callable[[timedelta], None]


def admitted(store: Stores, chunks: int = 1, **changes: object) -> tuple[NewJob, list[ChunkRef]]:
    """A job of so many chunks with one item each, and the chunks to notify for."""
    new = a_new_job(total=chunks, chunk_firsts=tuple(range(chunks)), **changes)
    admission = store.batches.admit(new, {n: b"payload %d" % n for n in range(chunks)})
    assert admission.verdict is Admitted.ADMITTED
    return new, list(admission.to_notify)


def complete(store: Stores, ref: ChunkRef, **counts: int) -> list[ChunkRef]:
    """Complete a chunk; the chunks to notify for."""
    completion = store.leases.complete(ref, ChunkResult(b"outcome", counts or {"created": 1}))
    assert completion.verdict is Completed.KEPT
    return list(completion.to_notify)


def lease_of(store: Stores, ref: ChunkRef) -> Lease:
    """Claim a chunk that can be claimed."""
    lease = store.leases.claim(ref, "w").lease
    assert lease is not None
    return lease


def finish(store: Stores, to_notify: list[ChunkRef]) -> list[ChunkRef]:
    """Complete the chunks and whatever they open; the order in which they were completed."""
    done = []
    while to_notify:
        ref = to_notify.pop(0)
        to_notify += complete(store, ref)
        done.append(ref)
    return done
