"""Ids of events, and the wake-ups of listeners: what was sent is named, what changes at once is one change."""

import asyncio
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW

from carecase_worker.errors import BatchRefused
from carecase_worker.intake.jobs.cursors import LastEnds, chunks_of, cursor_of
from carecase_worker.store.listening.followers import Followers

JOB, OTHER = "019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77", "019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a78"


@given(st.sets(st.integers(0, 60)))
def test_an_id_names_the_chunks_that_were_sent(chunks: set[int]) -> None:
    assert chunks_of(cursor_of(chunks), 61) == chunks


def test_an_id_names_the_chunks_of_a_job_of_millions() -> None:
    chunks = {*range(99_999, 100_002), 9_999_999}
    assert chunks_of(cursor_of(chunks), 10_000_000) == chunks


@pytest.mark.parametrize(
    ("chunks", "cursor"), [(set(), "none"), ({3}, "3"), ({0, 1, 2}, "0-2"), ({0, 1, 2, 4, 9, 8}, "0-2,4,8-9")]
)
def test_ranges_keep_it_short(chunks: set[int], cursor: str) -> None:
    assert cursor_of(chunks) == cursor


@pytest.mark.parametrize("cursor", ["", "-", "1-", "-1", "0-10", "10", "2-1", "1,1", "3,0", "0-5,5", "a", "0;1", "0,"])
def test_an_id_that_no_stream_has_sent_is_refused(cursor: str) -> None:
    with pytest.raises(BatchRefused):
        chunks_of(cursor, 10)


@pytest.mark.parametrize("job_ids", [(), (JOB,), (JOB, OTHER)])
@pytest.mark.parametrize("since", [None, NOW])
def test_the_last_ends_are_named_by_time_and_jobs(job_ids: tuple[str, ...], since: datetime | None) -> None:
    end = LastEnds(NOW + timedelta(microseconds=1), job_ids, since)
    assert LastEnds.of(str(end)) == end


def test_a_stream_that_goes_on_looks_back_a_little_but_not_to_before_the_first_one() -> None:
    ends = LastEnds.from_now_on(NOW)
    assert ends.look_from == NOW
    ends = LastEnds.of(str(ends.with_end(NOW + timedelta(seconds=2), JOB)))
    assert ends.look_from == NOW
    ends = LastEnds.of(str(ends.with_end(NOW + timedelta(seconds=1), OTHER)))
    assert (ends.moment, ends.job_ids) == (NOW + timedelta(seconds=2), (JOB, OTHER))
    ends = LastEnds.of(str(ends.with_end(NOW + timedelta(seconds=60), JOB)))
    assert ends.look_from == NOW + timedelta(seconds=55)


def test_an_id_does_not_grow_with_the_ends() -> None:
    ends = LastEnds.from_now_on(NOW)
    jobs = [f"{number:08x}{JOB[8:]}" for number in range(1000)]
    for job_id in jobs:
        ends = ends.with_end(NOW, job_id)
    assert len(str(ends)) < 1000
    assert ends.job_ids == tuple(jobs[-20:]), "those that a look back would find once more"
    assert LastEnds.of(str(ends)) == ends


@pytest.mark.parametrize(
    "cursor",
    ["", "1", "x-", f"-{JOB}", f"1-{JOB}x", "1-1", "9" * 17 + "-", f"1-{JOB},", f"1-,{JOB}", "1-@", f"1-{JOB}@x"],
)
def test_another_one_is_refused(cursor: str) -> None:
    with pytest.raises(BatchRefused):
        LastEnds.of(cursor)


def test_a_listener_of_a_clients_jobs_hears_nothing_of_another_clients() -> None:
    followers = Followers()
    with followers.of_client("ann") as follower:
        followers.wake(OTHER, "bob", final=True)
        assert not asyncio.run(follower.turn(timedelta(0), timedelta(0)))
        followers.wake(JOB, "ann", final=True)
        assert asyncio.run(follower.turn(timedelta(seconds=5), timedelta(0)))
        assert follower.take() == ({JOB}, False)


def test_a_listener_that_is_slow_is_woken_once_and_does_not_grow() -> None:
    followers = Followers()
    with followers.of_client("ann") as follower:
        for number in range(2000):
            followers.wake(str(number), "ann", final=number % 2 == 0)
        assert asyncio.run(follower.turn(timedelta(seconds=5), timedelta(0)))
        jobs, missed = follower.take()
        assert (len(jobs), missed) == (1000, True), "it must find out for itself"
        assert not asyncio.run(follower.turn(timedelta(0), timedelta(0)))
    assert not followers


@pytest.mark.parametrize(
    ("of_job", "final", "pause_s"), [(True, True, 600.0), (True, False, 0.05), (False, True, 0.05)]
)
def test_the_end_of_the_job_that_is_followed_is_not_waited_for_and_all_else_is(
    of_job: bool, final: bool, pause_s: float
) -> None:
    """Many jobs of a client may end within a second: its listener looks once."""

    async def waited() -> float:
        followers, loop = Followers(), asyncio.get_running_loop()
        with followers.of_job(JOB) if of_job else followers.of_client("ann") as follower:
            followers.wake(JOB, "ann", final)
            began = loop.time()
            assert await follower.turn(timedelta(seconds=600), timedelta(seconds=pause_s))
            return loop.time() - began

    assert (asyncio.run(waited()) >= pause_s) is not (of_job and final)
