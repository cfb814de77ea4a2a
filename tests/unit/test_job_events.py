"""Events of a job while the job store fails in between: what was not sent comes again, and nothing else does."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from carecase_worker.batches.payloads import ChunkOutcomes
from carecase_worker.cases.outcomes import CREATED
from carecase_worker.errors import StoreUnavailable
from carecase_worker.intake.jobs.job_events import JobEvents
from carecase_worker.intake.jobs.listening import Listener
from carecase_worker.intake.jobs.results import Results
from carecase_worker.intake.limits.threads import some_of
from carecase_worker.store.job import COUNTS, Job, State

CHUNKS = 20
NOW = datetime(2026, 11, 27, tzinfo=UTC)
JOB = Job(
    job_id="0193a5c2-0000-7000-8000-000000000000",
    client="ann",
    user="ann",
    database="demo",
    care_plan=None,
    seq=1,
    unsettled=False,
    state=State.RUNNING,
    total=CHUNKS,
    counts=dict.fromkeys(COUNTS, 0) | {"created": CHUNKS},
    chunk_firsts=tuple(range(CHUNKS)),
    body_sha256="",
    strict=False,
    submitted_at=NOW,
    started_at=NOW,
    finished_at=None,
    expires_at=None,
    read_at=NOW,
)


@dataclass
class Reading:
    """A reader of outcomes, some at a time, that fails once before a chunk."""

    fails_before: int
    threads: Any = field(init=False)
    store: Any = field(init=False)

    def __post_init__(self) -> None:
        self.threads = self
        self.store = SimpleNamespace(committed=lambda _: list(range(CHUNKS)))

    async def run(self, _: str, work: Callable[[], Any]) -> Any:
        return work()

    async def pieces(self, _: str, made: Iterator[bytes]) -> AsyncIterator[bytes]:
        is_last = False
        while not is_last:
            some, is_last = some_of(made)
            if some:
                yield some

    def chunks(self, _: Job, numbers: Sequence[int]) -> Iterator[tuple[int, ChunkOutcomes]]:
        for number in numbers:
            if number == self.fails_before:
                self.fails_before = -1
                raise StoreUnavailable("away")
            yield number, ChunkOutcomes([number], [CREATED])


class Turns:
    """A follower that is woken each time."""

    over = False

    async def turn(self, *_: object) -> bool:
        return True


@pytest.mark.parametrize("fails_before", range(CHUNKS))
def test_outcomes_that_were_read_and_not_sent_come_again(fails_before: int) -> None:
    looks = 0

    async def read(_: str) -> Job:
        nonlocal looks
        looks += 1
        return JOB if looks < 3 else replace(JOB, state=State.COMPLETED, finished_at=NOW, expires_at=NOW)

    async def allowed() -> Any:
        return None

    listener = Listener(
        caller=cast(Any, SimpleNamespace(client="ann")),
        root_path="",
        heartbeat=cast(Any, None),
        follower=cast(Any, Turns()),
        allowed=cast("Callable[[], Awaitable[Any]]", allowed),
        read=read,
    )
    events = JobEvents(cast(Results, Reading(fails_before)), listener, JOB.job_id, set())

    async def followed() -> bytes:
        return b"".join([piece async for piece in events.stream()])

    text = anyio.run(followed).decode()
    sent = [
        json.loads(line.removeprefix("data: "))["runs"]
        for event in text.split("\n\n")
        if "event: outcomes" in event
        for line in event.split("\n")
        if line.startswith("data: ")
    ]
    assert [run["index"] for runs in sent for run in runs] == list(range(CHUNKS)), sent[:2]
