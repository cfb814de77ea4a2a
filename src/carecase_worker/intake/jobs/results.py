"""The result of a job, also a partial one: all items, a page, or the items with one outcome."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import Kind, Seals
from carecase_worker.batches.payloads import ChunkOutcomes, unpack_done
from carecase_worker.cases.outcomes import Outcome
from carecase_worker.errors import JobExpired, SealBroken
from carecase_worker.intake.http.middleware.head_options import is_head
from carecase_worker.intake.http.requests.negotiation import encoding
from carecase_worker.intake.http.requests.paging import ChunkSlice, Page, chunk_slices
from carecase_worker.intake.http.responses.compression import compressed
from carecase_worker.intake.jobs.result_formats import ResultFormat, result_format_of
from carecase_worker.intake.limits.threads import ClientThreads, some_of
from carecase_worker.store.job import Job
from carecase_worker.store.job_store import JobStore

_CHUNKS_AT_ONCE = 8
_GONE = "The job is final and its result is no longer kept."


class OutcomeFilter(Enum):
    """The outcomes to filter by: the counts of the job document."""

    CREATED = "created"
    UPDATED = "updated"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    def takes(self, outcome: Outcome) -> bool:
        """Return whether an outcome has this count."""
        return self.value == outcome.kind.counted_as


@dataclass(frozen=True, slots=True)
class ResultQuery:
    """The selection of items of a result: one page, one outcome, or all; if `partial`, also before the job is final."""

    page: Page | None = None
    outcome: OutcomeFilter | None = None
    partial: bool = False

    def count(self, total: int) -> int:
        """Return the number of items in a response, if `total` items match."""
        return total if self.page is None else max(min(self.page.size, total - self.page.first), 0)


@dataclass(frozen=True, slots=True)
class Results:
    """The reader of results; it reads only the chunks needed, a few at a time."""

    store: JobStore
    seals: Seals
    threads: ClientThreads

    def answer(
        self, request: Request, job: Job, wanted: ResultQuery, headers: dict[str, str], given: Callable[[int], None]
    ) -> Response:
        """Make the 207 of a final job, or of the outcomes committed so far.

        `given` is called with the number of items before the response; if it raises, nothing is sent.

        Raises JobExpired, StoreUnavailable, PayloadUnreadable if a key is not configured, SealBroken if modified.
        """
        counts = self._counts(job, wanted)
        total = job.counts[wanted.outcome.value] if wanted.outcome and job.state.final else sum(counts)
        if wanted.page:
            headers = {**headers, **wanted.page.header(total)}
        chosen = encoding(request.headers.get("accept-encoding"))
        if chosen:
            headers = {**headers, "Content-Encoding": chosen}
        form = result_format_of(request, job.dry_run)
        pieces = compressed(form.document(job.job_id, self._items(job, wanted, counts, total, form)), chosen)
        # faults of store or result show with the first pieces, before the status is sent
        first, is_last = some_of(pieces)
        if not is_head(request):
            given(wanted.count(total))
        headers = {**headers, "Vary": "Accept, Accept-Encoding"}
        made = self.threads.pieces(job.client, pieces, first, is_last or is_head(request))
        return StreamingResponse(made, 207, headers, form.media_type)

    def _counts(self, job: Job, wanted: ResultQuery) -> list[int]:
        """Return the number of selected items of each chunk: 0 while it is not committed."""
        sizes, group = chunk_sizes(job), wanted.outcome
        if job.state.final and group is None:
            return sizes
        tallies = self.store.tallies(job.job_id, len(sizes))
        return [tally[group.value] if group else sum(tally.values()) for tally in tallies]

    def _items(
        self, job: Job, wanted: ResultQuery, counts: Sequence[int], total: int, form: ResultFormat
    ) -> Iterator[bytes]:
        """Yield the selected items, several at a time."""
        if wanted == ResultQuery():
            for chunk_no, chunk in self.chunks(job, range(len(counts))):
                yield form.whole(job.chunk_firsts[chunk_no], chunk)
            return
        page, group = wanted.page or Page(1, max(total, 1)), wanted.outcome
        if total and not any(counts):
            raise JobExpired(_GONE)
        parts = {cut.chunk_no: cut for cut in chunk_slices(counts, page.first, min(page.first + page.size, total))}
        for chunk_no, chunk in self.chunks(job, list(parts)):
            places = _places(chunk, group, parts[chunk_no])
            yield form.some(job.chunk_firsts[chunk_no], chunk, places)

    def chunks(self, job: Job, numbers: Sequence[int]) -> Iterator[tuple[int, ChunkOutcomes]]:
        """Yield the outcomes of some chunks; the first one is read alone, so that it does not wait for the others."""
        key, sizes = self.seals.opened(job.data_key, job.binding).key, chunk_sizes(job)
        start, count = 0, 1
        while start < len(numbers):
            some = numbers[start : start + count]
            for number, packed in zip(some, self.store.outcomes(job.job_id, some), strict=True):
                if packed is None:
                    raise JobExpired(_GONE)
                chunk = unpack_done(key.open(Kind.RESULT, ChunkRef(job.job_id, number), packed))
                if len(chunk.outcomes) != sizes[number]:
                    raise SealBroken("the indices of the job's chunks were modified")
                yield number, chunk
            start, count = start + count, _CHUNKS_AT_ONCE


def chunk_sizes(job: Job) -> list[int]:
    """Return the number of items of each chunk of a job."""
    ends = (*job.chunk_firsts[1:], job.total)
    return [end - first for first, end in zip(job.chunk_firsts, ends, strict=True)]


def _places(chunk: ChunkOutcomes, group: OutcomeFilter | None, cut: ChunkSlice) -> Sequence[int]:
    """Return the indices in a chunk of the items of a slice."""
    if group is None:
        return range(cut.skip, cut.skip + cut.take)
    places = [place for place, outcome in enumerate(chunk.outcomes) if group.takes(outcome)]
    return places[cut.skip : cut.skip + cut.take]
