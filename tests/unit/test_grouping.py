"""Things that are done together: each gets its own result, and nobody waits for company."""

import asyncio
from collections.abc import Sequence

import pytest

from carecase_worker.grouping import Grouping


class Doubling:
    """Doubles numbers, once it is let; a negative one is an error of its own, a thousand fails the whole group."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.begun = asyncio.Event()
        self.let = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> list[int | BaseException]:
        self.groups.append(list(numbers))
        self.begun.set()
        await self.let.wait()
        if 1000 in numbers:
            raise OSError
        return [ValueError(number) if number < 0 else 2 * number for number in numbers]


def test_what_comes_up_while_a_group_is_done_goes_next_in_order_and_together() -> None:
    async def run() -> None:
        do = Doubling()
        grouping = Grouping(do, most=3)
        first = asyncio.create_task(grouping.one(1))
        await do.begun.wait()
        assert do.groups == [[1]], "one that is alone does not wait for others"
        others = [asyncio.create_task(grouping.one(number)) for number in range(2, 7)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert do.groups == [[1]]
        do.let.set()
        assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10, 12]
        assert do.groups == [[1], [2, 3, 4], [5, 6]]
        assert await grouping.one(7) == 14

    asyncio.run(run())


def test_the_error_of_one_is_its_own_and_the_error_of_a_group_is_that_of_all_who_wait() -> None:
    async def run() -> None:
        do = Doubling()
        do.let.set()
        grouping = Grouping(do, most=3)
        results = await asyncio.gather(*(grouping.one(n) for n in (1, -1, 2, 1000, 3, 4, 5)), return_exceptions=True)
        assert [type(one) if isinstance(one, BaseException) else one for one in results] == [
            *(2, ValueError, 4),
            *(OSError, OSError, OSError),
            OSError,
        ]
        assert await grouping.one(6) == 12
        with pytest.raises(ValueError, match="-1"):
            await grouping.one(-1)

    asyncio.run(run())


def test_who_leaves_delays_nobody() -> None:
    async def run() -> None:
        do = Doubling()
        grouping = Grouping(do, most=3)
        leaving, staying = (asyncio.create_task(grouping.one(number)) for number in (1, 2))
        await do.begun.wait()
        leaving.cancel()
        do.let.set()
        assert await staying == 4
        with pytest.raises(asyncio.CancelledError):
            await leaving

    asyncio.run(run())


def test_who_waits_for_a_group_that_is_cancelled_waits_no_longer() -> None:
    async def cancelled(_: Sequence[int]) -> Sequence[int | BaseException]:
        raise asyncio.CancelledError

    async def run() -> None:
        waiting = asyncio.create_task(Grouping(cancelled, most=3).one(1))
        await asyncio.wait({waiting}, timeout=30)
        assert waiting.cancelled()

    asyncio.run(run())
