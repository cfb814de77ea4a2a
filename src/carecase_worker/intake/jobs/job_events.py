"""The event stream of one job: progress, the outcomes of chunks as they are committed, completion."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial

from carecase_worker.intake.http.responses.event_stream import event, opening
from carecase_worker.intake.jobs.cursors import END, cursor_of
from carecase_worker.intake.jobs.documents import job_document, outcome_runs
from carecase_worker.intake.jobs.listening import AGAIN, Listener
from carecase_worker.intake.jobs.results import Results
from carecase_worker.store.job import Job


@dataclass(slots=True)
class JobEvents:
    """The events of a job for one listener; `sent` are the chunks whose outcomes were sent, None to send none."""

    results: Results
    listener: Listener
    job_id: str
    sent: set[int] | None
    _last_progress: tuple[str, int] | None = field(default=None, init=False)
    _final: bool = field(default=False, init=False)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the events until the job is final, the listener's access ends, or the process stops."""
        yield opening(AGAIN, cursor_of(self.sent or ()))
        async for piece in self.listener.stream(self._news, lambda: self._final):
            yield piece

    async def _news(self) -> AsyncIterator[bytes]:
        """Yield the unsent events of the job: outcomes first, so that nothing follows its completion."""
        job = await self.listener.read(self.job_id)
        if self.sent is not None and job.processed and len(self.sent) < len(job.chunk_firsts):
            threads, client = self.results.threads, self.listener.caller.client
            committed = await threads.run(client, partial(self.results.store.committed, job.job_id))
            made = set(self.sent)
            async for piece in threads.pieces(client, self._outcomes(job, committed, made)):
                yield piece
                self.sent = set(made)  # no sooner: a piece that is made and not sent comes again
        document, progress = job_document(job, self.listener.root_path), (job.state.value, job.processed)
        if job.state.final:
            self._final = True
            yield event("final", document, END)
        elif progress != self._last_progress:
            self._last_progress = progress
            yield event("progress", document)

    def _outcomes(self, job: Job, committed: list[int], sent: set[int]) -> Iterator[bytes]:
        """Yield an event for each unsent chunk: its outcomes, in runs of equal ones."""
        for number, chunk in self.results.chunks(job, [number for number in committed if number not in sent]):
            sent.add(number)
            yield event("outcomes", {"runs": outcome_runs(job.chunk_firsts[number], chunk.outcomes)}, cursor_of(sent))
