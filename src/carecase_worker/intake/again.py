"""The items of a final job that are worth sending again, as a body."""

from collections.abc import Iterator

from carecase_worker.errors import JobConflict
from carecase_worker.intake.body import Body
from carecase_worker.jobs.chunks import items_at, unpack, unpack_done
from carecase_worker.jobs.job import Job
from carecase_worker.jobs.seal import Seals
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import ChunkRef

_CHUNKS_AT_ONCE = 8


def write_again(store: JobStore, seals: Seals, job: Job, body: Body) -> None:
    """Write the items that failed for a reason outside themselves into `body`, in order.

    Raises JobConflict if there are none, or if more may come because the job is not final.
    """
    if not job.state.final:
        raise JobConflict("The job is not final yet. Wait for it, or cancel it first.")
    before = b"["
    for item in _items(store, seals, job):
        body.write(before + item)
        before = b","
    if before == b"[":
        raise JobConflict("No item of the job failed for a reason outside itself: there is nothing to send again.")
    body.write(b"]")


def _items(store: JobStore, seals: Seals, job: Job) -> Iterator[bytes]:
    numbers = range(len(job.chunk_firsts))
    for start in range(0, len(numbers), _CHUNKS_AT_ONCE):
        some = numbers[start : start + _CHUNKS_AT_ONCE]
        held = zip(some, store.outcomes(job.job_id, some), store.payloads(job.job_id, some), strict=True)
        for number, packed, payload in held:
            if packed is None or payload is None:
                continue
            outcomes = unpack_done(packed).outcomes
            places = [place for place, outcome in enumerate(outcomes) if outcome.kind.retryable]
            yield from items_at(unpack(seals.open(payload, ChunkRef(job.job_id, number))), places)
