"""Small batches that were accepted one after the other, and are applied together."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.integration.worker.attempts import (
    SteppedTargets,
    attempt,
    nothing,
)
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.payloads import pack, unpack_done
from carecase_worker.cases.outcomes import (
    Outcome,
)

SECOND = timedelta(seconds=1)
Elapse = Callable[[timedelta], None]


def no_time_goes_by() -> float:
    """The clock of an attempt whose chunks may go on alone, however slow the machine is."""
    return 0.0


@dataclass
class Accepted:
    """Small batches that were accepted one after the other."""

    store: Stores
    targets: SteppedTargets
    jobs: list[str] = field(default_factory=list)
    to_notify: list[ChunkRef] = field(default_factory=list)

    def accept(self, *cases: dict[str, Any], payload: bytes | None = None, weight: int = 1, **more: Any) -> str:
        (chunk,) = chunks_of(a_batch(*cases))
        chunk = replace(chunk, dry_run=more.get("dry_run", False))
        new = a_new_job(total=len(cases), weight=weight, **more)
        self.to_notify += self.store.batches.admit(new, {0: payload or pack(chunk)}).to_notify
        self.jobs.append(new.job_id)
        return new.job_id

    def another_comes(self, reached: str) -> None:
        """The step at which another batch is accepted."""
        if reached == "before write":
            self.accept(a_case(2))

    def attempt(self, holder: str = "worker", number: int = 0, **more: Any) -> str:
        """Attempt a batch, and what is ready by then."""
        return attempt(self.store, self.targets, ChunkRef(self.jobs[number], 0), holder, **more).verdict

    def finish(self) -> None:
        """Attempt one after the other until each is final."""
        self.targets.step = nothing
        for number, job in enumerate(self.jobs):
            if not self.store.jobs.job(job).state.final:
                self.attempt(f"finisher {number}", number)

    def outcomes_of(self, job: str) -> list[Outcome]:
        """What became of each item of a batch."""
        assert self.store.jobs.job(job).state.final
        (packed,) = self.store.jobs.outcomes(job, [0])
        assert packed is not None
        return list(unpack_done(packed).outcomes)

    def count(self, table: str) -> int:
        return int(self.targets.rows(f"SELECT count(*) FROM {table}")[0][0])


class Transactions:
    """Counts the transactions that are committed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, reached: str) -> None:
        self.count += reached == "before commit"


class Steps:
    """Notes the steps that are reached."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def __call__(self, reached: str) -> None:
        self.reached.append(reached)
