"""The report of a task to Flower: one line of ids and counts, and the errors by which a task shows as failed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from carecase_worker.errors import CareCaseError
from carecase_worker.plural import counted
from carecase_worker.store.job import COUNTS

_MOST_IDS = 8


class Released(CareCaseError):
    """An attempt failed, and its chunks will be tried again. Flower shows the task as retried."""


class GaveUp(CareCaseError):
    """An attempt failed for the last time, and the items of its chunks got failure outcomes."""


class TaskState(Enum):
    """State of a task as Flower shows it."""

    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    FAILED = "failed"


@dataclass(slots=True)
class Report:
    """The chunks of one task, applied together, one by one, or not at all.

    A chunk counts only for the task whose outcomes were stored, so that the tasks' items add up to those of the jobs.
    Dry runs are counted separately.
    """

    database: str = ""
    jobs: dict[str, None] = field(default_factory=dict)
    chunks: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    dry_run_chunks: int = 0
    dry_run_counts: Counter[str] = field(default_factory=Counter)
    released: Counter[str] = field(default_factory=Counter)
    gave_up: Counter[str] = field(default_factory=Counter)
    verdict: str = ""
    """The verdict on the last attempt; reported if nothing was applied."""

    def begin(self) -> None:
        """Reset for a new task."""
        self.__init__()  # type: ignore[misc]  # the defaults of every field

    def keep(self, database: str, job_id: str, counts: Mapping[str, int], dry_run: bool = False) -> None:
        """Count a chunk whose outcomes were stored."""
        self.database = database
        self.jobs[job_id] = None
        if dry_run:
            self.dry_run_chunks += 1
            self.dry_run_counts.update(counts)
        else:
            self.chunks += 1
            self.counts.update(counts)

    def release(self, database: str, job_ids: Iterable[str], kind: str) -> None:
        """Count chunks that will be tried again, by the class of the failure."""
        self._fail(self.released, database, job_ids, kind)

    def give_up(self, database: str, job_id: str, kind: str) -> None:
        """Count a chunk that was given up. It is also counted by `keep`."""
        self._fail(self.gave_up, database, [job_id], kind)

    @property
    def state(self) -> TaskState:
        """State of the task: that of its worst chunk."""
        if self.gave_up:
            return TaskState.FAILED
        return TaskState.RETRIED if self.released else TaskState.SUCCEEDED

    def line(self) -> str:
        """Return the line: tenant, items by outcome, chunks, failures by class, jobs, and the ids of some of them."""
        parts = []
        if self.chunks:
            parts.append(_kept(self.counts, self.chunks))
        if self.dry_run_chunks:
            parts.append(f"dry run, rolled back: {_kept(self.dry_run_counts, self.dry_run_chunks)}")
        parts += [f"released {counted(count, 'chunk')}: {kind}" for kind, count in self.released.items()]
        parts += [f"gave up {counted(count, 'chunk')}: {kind}" for kind, count in self.gave_up.items()]
        if not parts:
            return f"nothing applied: {self.verdict}"
        ids, more = list(self.jobs), len(self.jobs) - _MOST_IDS
        others = f" and {more} more" if more > 0 else ""
        jobs = f"{counted(len(self.jobs), 'job')}: {', '.join(ids[:_MOST_IDS])}{others}"
        return f"{self.database}{': ' if self.database else ''}{'; '.join([*parts, jobs])}"

    def _fail(self, failures: Counter[str], database: str, job_ids: Iterable[str], kind: str) -> None:
        self.database = database or self.database
        for job_id in job_ids:
            failures[kind] += 1
            self.jobs[job_id] = None


def _kept(counts: Mapping[str, int], chunks: int) -> str:
    outcomes = ", ".join(f"{counts[name]} {name}" for name in COUNTS if counts[name])
    return f"{outcomes} in {counted(chunks, 'chunk')}"
