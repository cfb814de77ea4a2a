"""A chunk whose item kills the process: after three deaths only that item gets 500, and all others are applied."""

import os
import signal
from collections.abc import Callable, Collection
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.integration.worker.attempts import SteppedTargets, attempt_in_a_process
from tests.stores import Stores

from carecase_worker.batches.payloads import pack, unpack_done
from carecase_worker.cases.outcomes import CREATED, NOT_APPLIED, REFUSED
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.store.job import State
from carecase_worker.worker.attempts.poison import poison_items

POISON = frozenset({13, 77})


def attempts_at_a_poisoned_chunk(store: Stores, place: Path, strict: bool) -> tuple[SteppedTargets, str]:
    """A hundred cases, some of which kill the process that writes them; three attempts that die, and the fourth."""

    def dies_of_poison(reached: str) -> None:
        if reached in {f"case {key}" for key in POISON}:
            os.kill(os.getpid(), signal.SIGKILL)

    targets = SteppedTargets(f"sqlite:///{place / 'cases.sqlite'}", dies_of_poison)
    targets.prepare()
    (chunk,) = chunks_of(a_batch(*(a_case(key) for key in range(100))))
    new = a_new_job(total=100, strict=strict)
    (ref,) = store.batches.admit(new, {0: pack(chunk)}).to_notify
    ends = [attempt_in_a_process(store, targets, ref, f"holder {n}") for n in range(4)]
    assert ends == [signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, 0]
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


class _Over(Exception):
    """The deadline of the attempt has come."""


def test_a_rehearsal_that_comes_to_no_end_is_over_with_the_attempt() -> None:
    reader, writer = os.pipe()
    children = set(psutil.Process().children())

    def hangs(_: Collection[int]) -> None:
        signal.pause()

    def over(*_: object) -> None:
        raise _Over

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, 2)  # longer than a fork takes on any machine
    try:
        with pytest.raises(_Over):
            poison_items(10, hangs)
    finally:
        signal.signal(signal.SIGALRM, before)
    os.close(writer)
    assert os.read(reader, 1) == b"", "nobody has the other end open any more"
    os.close(reader)
    assert set(psutil.Process().children()) <= children, "its process is reaped, or a worker would gather them"
