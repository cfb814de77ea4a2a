"""ClientThreads: so many threads for each who asks; so much processor time for each client, while there are others."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from gc import collect
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.intake.own_time import elapse, in_own_time, settle

from carecase_worker.intake.limits.threads import ClientThreads, Processor, ProcessorTime, Threads, some_of
from carecase_worker.settings.sections.intake import IntakeSettings

SHARE, BURST_S = 0.5, 10.0
WORTH_BYTES = 64 << 10


@pytest.mark.parametrize(
    ("spent_s", "elapsed_s", "wait_s"),
    [
        (BURST_S - 1, 0, 0.0),
        (BURST_S, 0, 0.0),
        (BURST_S + 1, 0, 2.0),
        (BURST_S + 1, 0.5, 1.5),
        (BURST_S + 1, 2, 0.0),
        (BURST_S + 1, 1000, 0.0),
        (50 * BURST_S, 0, 980.0),
    ],
)
def test_what_is_beyond_the_burst_is_waited_for(spent_s: float, elapsed_s: float, wait_s: float) -> None:
    time = ProcessorTime(SHARE, BURST_S)
    time.spend(spent_s, 5000.0)
    assert time.wait(5000.0 + elapsed_s) == pytest.approx(wait_s, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0.01, 3 * BURST_S), st.floats(0, 20)), min_size=1, max_size=30))
def test_who_waits_has_no_more_than_the_burst_and_the_share(spendings: list[tuple[float, float]]) -> None:
    """However it is spent, whoever waits before each time has had at most that; the last one may exceed it."""
    time, now, had_s = ProcessorTime(SHARE, BURST_S), 0.0, 0.0
    for spent_s, pause_s in spendings:
        now += pause_s
        now += time.wait(now)
        assert had_s <= BURST_S + SHARE * now + 1e-3
        time.spend(spent_s, now)
        had_s += spent_s


def test_a_pause_gives_no_more_than_the_burst() -> None:
    time = ProcessorTime(SHARE, BURST_S)
    time.spend(BURST_S, 0.0)
    time.spend(BURST_S + SHARE, 1e6)
    assert time.wait(1e6) == pytest.approx(1.0)


class Bench:
    """ClientThreads of which a test says how much processor time their work uses."""

    def __init__(self, threads: int = 8, each: int = 4) -> None:
        settings = {"processor_share_per_client": SHARE, "processor_burst_seconds": BURST_S}
        self._used_s = 0.0
        self.processor = Processor(IntakeSettings.model_validate(settings), lambda: self._used_s)
        self.threads = ClientThreads(self.processor, Threads(threads, each))

    async def use(self, client: str, seconds: float, failure: Exception | None = None) -> str:
        def work() -> str:
            self._used_s += seconds
            if failure:
                raise failure
            return client

        return await self.threads.run(client, work)

    def metric(self, name: str, client: str) -> float:
        return next(
            one.value
            for one in self.processor.samples()
            if (one.name, one.labels) == (f"carecase_processor_{name}seconds", {"client": client})
        )


@in_own_time
async def test_who_is_alone_never_waits() -> None:
    bench = Bench()
    for _ in range(3):
        assert await bench.use("ann", 100 * BURST_S) == "ann"
    assert (bench.metric("", "ann"), bench.metric("wait_", "ann")) == (300 * BURST_S, 0)


@in_own_time
async def test_who_has_used_too_much_waits_while_others_do_not() -> None:
    bench = Bench()
    await bench.use("bob", 0.1)
    await bench.use("ann", BURST_S)
    await bench.use("ann", 1)  # what was spent is no more than the burst
    waiting = asyncio.ensure_future(bench.use("ann", 0))
    await settle()
    assert await bench.use("bob", 0.1) == "bob"
    for _ in range(19):
        await elapse(0.1)
    assert not waiting.done()
    await elapse(0.2)
    assert await waiting == "ann"
    assert bench.metric("wait_", "ann") == pytest.approx(2, abs=0.2)
    assert bench.metric("wait_", "bob") == 0


@in_own_time
async def test_what_other_threads_used_for_a_client_that_is_alone_is_counted_with_its_next_work() -> None:
    bench = Bench()
    bench.processor.charge("ann", 2)
    await bench.use("ann", 1)
    assert bench.metric("", "ann") == 3


def test_a_client_has_as_many_threads_for_its_requests_as_the_settings_say() -> None:
    assert Threads.of_requests(IntakeSettings(request_threads_per_client=3)).share("ann").total_tokens == 3


def test_of_a_caller_that_is_gone_nothing_is_kept() -> None:
    """Callers include the addresses of those who are not let in, of which there is no end."""
    threads = Threads(most=2, most_each=1)
    share = ref(threads.share("192.0.2.7"))
    collect()
    assert share() is None


@in_own_time
async def test_what_other_threads_used_for_a_client_is_paid_by_it() -> None:
    bench = Bench()
    await bench.use("bob", 0)
    packer = threading.Thread(target=bench.processor.charge, args=("ann", BURST_S + 1))
    packer.start()
    packer.join()
    waiting = asyncio.ensure_future(bench.use("ann", 0))
    for _ in range(19):
        await elapse(0.1)
    assert (waiting.done(), await bench.use("bob", 0.1)) == (False, "bob")
    await elapse(0.2)
    await waiting
    assert bench.metric("", "ann") == BURST_S + 1


@in_own_time
async def test_work_that_fails_has_used_its_time_too() -> None:
    bench = Bench()
    await bench.use("bob", 0)
    with pytest.raises(ValueError, match="refused"):
        await bench.use("ann", BURST_S + 1, ValueError("refused"))
    waiting = asyncio.ensure_future(bench.use("ann", 0))
    for _ in range(19):
        await elapse(0.1)
    assert not waiting.done()
    await elapse(0.2)
    await waiting


@pytest.mark.parametrize(("silent_s", "waits"), [(119, True), (121, False)])
def test_another_client_is_there_for_two_minutes_after_a_request(silent_s: float, waits: bool) -> None:
    @in_own_time
    async def look() -> None:
        bench = Bench()
        await bench.use("bob", 0)
        await elapse(silent_s)
        await bench.use("ann", BURST_S + 100)
        again = asyncio.ensure_future(bench.use("ann", 0))
        if not waits:
            assert await again == "ann"
            return
        await elapse(0.9)
        assert not again.done()
        for _ in range(3):  # then it is alone
            await elapse(1)
        assert await again == "ann"

    look()


@in_own_time
async def test_who_was_alone_owes_nothing_for_it_when_another_comes() -> None:
    bench = Bench()
    for _ in range(3600):
        await bench.use("ann", 0.9)
        await elapse(1)
    await bench.use("bob", 0)
    assert await bench.use("ann", 1) == "ann"
    assert bench.metric("wait_", "ann") == 0
    waiting = asyncio.ensure_future(bench.use("ann", 0))
    for _ in range(50):
        await elapse(0.1)
    assert await waiting == "ann"
    assert bench.metric("wait_", "ann") <= 5


def blocked(end: threading.Event, began: list[str], name: str) -> Callable[[], None]:
    def work() -> None:
        began.append(name)
        end.wait(60)

    return work


async def begun(began: list[str], count: int) -> list[str]:
    """What has begun, once that is so much, and nothing more can."""
    async with asyncio.timeout(60):
        while len(began) < count:
            await asyncio.sleep(0.001)  # threads that have begun wake no event loop
    for _ in range(20):
        await asyncio.sleep(0.001)  # another thread could begin meanwhile
    return sorted(began)


@pytest.mark.parametrize(("used_s", "at_once"), [(0.0, 2), (BURST_S + 0.01, 1)])
def test_threads_of_a_client_are_few_and_of_one_that_has_used_too_much_it_is_one(used_s: float, at_once: int) -> None:
    async def look() -> None:
        bench, end, began = Bench(threads=8, each=2), threading.Event(), list[str]()
        await bench.use("bob", 0)
        await bench.use("ann", used_s)
        names = ["ann"] * 4 + ["bob"]
        running = [asyncio.ensure_future(bench.threads.run(name, blocked(end, began, name))) for name in names]
        try:
            assert await begun(began, at_once + 1) == ["ann"] * at_once + ["bob"]
        finally:
            end.set()
        await asyncio.gather(*running)
        assert sorted(began) == names

    asyncio.run(look())


@in_own_time
async def test_who_has_used_too_much_has_one_thread_also_once_it_owes_nothing() -> None:
    bench, started, end, began = Bench(threads=2, each=2), threading.Event(), threading.Event(), list[str]()

    def first() -> None:
        began.append("first")
        started.set()
        end.wait(60)

    await bench.use("bob", 0)
    await bench.use("ann", BURST_S + 1)
    one = asyncio.ensure_future(bench.threads.run("ann", first))
    for _ in range(3):
        await elapse(1)
    await asyncio.to_thread(started.wait, 60)
    other = asyncio.ensure_future(bench.threads.run("ann", lambda: began.append("second")))
    await settle()
    await bench.use("bob", 0)  # in the other thread, after whatever waits for that
    assert began == ["first"]
    end.set()
    await asyncio.gather(one, other)
    assert began == ["first", "second"]


def test_all_threads_together_are_so_many() -> None:
    async def look() -> None:
        threads, end, began = Threads(3, 2), threading.Event(), list[str]()
        running = [
            asyncio.ensure_future(threads.run(name, blocked(end, began, name)))
            for name in ("ann", "bob", "cleo", "dan")
        ]
        try:
            assert len(await begun(began, 3)) == 3
        finally:
            end.set()
        await asyncio.gather(*running)

    asyncio.run(look())


async def collected(pieces: AsyncIterator[bytes]) -> list[bytes]:
    return [piece async for piece in pieces]


@given(st.lists(st.integers(0, 3 * WORTH_BYTES), max_size=30), st.booleans())
def test_pieces_are_what_was_made_a_few_at_a_time(sizes: list[int], begins_before: bool) -> None:
    made = [bytes([number]) * size for number, size in enumerate(sizes)]
    source = iter(made)
    begun = some_of(source) if begins_before else (b"", False)
    pieces = asyncio.run(collected(Bench().threads.pieces("ann", source, *begun)))
    assert b"".join(pieces) == b"".join(made)
    assert all(pieces), "an empty piece would end an answer in chunks"


@pytest.mark.parametrize(("size", "count"), [(1, 8), (WORTH_BYTES // 2, 2), (WORTH_BYTES, 1)])
def test_as_many_pieces_are_made_at_a_time_as_are_worth_it(size: int, count: int) -> None:
    made = iter([b"x" * size] * 100)
    assert some_of(made) == (b"x" * size * count, False)
    assert len(list(made)) == 100 - count
