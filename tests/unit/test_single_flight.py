"""Single flight: one value for all who ask within a short time, made by one at a time."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from threading import Event, get_ident

import pytest
from anyio.to_thread import current_default_thread_limiter, run_sync

from carecase_worker.intake.limits.single_flight import SingleFlight

KEPT = timedelta(seconds=1)


class Time:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.moment = 100.0

    def __call__(self) -> float:
        return self.moment


def test_a_value_is_returned_for_as_long_as_it_is_kept_since_it_was_made() -> None:
    seconds, numbers = Time(), count()

    def slowly() -> int:
        seconds.moment += 5
        return next(numbers)

    async def asked() -> list[int]:
        results, flight = [], SingleFlight(slowly, KEPT, seconds)
        for later in (0.0, 0.999, 0.001, 0.999, 0.002):
            seconds.moment += later
            results.append(await flight())
        return results

    assert asyncio.run(asked()) == [0, 0, 1, 1, 2]


def test_however_many_ask_while_it_is_made_it_is_made_once_and_in_no_thread_of_theirs() -> None:
    go_on, numbers, seconds = Event(), count(), Time()

    def slowly() -> tuple[int, int]:
        assert go_on.wait(60)
        return next(numbers), get_ident()

    async def asked() -> list[tuple[int, int]]:
        flight = SingleFlight(slowly, KEPT, seconds)
        asking = [asyncio.create_task(flight()) for _ in range(1000)]
        await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(*asking)

    results = asyncio.run(asked())
    assert {number for number, _ in results} == {0}
    assert {thread for _, thread in results} != {get_ident()}


def test_what_fails_is_tried_again_by_who_asks_next() -> None:
    numbers: Callable[[], int] = count().__next__

    def failing_once() -> int:
        if (number := numbers()) == 0:
            raise ValueError("not yet")
        return number

    async def asked() -> list[int | BaseException]:
        flight = SingleFlight(failing_once, KEPT, Time())
        return await asyncio.gather(*(flight() for _ in range(3)), return_exceptions=True)

    first, *others = asyncio.run(asked())
    assert isinstance(first, ValueError)
    assert others == [1, 1]


@pytest.mark.parametrize("kept", [timedelta(0), timedelta(hours=1)])
def test_it_is_kept_as_long_as_is_said(kept: timedelta) -> None:
    numbers = count()

    async def asked() -> list[int]:
        flight = SingleFlight(numbers.__next__, kept)
        return [await flight() for _ in range(3)]

    assert asyncio.run(asked()) == ([0, 1, 2] if not kept else [0, 0, 0])


def test_it_is_made_while_all_threads_of_the_callers_are_taken() -> None:
    go_on = Event()

    async def asked() -> int:
        limiter = current_default_thread_limiter()
        limiter.total_tokens = 1
        async with asyncio.TaskGroup() as tasks:
            taken = tasks.create_task(run_sync(go_on.wait, 60))
            while limiter.available_tokens:
                await asyncio.sleep(0)
            try:
                return await asyncio.wait_for(SingleFlight(lambda: 7, KEPT)(), 30)
            finally:
                assert not taken.done()
                go_on.set()

    assert asyncio.run(asked()) == 7
