"""Events of a client's jobs: each change is sent once, ends in their order, and none is lost while the store fails."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from carecase_worker.errors import AccessFault, AccessRefused, JobExpired, JobNotFound, StoreUnavailable
from carecase_worker.intake.jobs.client_events import ClientEvents
from carecase_worker.intake.jobs.cursors import LastEnds
from carecase_worker.intake.jobs.listening import Listener
from carecase_worker.store.job import COUNTS, Job, State

NOW = datetime(2026, 11, 27, tzinfo=UTC)
A, B, C = (f"0193a5c2-0000-7000-8000-00000000000{letter}" for letter in "abc")
RUNNING = Job(
    job_id=A,
    client="ann",
    user="ann",
    database="demo",
    care_plan=None,
    seq=1,
    unsettled=False,
    state=State.RUNNING,
    total=1,
    counts=dict.fromkeys(COUNTS, 0),
    chunk_firsts=(0,),
    body_sha256="",
    strict=False,
    submitted_at=NOW,
    started_at=NOW,
    finished_at=None,
    expires_at=None,
    read_at=NOW,
)


def ended(job_id: str, after_s: float) -> Job:
    at = NOW + timedelta(seconds=after_s)
    return replace(RUNNING, job_id=job_id, state=State.COMPLETED, finished_at=at, expires_at=at)


@dataclass
class Turns:
    """A follower that is woken by each of some sets of changed jobs; an empty set gives nothing to send."""

    turns: list[tuple[set[str], bool]]
    waits: int = 0
    over: bool = False

    def take(self) -> tuple[set[str], bool]:
        return self.turns.pop(0) if self.turns else (set(), False)

    async def turn(self, *_: object) -> bool:
        self.waits += 1
        self.over = self.waits > 3
        return bool(self.turns)


@dataclass
class Scene:
    """The jobs of a client as they are read, and the ends that a look at all of them finds."""

    jobs: dict[str, Job | Exception] = field(default_factory=dict)
    missed: list[Any] = field(default_factory=list)
    looked_from: list[datetime] = field(default_factory=list)
    refused_after: int = 99

    async def read(self, job_id: str) -> Job:
        found = self.jobs[job_id]
        if isinstance(found, Exception):
            if isinstance(found, StoreUnavailable):  # once
                self.jobs[job_id] = ended(job_id, 1)
            raise found
        return found

    def final_since(self, _: str, __: object, since: datetime) -> tuple[bool, list[Job]]:
        self.looked_from.append(since)
        found = self.missed.pop(0)
        if isinstance(found, Exception):
            raise found
        return cast("tuple[bool, list[Job]]", found)

    async def run(self, _: str, work: Callable[[], Any]) -> Any:
        return work()

    async def allowed(self) -> Any:
        self.refused_after -= 1
        if self.refused_after < 0:
            raise AccessRefused(AccessFault.BAD_CREDENTIALS, "revoked")

    def streamed(self, *turns: tuple[Iterable[str], bool], last: LastEnds | None = None) -> list[tuple[str, str, str]]:
        """The events of a stream of these turns: name, job, and id."""
        follower = Turns([(set(changed), missed) for changed, missed in turns])
        caller = SimpleNamespace(client="ann", databases=frozenset({"demo"}))
        listener = Listener(
            cast(Any, caller), "", timedelta(0), cast(Any, follower), cast(Any, self.allowed), self.read
        )
        events = ClientEvents(cast(Any, self), cast(Any, self), listener, last or LastEnds.from_now_on(NOW))

        async def followed() -> str:
            return b"".join([piece async for piece in events.stream()]).decode()

        return [one for text in anyio.run(followed).split("\n\n") if (one := _parts(text))[0]]


def _parts(text: str) -> tuple[str, str, str]:
    named = dict(line.split(": ", 1) for line in text.split("\n") if ": " in line and not line.startswith(":"))
    document = json.loads(named.get("data", "{}"))
    return named.get("event", ""), document.get("jobId", ""), named.get("id", "")


def finals(events: list[tuple[str, str, str]]) -> list[str]:
    return [job_id for name, job_id, _ in events if name == "final"]


def test_ends_of_one_turn_come_in_the_order_in_which_the_jobs_ended_and_before_progress() -> None:
    scene = Scene({A: ended(A, 3), B: ended(B, 1), C: replace(RUNNING, job_id=C)})
    events = scene.streamed(({A, B, C}, False))
    assert [(name, job_id) for name, job_id, _ in events[:3]] == [("final", B), ("final", A), ("progress", C)]
    assert LastEnds.of(events[1][2]).job_ids == (B, A)


def test_an_end_that_was_missed_is_not_sent_again_by_its_change() -> None:
    scene = Scene({A: ended(A, 1)}, [(True, [ended(A, 1), ended(B, 2)])])
    assert finals(scene.streamed(({A}, True))) == [A, B]
    assert scene.looked_from == [NOW], "not to before the first stream began"


def test_all_jobs_are_looked_at_once_after_changes_were_missed_and_not_at_each_change() -> None:
    scene = Scene({A: ended(A, 1)}, [(True, [ended(B, 2)])])
    assert finals(scene.streamed(((), True), ({A}, False))) == [B, A]
    assert len(scene.looked_from) == 1


def test_ends_that_the_last_stream_has_sent_do_not_come_again() -> None:
    last = LastEnds(NOW + timedelta(seconds=9), (A,))
    scene = Scene({}, [(True, [ended(A, 8), ended(B, 9)])])
    assert finals(scene.streamed(((), True), last=last)) == [B]
    assert scene.looked_from == [NOW + timedelta(seconds=4)]


def test_a_client_with_more_jobs_than_are_looked_at_learns_of_the_gap_first() -> None:
    scene = Scene({}, [(False, [ended(A, 1)])])
    assert [(name, job_id) for name, job_id, _ in scene.streamed(((), True))[:2]] == [("gap", ""), ("final", A)]


@pytest.mark.parametrize("gone", [JobNotFound("gone"), JobExpired("purged")])
def test_jobs_that_are_gone_are_left_out(gone: Exception) -> None:
    scene = Scene({A: gone, B: ended(B, 1)})
    assert finals(scene.streamed(({A, B}, False))) == [B]


@pytest.mark.parametrize("looks_at_all", [False, True])
def test_what_changed_while_the_store_was_away_is_sent_with_the_next_heartbeat(looks_at_all: bool) -> None:
    """Nothing else may change any more: the end of the last job would never be sent."""
    away = StoreUnavailable("away")
    scene = Scene({A: away}, [away, (True, [ended(A, 1), ended(B, 2)])])
    events = scene.streamed(({A}, looks_at_all), ((), False))
    assert finals(events) == ([A, B] if looks_at_all else [A])
    assert finals(Scene({A: StoreUnavailable("away")}).streamed(({A}, False))) == [A]


def test_a_stream_ends_with_its_credentials() -> None:
    scene = Scene({A: ended(A, 1), B: ended(B, 2)}, refused_after=1)
    assert finals(scene.streamed(({A}, False), ({B}, False))) == [A]
