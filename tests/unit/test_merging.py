"""Chunks of a group become one plan, which passes them on whole if no case is in two of them."""

from typing import Any
from uuid import uuid4

from tests.builders import a_batch, a_case, a_lease

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import CREATED, UPDATED
from carecase_worker.targets.plan import WaveOfChunks, WaveOfRows, WritePlan, key_of
from carecase_worker.targets.tables import VERSION
from carecase_worker.targets.writing.merging import apart, as_one
from carecase_worker.worker.attempts.planning import plan_chunk


def plan_of(seq: int, *cases: dict[str, Any]) -> WritePlan:
    return plan_chunk(Chunk(0, len(cases), a_batch(*cases)), a_lease(uuid4(), seq=seq))


def test_chunks_without_a_case_in_common_are_one_statement_of_their_own_texts() -> None:
    (wave,) = as_one([plan_of(1, a_case(1), a_case(2)), plan_of(2, a_case(3))]).waves
    assert isinstance(wave, WaveOfChunks)
    assert list(wave.keys) == [1, 2, 3]


def test_case_by_case_they_are_written_in_the_order_of_their_keys_nevertheless() -> None:
    """Two groups that lock the same cases in another order would lock each other out."""
    (wave,) = as_one([plan_of(1, a_case(4), a_case(2)), plan_of(2, a_case(3), a_case(1))]).waves
    assert [(entry.place, key_of(entry)) for entry in wave.entries()] == [(3, 1), (1, 2), (2, 3), (0, 4)]


def test_a_case_of_two_chunks_is_written_in_the_order_of_acceptance() -> None:
    plan = as_one([plan_of(2, a_case(1), a_case(2)), plan_of(1, a_case(2), a_case(3))])
    assert [type(wave) for wave in plan.waves] == [WaveOfRows, WaveOfRows]
    first, second = ([(entry.place, key_of(entry)) for entry in wave.entries()] for wave in plan.waves)
    assert first == [(0, 1), (2, 2), (3, 3)]
    assert second == [(1, 2)]
    versions = [entry.row[VERSION] for wave in plan.waves for entry in wave.entries() if key_of(entry) == 2]
    assert versions == sorted(versions)


def test_a_chunk_with_an_item_that_is_not_valid_is_written_case_by_case_and_so_are_the_others() -> None:
    plan = as_one([plan_of(1, a_case(1)), plan_of(2, a_case(2), a_case(3, case_Priority="x"))])
    (wave,) = plan.waves
    assert isinstance(wave, WaveOfRows)
    assert [entry.place for entry in wave.entries()] == [0, 1]
    assert [outcome is None for outcome in plan.decided] == [True, True, False]


def test_outcomes_of_all_are_split_into_those_of_each() -> None:
    plans = [plan_of(1, a_case(1), a_case(2)), plan_of(2, a_case(3))]
    assert apart([CREATED, UPDATED, CREATED], plans) == [[CREATED, UPDATED], [CREATED]]
