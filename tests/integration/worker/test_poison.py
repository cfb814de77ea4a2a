"""A chunk whose item kills the process: after three deaths only that item gets 500, and all others are applied."""

import os
import signal
from collections.abc import Callable, Collection
from datetime import timedelta
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.integration.worker.attempts import SteppedTargets, attempt, attempt_in_a_process
from tests.stores import Stores

from carecase_worker.batches.payloads import pack, unpack_done
from carecase_worker.cases.outcomes import CREATED, NOT_APPLIED, REFUSED
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.store.job import State
from carecase_worker.store.operations.claims import History
from carecase_worker.store.operations.isolation import Isolation
from carecase_worker.worker.attempts.poison import Rehearse, is_to_isolate, isolated_further, isolation_of

POISON = frozenset({13, 77})


def attempts_at_a_poisoned_chunk(store: Stores, place: Path, strict: bool) -> tuple[SteppedTargets, str]:
    """A hundred cases, some of which kill the process that writes them.

    Three attempts die, one finds the killers, and one applies the others.
    """

    def dies_of_poison(reached: str) -> None:
        if reached in {f"case {key}" for key in POISON}:
            os.kill(os.getpid(), signal.SIGKILL)

    targets = SteppedTargets(f"sqlite:///{place / 'cases.sqlite'}", dies_of_poison)
    targets.prepare()
    (chunk,) = chunks_of(a_batch(*(a_case(key) for key in range(100))))
    new = a_new_job(total=100, strict=strict)
    (ref,) = store.batches.admit(new, {0: pack(chunk)}).to_notify
    ends = [attempt_in_a_process(store, targets, ref, f"holder {n}") for n in range(5)]
    assert ends == [signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, 0, 0]
    return targets, new.job_id


@pytest.mark.parametrize("strict", [False, True])
def test_only_the_killers_are_refused(store: Stores, tmp_path: Path, strict: bool) -> None:
    targets, job_id = attempts_at_a_poisoned_chunk(store, tmp_path, strict)
    others, written = (NOT_APPLIED, 0) if strict else (CREATED, 98)
    job = store.jobs.job(job_id)
    assert (job.state, job.counts["created"], job.counts["failed"]) == (State.COMPLETED, written, 100 - written)
    (packed,) = store.jobs.outcomes(job_id, [0])
    assert packed is not None
    assert unpack_done(packed).outcomes == [REFUSED if key in POISON else others for key in range(100)]
    assert targets.rows("SELECT count(*) FROM care_case") == [(written,)]


TURN_S = 20.0
"""The time that one rehearsal takes by the clock of these tests, which counts instead of running."""


def each_reading_later() -> Callable[[], float]:
    """A clock that is a turn later at each reading, so that the work of an attempt does not depend on the machine."""
    return map(float, count(step=TURN_S)).__next__


def isolated(known: Isolation, rehearse: Rehearse, turns: int = 10_000) -> Isolation:
    """What is known after an attempt that has time for so many rehearsals."""
    return isolated_further(known, rehearse, (turns + 0.5) * TURN_S, each_reading_later())


def poison_items(count: int, rehearse: Rehearse) -> set[int]:
    """The killers, found in one attempt."""
    known = isolated(isolation_of(History(deaths=3), count), rehearse)
    assert not known.suspects
    return set(known.found)


@pytest.mark.parametrize("strict", [False, True])
def test_more_killers_than_an_attempt_can_find_are_found_by_several(
    store: Stores, tmp_path: Path, strict: bool
) -> None:
    """None of them takes the database for one that is away, and one after the other comes further."""
    killers = range(0, 40, 2)
    parent = os.getpid()

    def dies_of_poison(reached: str) -> None:
        if reached in {f"case {key}" for key in killers}:
            assert os.getpid() != parent, "a killer is to be written"
            os.kill(os.getpid(), signal.SIGKILL)

    targets = SteppedTargets(f"sqlite:///{tmp_path / 'cases.sqlite'}", dies_of_poison)
    targets.prepare()
    (chunk,) = chunks_of(a_batch(*(a_case(key) for key in range(40))))
    new = a_new_job(total=40, strict=strict)
    (ref,) = store.batches.admit(new, {0: pack(chunk)}).to_notify
    for number in range(3):
        store.leases.claim(ref, f"victim {number}")
        store.leases.reclaim(f"victim {number}")
    time_for_five: dict[str, Any] = {"seconds": each_reading_later(), "isolates_for": timedelta(seconds=5.5 * TURN_S)}
    verdicts = [attempt(store, targets, ref, "worker", **time_for_five).verdict]
    while verdicts[-1] != "kept":
        assert len(verdicts) < 100
        verdicts.append(attempt(store, targets, ref, "worker", **time_for_five).verdict)
    assert set(verdicts[:-1]) == {"released: isolating"}
    assert len(verdicts) > 5
    (packed,) = store.jobs.outcomes(new.job_id, [0])
    assert packed is not None
    others = NOT_APPLIED if strict else CREATED
    assert unpack_done(packed).outcomes == [REFUSED if key in killers else others for key in range(40)]
    assert store.workload.trouble("demo") is None


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))), st.integers(1, 5))
@settings(max_examples=10)
def test_each_attempt_comes_further(count_and_poison: tuple[int, set[int]], turns: int) -> None:
    count, poison = count_and_poison
    known, attempts = isolation_of(History(deaths=3), count), 0
    while known.suspects:
        before, known = known, isolated(known, _dies_of(poison), turns)
        assert known != before
        attempts += 1
    assert set(known.found) == poison
    assert attempts <= 2 * count


def test_after_another_death_the_search_begins_again_and_keeps_what_was_found() -> None:
    known = isolated(isolation_of(History(deaths=3), 8), _dies_of({3}))
    assert is_to_isolate(History(deaths=3))
    assert not is_to_isolate(History(deaths=3, isolation=known))
    again = History(deaths=4, isolation=known)
    assert is_to_isolate(again)
    assert isolated(isolation_of(again, 8), _dies_of({3, 5})) == Isolation(4, (3, 5))


def _dies_of(poison: Collection[int]) -> Callable[[Collection[int]], None]:
    def rehearse(places: Collection[int]) -> None:
        if set(places) & set(poison):
            os.kill(os.getpid(), signal.SIGKILL)

    return rehearse


@settings(max_examples=25)
@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=4))))
def test_exactly_the_killers_are_found(count_and_poison: tuple[int, set[int]]) -> None:
    count, poison = count_and_poison
    assert poison_items(count, _dies_of(poison)) == poison


def test_a_database_that_is_away_makes_nobody_a_killer() -> None:
    def away(_: Collection[int]) -> None:
        raise TargetFailure(FailureKind.AWAY)

    with pytest.raises(TargetFailure):
        poison_items(10, away)


def test_few_processes_are_spent_on_a_killer() -> None:
    """Two for each time that a thousand is halved, and one more."""
    reader, writer = os.pipe()
    dies = _dies_of({613})

    def counted(places: Collection[int]) -> None:
        os.write(writer, b".")
        dies(places)

    assert poison_items(1000, counted) == {613}
    os.close(writer)
    assert len(os.read(reader, 4096)) <= 21
    os.close(reader)


def test_an_item_over_which_a_process_ends_in_any_way_is_a_killer() -> None:
    def ends(places: Collection[int]) -> None:
        if 3 in places:
            os._exit(7)

    assert poison_items(8, ends) == {3}


def test_if_memory_runs_out_it_is_the_rehearsal_that_dies() -> None:
    def dies_unless_first(_: Collection[int]) -> None:
        if Path("/proc/self/oom_score_adj").read_text().strip() != "1000":
            os.kill(os.getpid(), signal.SIGKILL)

    before = Path("/proc/self/oom_score_adj").read_text()
    assert poison_items(1, dies_unless_first) == set()
    assert Path("/proc/self/oom_score_adj").read_text() == before


def hangs(_: Collection[int]) -> None:
    signal.pause()


def test_a_rehearsal_that_comes_to_no_end_is_ended_with_the_time_of_the_search() -> None:
    """With all of the time for itself it is tried by halves from then on; one item that hangs counts as no killer."""
    reader, writer = os.pipe()
    children = set(psutil.Process().children())
    known = isolation_of(History(deaths=3), 2)
    for suspects in [((1, 2), (0, 1)), ((1, 2),), ()]:
        known = isolated_further(known, hangs, 0.1, monotonic)
        assert known == Isolation(3, (), suspects)
    os.close(writer)
    assert os.read(reader, 1) == b"", "nobody has the other end open any more"
    os.close(reader)
    assert set(psutil.Process().children()) <= children, "its process is reaped, or a worker would gather them"


def test_what_was_found_is_not_lost_if_a_later_rehearsal_fails_or_hangs() -> None:
    """The next attempt begins with that one: it has all of the time then, and the failure counts."""

    def fails_over_5(places: Collection[int]) -> None:
        if 1 in places:
            os.kill(os.getpid(), signal.SIGKILL)
        if 5 in places:
            raise TargetFailure(FailureKind.AWAY)

    known = isolated(isolation_of(History(deaths=3), 8), fails_over_5)
    assert known == Isolation(3, (1,), ((4, 8),))
    with pytest.raises(TargetFailure):
        isolated(known, fails_over_5)


class _Over(Exception):
    """The attempt is interrupted."""


def test_a_rehearsal_is_over_with_an_attempt_that_is_interrupted() -> None:
    children = set(psutil.Process().children())

    def over(*_: object) -> None:
        raise _Over

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, 2)  # longer than a fork takes on any machine
    try:
        with pytest.raises(_Over):
            poison_items(10, hangs)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert set(psutil.Process().children()) <= children
