"""The verbs of the job store, in any order and with time moving, against a small model of what they should do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.builders import a_new_job
from tests.elapsing import elapse
from tests.services import Services

from carecase_worker.jobs.job import State
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import Admitted, Cancelled, ChunkRef, Claimed, Completed, Done, Wait

WIDTH = 2
# minutes, so that the time which the test itself takes does not count
LEASE = timedelta(minutes=15)
RING_AGAIN = timedelta(minutes=2)
_prefixes = count(1)


@dataclass
class ModelJob:
    """What the model knows of a job of one-item chunks."""

    job_id: str
    chunks: int
    care_plan: int | None
    opened: int = 0
    done: set[int] = field(default_factory=set)
    cancelling: bool = False
    cancelled_items: int = 0

    @property
    def final(self) -> bool:
        return len(self.done) == self.chunks


@dataclass
class ModelLease:
    holder: str
    until: timedelta
    deaths: int


class JobStoreMachine(RuleBasedStateMachine):
    """The real scripts on a real Valkey beside the model."""

    servers: Services

    @initialize()
    def start(self) -> None:
        self.store: JobStore = self.servers.store(
            f"model{next(_prefixes)}:",
            width=WIDTH,
            lease_seconds=LEASE.total_seconds(),
            ring_again_seconds=RING_AGAIN.total_seconds(),
        )
        self.now = timedelta(0)
        self.jobs: list[ModelJob] = []
        self.turns: list[list[ModelJob]] = []
        self.due: dict[ChunkRef, timedelta] = {}
        self.leases: dict[ChunkRef, ModelLease] = {}
        self.deaths: dict[ChunkRef, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()

    def _open(self, job: ModelJob, chunks: int) -> list[ChunkRef]:
        opened = [ChunkRef(job.job_id, n) for n in range(job.opened, min(job.opened + chunks, job.chunks))]
        job.opened += len(opened)
        self.due |= dict.fromkeys(opened, self.now + RING_AGAIN)
        return opened

    @contextmanager
    def _some(self, data: st.DataObject) -> Iterator[tuple[ModelJob, ChunkRef]]:
        job = data.draw(st.sampled_from(self.jobs), label="job")
        yield job, ChunkRef(job.job_id, data.draw(st.integers(0, job.chunks - 1), label="chunk"))

    @rule(chunks=st.integers(1, 4), care_plan=st.sampled_from([None, 1, 2]))
    def admit(self, chunks: int, care_plan: int | None) -> None:
        # chance in a job's name would make the same draws mean another chunk the next time
        job_id = str(UUID(int=len(self.jobs)))
        new = a_new_job(job_id=job_id, total=chunks, chunk_firsts=range(chunks), care_plan=care_plan)
        admission = self.store.admit(new, dict.fromkeys(range(chunks), b"p"))
        job = ModelJob(new.job_id, chunks, care_plan)
        self.jobs.append(job)
        if self.turns and self.turns[-1][0].care_plan == care_plan:
            self.turns[-1].append(job)
        else:
            self.turns.append([job])
        expected = self._open(job, WIDTH) if job in self.turns[0] else []
        assert (admission.verdict, list(admission.rings)) == (Admitted.ADMITTED, expected)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), holder=st.sampled_from("abcdefgh"))
    def claim(self, data: st.DataObject, holder: str) -> None:
        if any(lease.holder == holder for lease in self.leases.values()):
            return  # a process holds one chunk at a time
        with self._some(data) as (job, ref):
            answer = self.store.claim(ref, holder)
            lease = self.leases.get(ref)
            if ref.chunk_no in job.done:
                assert answer.verdict is Claimed.DONE
            elif ref not in self.due:
                assert (answer.verdict, answer.holder) == (Claimed.BUSY, "")
            elif lease and lease.until > self.now:
                assert (answer.verdict, answer.holder) == (Claimed.BUSY, lease.holder)
            else:
                if lease:
                    self.deaths[ref] = self.deaths.get(ref, 0) + 1
                assert answer.verdict is (Claimed.CANCEL if job.cancelling else Claimed.APPLY)
                assert answer.lease is not None
                assert answer.lease.history.deaths == self.deaths.get(ref, 0)
                self.leases[ref] = ModelLease(holder, self.now + LEASE, 0)
                self.due[ref] = self.now + LEASE

    @rule(holder=st.sampled_from("abcdefgh"))
    def bury(self, holder: str) -> None:
        held = next((ref for ref, lease in self.leases.items() if lease.holder == holder), None)
        buried = self.store.bury(holder)
        assert buried == (None if held is None else ("demo", held))
        if held is not None:
            self.deaths[held] = self.deaths.get(held, 0) + 1
            self.due[held] = self.now
            del self.leases[held]

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), goes_on=st.booleans())
    def complete(self, data: st.DataObject, goes_on: bool) -> None:
        ref = data.draw(st.sampled_from(sorted(self.leases, key=str)))
        job = next(job for job in self.jobs if job.job_id == ref.job_id)
        counts = {"cancelled": 1} if job.cancelling else {"updated": 1}
        holder = self.leases[ref].holder if goes_on else ""
        answer = self.store.complete(ref, Done(b"o", counts), holder)
        assert answer.verdict is Completed.KEPT
        job.done.add(ref.chunk_no)
        job.cancelled_items += job.cancelling
        del self.leases[ref], self.due[ref]
        expected = self._open(job, 1)
        if job.final:
            turn = next(turn for turn in self.turns if job in turn)
            turn.remove(job)
            if not turn:
                self.turns.remove(turn)
                expected += [ref for one in (self.turns or [[]])[0] if not one.opened for ref in self._open(one, WIDTH)]
        rings = list(answer.rings)
        if goes_on and expected:
            assert answer.following is not None
            following, claim = answer.following
            its_job = next(job for job in self.jobs if job.job_id == following.job_id)
            assert claim.verdict is (Claimed.CANCEL if its_job.cancelling else Claimed.APPLY)
            assert claim.lease is not None
            assert claim.lease.chunk == following
            rings.append(following)
            self.leases[following] = ModelLease(holder, self.now + LEASE, 0)
            self.due[following] = self.now + LEASE
        else:
            assert answer.following is None
        assert answer.shares == (len(self.turns[0]) if self.turns else 1)
        assert sorted(rings, key=str) == sorted(expected, key=str)
        again = self.store.complete(ref, Done(b"again", counts), holder)
        assert (again.verdict, again.rings) == (Completed.DONE, ())
        assert again.following == answer.following

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), after=st.integers(0, 5), stranger=st.booleans())
    def release(self, data: st.DataObject, after: int, stranger: bool) -> None:
        ref = data.draw(st.sampled_from(sorted(self.leases, key=str)))
        holder = "stranger" if stranger else self.leases[ref].holder
        self.store.release(ref, holder, Wait(timedelta(minutes=after)))
        if not stranger:
            del self.leases[ref]
            self.due[ref] = self.now + timedelta(minutes=after)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        verdict, rings = self.store.cancel(job.job_id)
        if job.final:
            assert (verdict, rings) == (Cancelled.FINAL, ())
        else:
            job.cancelling = True
            expected = [] if job.opened else self._open(job, WIDTH)
            assert (verdict, list(rings)) == (Cancelled.CANCELLING, expected)

    @rule()
    def sweep(self) -> None:
        rung = self.store.overdue("demo", 0)
        assert set(rung) == {ref for ref, at in self.due.items() if at <= self.now}
        self.due |= dict.fromkeys(rung, self.now + RING_AGAIN)

    @rule(minutes=st.sampled_from([1, 3, 20]))
    def time_goes_on(self, minutes: int) -> None:
        elapse(self.servers.redis_url, self.store, timedelta(minutes=minutes))
        self.now += timedelta(minutes=minutes)

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.due_count("demo") == len(self.due)
        assert sorted(self.store.holders()) == sorted(lease.holder for lease in self.leases.values())
        assert self.store.backlog("demo")[0] == sum(not job.final for job in self.jobs)
        assert self.store.pace("demo").open_items == sum(job.chunks - len(job.done) for job in self.jobs)
        for job in self.jobs:
            held = self.store.job(job.job_id)
            assert held.processed == len(job.done)
            assert held.counts["cancelled"] == job.cancelled_items
            assert held.state.final == job.final
            assert (held.state is State.CANCELLED) == (job.final and job.cancelled_items > 0)
        for turn in self.turns[:1]:
            for job in turn:
                open_now = sum(ref.job_id == job.job_id for ref in self.due)
                assert open_now == min(WIDTH, job.chunks - len(job.done)), "no chunk is forgotten"


@pytest.mark.timeout(300)
def test_the_verbs_in_any_order_do_what_the_model_says(servers: Services) -> None:
    JobStoreMachine.servers = servers
    run_state_machine_as_test(JobStoreMachine, settings=settings(max_examples=60, stateful_step_count=40))
