"""Batches of several care plans, with cases in common or not: all is as if applied in order of acceptance."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from math import inf
from random import Random
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from tests.builders import a_case
from tests.chaos.replay import Found, Sent, compare
from tests.integration.worker.attempts import SteppedTargets, an_applier
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkLimits, ChunkRef
from carecase_worker.batches.payloads import unpack_done
from carecase_worker.cases.outcomes import OTHER_CARE_PLAN
from carecase_worker.clock import NEVER
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.operations.claims import Claimed, RetryLater
from carecase_worker.store.pending_batch import Admissions, Sender
from carecase_worker.store.queries.open_jobs import OpenJobs
from carecase_worker.worker.attempts.attempt import Applied
from carecase_worker.worker.attempts.group import members_of, run_group
from carecase_worker.worker.attempts.placing import Placer

AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Tenant:
    """A database with an intake and workers, of which each does one thing at a time."""

    store: Stores
    redis: RedisSettings
    targets: SteppedTargets
    packers: ThreadPoolExecutor
    sent: list[Sent]
    to_notify: list[ChunkRef]

    def accept(self, care_plan: int | None, *cases: dict[str, Any]) -> str:
        admissions = Admissions(self.store.batches, ChunkLimits(4, 10_000, 10_000), 1_000, self.packers)
        draft = admissions.draft(Sender("demo", "demo", "demo", care_plan), uuid4())
        draft.add([msgspec.Raw(msgspec.json.encode(case)) for case in cases])
        admission = draft.admit("0" * 64)
        self.to_notify += admission.to_notify
        seq = self.store.jobs.job(admission.job_id).seq
        self.sent.append(Sent(admission.job_id, AT, AT, "demo", care_plan, cases, seq=seq))
        return admission.job_id

    def work(self, ref: ChunkRef, holder: str, go_on: bool) -> None:
        """Answer a notification as a pool process does."""
        applier = an_applier(self.store, self.targets, holder, lambda _: False)
        placer = Placer(self.store.leases, OpenJobs(self.store.client), holder)
        claims = applier.claim(ref)
        while claims:
            if claims[0][1].verdict is Claimed.UNPLACED:
                applied = placer.place("demo", inf if go_on else NEVER)
            else:
                members = members_of(claims)
                applied = run_group(applier, members, inf if go_on else NEVER) if members else Applied("")
            self.to_notify += applied.to_notify
            claims = applied.following

    def finish(self, random: Random) -> None:
        """Answer notifications in any order, until each job is final."""
        while self.to_notify or self.store.workload.due_count("demo"):
            if not self.to_notify:
                self.to_notify += self.store.leases.overdue("demo", 0)
                continue
            ref = self.to_notify.pop(random.randrange(len(self.to_notify)))
            self.work(ref, f"w:{random.randrange(3)}", random.random() < 0.7)

    def state(self, job_id: str) -> str:
        return self.store.jobs.job(job_id).state.value

    def found(self) -> Found:
        results = {}
        for sent in self.sent:
            chunks = range(len(self.store.jobs.job(sent.job_id).chunk_firsts))
            chunk_results = [
                unpack_done(packed) for packed in self.store.jobs.outcomes(sent.job_id, chunks) if packed is not None
            ]
            results[sent.job_id] = [
                (key, outcome.kind.status, outcome.body)
                for done in chunk_results
                for key, outcome in zip(done.keys, done.outcomes, strict=True)
            ]
        rows = self.targets.rows("SELECT case_key, careplan_key, case_id, entry_user FROM care_case")
        written = {
            (key, sent.seq << 20 | place)
            for sent in self.sent
            for place, (key, _, body) in enumerate(results[sent.job_id])
            if body in ("Created", "Updated")
        }  # which version is written is for tests/integration/targets to hold
        return Found({row[0]: tuple(row[1:]) for row in rows}, results, written)


@pytest.fixture
def tenant(servers: Services) -> Iterator[Tenant]:
    prefix = f"order-{uuid4()}:"
    store = servers.store(prefix, width=2, renotify_after_seconds=0.001)
    store.leases.settle("demo", 0)
    targets = SteppedTargets(servers.postgres_url)
    targets.prepare()
    with ThreadPoolExecutor(2) as packers:
        yield Tenant(store, RedisSettings(url=servers.redis_url, prefix=prefix), targets, packers, [], [])
    targets.engine.dispose()


@pytest.mark.parametrize("seed", range(12))
def test_every_answer_is_that_of_applying_batches_in_order_of_acceptance(tenant: Tenant, seed: int) -> None:
    random = Random(seed)
    for number in range(25):
        care_plan = random.choice([None, 5, 5, 6])
        cases = [
            a_case(
                random.randint(1, 12),
                carePlan_Key=random.choice([5, 6]) if care_plan is None or random.random() < 0.1 else care_plan,
                case_ID=f"{number}.{place}",
            )
            for place in range(random.choice([1, 1, 2, 6]))
        ]
        tenant.accept(care_plan, *cases)
        if tenant.to_notify and random.random() < 0.5:
            tenant.work(tenant.to_notify.pop(0), "w:0", random.random() < 0.5)
    tenant.finish(random)
    assert {tenant.state(sent.job_id) for sent in tenant.sent} == {"completed"}
    verdict = compare(tenant.sent, tenant.found(), "demo")
    assert (verdict.lost, verdict.stale, verdict.wrong) == (0, 0, 0), verdict.details


def test_a_batch_that_shares_no_case_does_not_wait(tenant: Tenant) -> None:
    earlier = tenant.accept(5, *(a_case(key) for key in range(40)))
    apart, meeting = (tenant.accept(6, a_case(key, carePlan_Key=6)) for key in (100, 7))
    for ref in tenant.to_notify:  # also those that come meanwhile
        if ref.job_id != earlier:
            tenant.work(ref, "w:1", go_on=False)
    assert (tenant.state(earlier), tenant.state(apart), tenant.state(meeting)) == ("queued", "completed", "queued")
    tenant.finish(Random(0))
    assert tenant.state(meeting) == "completed"


def test_who_waits_for_a_batch_that_is_cancelled_waits_for_what_was_before_it_too(tenant: Tenant) -> None:
    first = tenant.accept(5, a_case(1))
    taken = tenant.store.leases.claim(ChunkRef(first, 0), "w:2").lease
    cancelled = tenant.accept(6, a_case(1, carePlan_Key=6))
    last = tenant.accept(7, a_case(1, carePlan_Key=7))
    tenant.work(ChunkRef(cancelled, 0), "w:1", go_on=False)
    tenant.to_notify += tenant.store.jobs.cancel(cancelled)[1]
    for ref in [notify for notify in tenant.to_notify if notify.job_id != first]:
        tenant.work(ref, "w:1", go_on=False)
    assert (tenant.state(first), tenant.state(cancelled), tenant.state(last)) == ("running", "cancelled", "queued")
    assert taken is not None
    tenant.store.leases.release([taken.chunk], "w:2", RetryLater(timedelta(0), counts_toward_deadline=False))
    tenant.finish(Random(0))
    assert [one[1:] for one in tenant.found().results[last]] == [(409, OTHER_CARE_PLAN.body)]


def test_a_process_that_comes_when_another_one_has_placed_the_jobs_finds_nothing_to_place(tenant: Tenant) -> None:
    waits_for = tenant.accept(5, a_case(1))
    tenant.accept(6, a_case(1, carePlan_Key=6))
    placers = [Placer(tenant.store.leases, OpenJobs(tenant.store.client), holder) for holder in ("w:1", "w:2")]
    first, second = (placer.place("demo", inf) for placer in placers)
    assert [notified.job_id for notified in (*first.to_notify, *(ref for ref, _ in first.following))] == [waits_for]
    assert second.verdict == "placed"
    tenant.finish(Random(0))
    assert {tenant.state(sent.job_id) for sent in tenant.sent} == {"completed"}


@pytest.mark.parametrize(("claims_until", "claimed"), [(inf, True), (NEVER, False)])
def test_a_process_whose_time_is_over_places_jobs_and_leaves_their_chunks_to_others(
    tenant: Tenant, claims_until: float, claimed: bool
) -> None:
    tenant.accept(5, a_case(1))
    tenant.accept(6, a_case(2, carePlan_Key=6))
    placed = Placer(tenant.store.leases, OpenJobs(tenant.store.client), "w:1").place("demo", claims_until)
    assert (tenant.store.leases.holders(), bool(placed.following)) == ((["w:1"], True) if claimed else ([], False))
    assert bool(placed.to_notify) is not claimed


def test_jobs_for_which_there_is_no_time_left_are_placed_by_the_next_call(tenant: Tenant) -> None:
    """Each call takes longer than it may: it goes as far as one job, and the next one goes on from there."""
    tenant.accept(5, a_case(1))
    jobs = [tenant.accept(care_plan, a_case(care_plan, carePlan_Key=care_plan)) for care_plan in (6, 7, 8)]
    open_jobs, hours = OpenJobs(tenant.store.client), count(0, 3600)
    placer = Placer(tenant.store.leases, open_jobs, "w:1", seconds=lambda: next(hours))
    left = []
    for _ in jobs:
        placer.place("demo", NEVER)
        left.append([job.job_id for job in open_jobs.unplaced("demo")[0]])
    assert left == [jobs[1:], jobs[2:], []]


def test_jobs_are_placed_at_once_while_there_is_time(tenant: Tenant) -> None:
    tenant.accept(5, a_case(1))
    for care_plan in (6, 7, 8):
        tenant.accept(care_plan, a_case(care_plan, carePlan_Key=care_plan))
    open_jobs = OpenJobs(tenant.store.client)
    Placer(tenant.store.leases, open_jobs, "w:1", seconds=lambda: 0.0).place("demo", NEVER)
    assert open_jobs.unplaced("demo")[0] == []
