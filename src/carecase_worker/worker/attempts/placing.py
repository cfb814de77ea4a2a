"""Placing of jobs: a job waits only for earlier ones of other care plans that share a case with it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from carecase_worker.batches.key_sets import KeySet
from carecase_worker.clock import monotonic
from carecase_worker.store.lease_store import LeaseStore
from carecase_worker.store.operations.claims import Placement
from carecase_worker.store.queries.open_jobs import OpenJob, OpenJobs
from carecase_worker.worker.attempts.attempt import Applied

_ONE_BY_ONE = 32
"""Maximum number of single jobs that a job waits for; beyond it, it waits for all up to the newest of them."""
_COMPARES_FOR_S = 1.0
"""Seconds after which no further job is compared: those that are ready are placed."""

Sets = Mapping[str, KeySet | None]
"""The key set of each job by its id; None if it is unknown."""
_Overlap = tuple[OpenJob, KeySet | None]
"""An open job, and those of its keys that unplaced jobs of other care plans have, too; None if that is unknown."""
_Overlaps = list[_Overlap]


@dataclass(frozen=True, slots=True)
class Placer:
    """The placing of jobs, in one process."""

    leases: LeaseStore
    open_jobs: OpenJobs
    holder: str
    seconds: Callable[[], float] = monotonic

    def place(self, database: str, claims_until: float) -> Applied:
        """Place unplaced jobs of a database, as many as there is time for; until `claims_until`, claim the next work.

        Raises StoreUnavailable.
        """
        placed = list(self._placed_in_time(*self.open_jobs.unplaced(database)))
        holder = self.holder if self.seconds() < claims_until else ""
        completion = self.leases.place(database, placed, holder)
        return Applied("placed", database, 0, completion.to_notify, completion.following, completion.shares)

    def _placed_in_time(self, unplaced: Sequence[OpenJob], there: Sequence[OpenJob]) -> Iterator[Placement]:
        """Yield where jobs are placed, the oldest first, until the time is over; at least one, if there is any."""
        if not unplaced:  # another process placed them meanwhile
            return
        newest = max(job.seq for job in unplaced)
        earlier = [job for job in there if job.seq <= newest]
        sets = self.open_jobs.key_sets(earlier)
        began = self.seconds()
        for placement in placements(unplaced, earlier, sets):
            yield placement
            if self.seconds() - began >= _COMPARES_FOR_S:
                return


def placements(unplaced: Sequence[OpenJob], there: Sequence[OpenJob], sets: Sets) -> Iterator[Placement]:
    """Determine which of the open jobs, in order of acceptance, each unplaced job waits for. Pure.

    A placement is computed when the iterator is asked for it.
    """
    newest_first = there[::-1]
    any_case: _Overlaps = [(one, None) for one in newest_first]
    overlaps: _Overlaps = list(_overlaps(unplaced, newest_first, sets))
    for job in unplaced:
        keys = sets.get(job.job_id)
        earlier = _earlier(job, any_case, KeySet()) if keys is None else _earlier(job, overlaps, keys)
        waits = list(islice(earlier, _ONE_BY_ONE + 1))
        if len(waits) <= _ONE_BY_ONE:
            yield Placement(job.job_id, tuple(one.job_id for one in reversed(waits)))
        else:
            yield Placement(job.job_id, behind=waits[0].job_id)


def _overlaps(unplaced: Iterable[OpenJob], there: Iterable[OpenJob], sets: Sets) -> Iterator[_Overlap]:
    """Yield the open jobs that share, or may share, a case with an unplaced job of another care plan.

    All unplaced jobs are compared with an open one at once: thousands of them would be millions of pairs.
    """
    of_plans: dict[str, KeySet] = defaultdict(KeySet)
    for job in unplaced:
        of_plans[job.care_plan].add(sets.get(job.job_id) or KeySet())
    of_any, of_several = KeySet(), KeySet()
    for keys in of_plans.values():
        of_several.add(keys & of_any)
        of_any.add(keys)
    of_one = {care_plan: keys - of_several for care_plan, keys in of_plans.items()}
    for job in there:
        its = sets[job.job_id]
        if its is None:
            yield job, None
        elif its.meets(of_any):
            keys = (its & of_any) - of_one.get(job.care_plan, KeySet())
            if keys:
                yield job, keys


def _earlier(job: OpenJob, overlaps: _Overlaps, keys: KeySet) -> Iterator[OpenJob]:
    """Yield the earlier ones of some open jobs that have another care plan, and may have one of a job's keys."""
    for one, its in overlaps:
        if one.seq < job.seq and one.care_plan != job.care_plan and (its is None or its.meets(keys)):
            yield one
