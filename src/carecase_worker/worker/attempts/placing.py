"""Placing of jobs: a job waits only for earlier ones of other care plans that share a case with it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from carecase_worker.batches.key_sets import KeySet
from carecase_worker.store.lease_store import LeaseStore
from carecase_worker.store.operations.claims import Placement
from carecase_worker.store.queries.open_jobs import OpenJob, OpenJobs
from carecase_worker.worker.attempts.attempt import Applied

_ONE_BY_ONE = 32
"""Maximum number of single jobs that a job waits for; beyond it, it waits for all up to the newest of them."""

Sets = Mapping[str, KeySet | None]
"""The key set of each job by its id; None if it is unknown."""


@dataclass(frozen=True, slots=True)
class Placer:
    """The placing of jobs, in one process."""

    leases: LeaseStore
    open_jobs: OpenJobs
    holder: str

    def place(self, database: str) -> Applied:
        """Place the unplaced jobs of a database; claim the next work. Raises StoreUnavailable."""
        unplaced, there = self.open_jobs.unplaced(database)
        # another process may have placed them meanwhile
        placed = placements(unplaced, there, self.open_jobs.key_sets(there)) if unplaced else []
        completion = self.leases.place(database, placed, self.holder)
        return Applied("placed", database, 0, completion.to_notify, completion.following, completion.shares)


def placements(unplaced: Iterable[OpenJob], there: Sequence[OpenJob], sets: Sets) -> list[Placement]:
    """Determine which open jobs each unplaced job waits for, in order of acceptance. Pure."""
    by_plan = _by_plan(there, sets)
    placed = []
    for job in unplaced:
        meeting = _meeting(job, by_plan, sets) if job.job_id in sets else ()
        earlier = [one for one in meeting if one.seq < job.seq]
        if len(earlier) <= _ONE_BY_ONE:
            placed.append(Placement(job.job_id, tuple(one.job_id for one in earlier)))
        else:
            placed.append(Placement(job.job_id, behind=max(earlier, key=lambda one: one.seq).job_id))
    return placed


@dataclass(frozen=True, slots=True)
class _Plan:
    """The open jobs of one care plan: those with small sets, the union of these sets, and the others."""

    small: list[OpenJob]
    keys: KeySet
    others: list[OpenJob]


def _by_plan(there: Iterable[OpenJob], sets: Sets) -> dict[str, _Plan]:
    plans: dict[str, _Plan] = defaultdict(lambda: _Plan([], KeySet(), []))
    for job in there:
        keys, plan = sets[job.job_id], plans[job.care_plan]
        if keys is not None and keys.is_small:
            plan.small.append(job)
            plan.keys.add(keys)
        else:
            plan.others.append(job)
    return plans


def _meeting(job: OpenJob, by_plan: Mapping[str, _Plan], sets: Sets) -> Iterator[OpenJob]:
    """Yield the open jobs of other care plans that share, or may share, a case with a job."""
    keys = sets[job.job_id]
    for care_plan, plan in by_plan.items():
        if care_plan == job.care_plan:
            continue
        if keys is None:
            yield from (*plan.small, *plan.others)
            continue
        if keys.meets(plan.keys):
            yield from (one for one in plan.small if _meet(keys, sets[one.job_id]))
        yield from (one for one in plan.others if _meet(keys, sets[one.job_id]))


def _meet(keys: KeySet, other: KeySet | None) -> bool:
    return other is None or keys.meets(other)
