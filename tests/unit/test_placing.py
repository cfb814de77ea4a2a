"""The earlier batches that each batch waits for: compared with the definition, on plain sets."""

from array import array
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.batches.key_sets import KeySet
from carecase_worker.store.operations.claims import Placement
from carecase_worker.store.queries.open_jobs import OpenJob
from carecase_worker.worker.attempts.placing import placements

PLANS = st.sampled_from(["", "5", "6"])
SETS = st.none() | st.sets(st.integers(0, 20), max_size=3)
JOBS = st.lists(st.tuples(PLANS, SETS, st.booleans()), max_size=12)


def as_set(keys: set[int] | None) -> KeySet | None:
    return None if keys is None else KeySet(array("I", keys))


@given(JOBS)
def test_a_batch_waits_for_earlier_ones_of_other_care_plans_that_share_a_case(
    jobs: list[tuple[str, set[int] | None, bool]],
) -> None:
    """One of which nobody knows the cases shares some with all."""
    there = [OpenJob(str(seq), seq, care_plan) for seq, (care_plan, _, _) in enumerate(jobs)]
    keys = {str(seq): held for seq, (_, held, _) in enumerate(jobs)}
    wanted = [job for job, (_, _, is_unplaced) in zip(there, jobs, strict=True) if is_unplaced]

    def meet(one: str, other: str) -> bool:
        mine, its = keys[one], keys[other]
        return mine is None or its is None or bool(mine & its)

    placed = placements(wanted, there, {name: as_set(held) for name, held in keys.items()})
    assert [(one.job_id, set(one.after), one.behind) for one in placed] == [
        (
            job.job_id,
            {
                o.job_id
                for o in there
                if o.seq < job.seq and o.care_plan != job.care_plan and meet(job.job_id, o.job_id)
            },
            "",
        )
        for job in wanted
    ]


def test_for_many_it_waits_up_to_the_newest_of_them() -> None:
    there = [OpenJob(str(seq), seq, "5" if seq < 40 else "6") for seq in range(42)]
    sets = {job.job_id: as_set({1} if job.seq < 33 else {2}) for job in there} | {"40": as_set({1}), "41": as_set({2})}
    assert list(placements(there[40:], there, sets)) == [
        Placement("40", behind="32"),
        Placement("41", after=tuple(str(seq) for seq in range(33, 40))),
    ]


@pytest.mark.parametrize(("earlier", "named"), [(32, 32), (33, 0)])
def test_up_to_32_are_waited_for_one_by_one(earlier: int, named: int) -> None:
    there = [*(OpenJob(str(seq), seq, "5") for seq in range(earlier)), OpenJob("new", earlier, "6")]
    (placed,) = placements(there[-1:], there, {job.job_id: as_set({1}) for job in there})
    assert (len(placed.after), placed.behind) == (named, "" if named else "32")


def test_one_that_has_ended_meanwhile_waits_for_nothing() -> None:
    (placed,) = placements([OpenJob("gone", 0, "")], [OpenJob("1", 1, "5")], {"1": None})
    assert placed == Placement("gone")


class Compared(KeySet):
    """A set that counts how often one is compared with another, or with the union of some."""

    times = 0

    def meets(self, other: KeySet) -> bool:
        Compared.times += 1
        return super().meets(other)


def a_backlog(keys_of: Callable[[int], list[int]]) -> tuple[list[OpenJob], dict[str, KeySet | None]]:
    """Five hundred open jobs of as many care plans, of which the last two hundred are unplaced, and their sets."""
    Compared.times = 0
    there = [OpenJob(str(seq), seq, str(seq)) for seq in range(1, 501)]
    return there, {job.job_id: Compared(array("I", keys_of(job.seq))) for job in there}


def test_a_backlog_of_jobs_that_share_no_case_costs_a_comparison_each_not_one_for_each_pair() -> None:
    there, sets = a_backlog(lambda seq: [seq, 1_000 + seq])
    assert list(placements(there[300:], there, sets)) == [Placement(job.job_id) for job in there[300:]]
    assert Compared.times <= len(there)


def test_a_job_that_waits_for_all_earlier_ones_is_not_compared_with_each_of_them() -> None:
    there, sets = a_backlog(lambda seq: [seq, 1_000])
    assert [one.behind for one in placements(there[300:], there, sets)] == [job.job_id for job in there[299:-1]]
    assert Compared.times <= len(there) + 200 * 33


def test_of_two_care_plans_each_with_cases_of_its_own_no_job_is_compared_with_another_one() -> None:
    there, sets = a_backlog(lambda seq: [seq % 2])
    there = [OpenJob(job.job_id, job.seq, str(job.seq % 2)) for job in there]
    assert list(placements(there[300:], there, sets)) == [Placement(job.job_id) for job in there[300:]]
    assert Compared.times <= len(there)
