"""The rate of a client: a bucket that all intakes share."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from tests.services import Services, lone_valkey, redis_url

from carecase_worker.clock import monotonic
from carecase_worker.errors import RateExceeded
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.rate_limit import RateLimiter


def rates(servers: Services, prefix: str, per_second: float, burst: int) -> RateLimiter:
    return limiter(servers.redis_url, per_second, burst, prefix=prefix)


def limiter(url: str, per_second: float, burst: int, **more: str) -> RateLimiter:
    return RateLimiter(RedisSettings.model_validate({"url": url, **more}), per_second, burst)


def calls_of(port: int) -> int:
    """How many calls of a script a Valkey has had."""
    with redis.Redis.from_url(redis_url(port)) as client:
        calls: int = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    return calls


async def passed(one: RateLimiter, times: int, client: str = "ann") -> int:
    """How many of so many requests in a row are within the rate."""
    count = 0
    for _ in range(times):
        try:
            await one.spend(client)
        except RateExceeded:
            continue
        count += 1
    return count


async def passed_and_closed(one: RateLimiter, times: int) -> int:
    """The same of a bucket that is not used again."""
    try:
        return await passed(one, times)
    finally:
        await one.close()


@pytest.fixture
def prefix() -> str:
    return f"rates-{uuid4()}:"


def test_a_burst_is_let_through_and_no_more(servers: Services, prefix: str) -> None:
    for client in ("ann", "bob"):
        one = rates(servers, prefix, 0.01, 50)
        assert asyncio.run(passed(one, 80, client)) == 50


def test_all_intakes_count_together(servers: Services, prefix: str) -> None:
    async def together() -> list[int]:
        return await asyncio.gather(*(passed_and_closed(rates(servers, prefix, 0.01, 50), 30) for _ in range(4)))

    assert 40 <= sum(asyncio.run(together())) <= 50, (
        "each may keep some prefetched tokens for requests that do not come"
    )


@pytest.mark.parametrize("per_second", [3, 0.7, 0.3])
def test_a_burst_is_whole_also_if_a_token_is_no_whole_number_of_microseconds(
    servers: Services, prefix: str, per_second: float
) -> None:
    assert asyncio.run(passed(rates(servers, prefix, per_second, 40), 40)) == 40


@asynccontextmanager
async def slow_way_to(port: int, seconds: float) -> AsyncIterator[int]:
    """A port from which every byte takes so long to another one, and as long back."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await asyncio.sleep(seconds)  # the length of the way
            writer.write(data)
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, back), carry(there, writer))

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def test_requests_wait_for_one_call_though_it_takes_longer_than_a_token(tmp_path: Path) -> None:
    async def at_once(port: int) -> int:
        async with slow_way_to(port, 0.02) as slow:
            one = limiter(redis_url(slow), per_second=100, burst=1)
            assert await passed(one, 1) == 1
            return sum(await asyncio.gather(*(passed(one, 1) for _ in range(100))))

    with lone_valkey(tmp_path / "valkey") as port:
        assert asyncio.run(at_once(port)) <= 2, "a hundred are counted by two calls, and the bucket has one token"


def test_requests_at_once_are_counted_by_one_call(tmp_path: Path) -> None:
    async def at_once(url: str) -> int:
        one = limiter(url, per_second=0.01, burst=50)
        return sum(await asyncio.gather(*(passed(one, 1) for _ in range(60))))

    with lone_valkey(tmp_path / "valkey") as port:
        assert asyncio.run(at_once(redis_url(port))) == 50
        calls = calls_of(port)
    assert calls <= 5


def test_a_busy_client_costs_fewer_calls_than_requests(tmp_path: Path) -> None:
    with lone_valkey(tmp_path / "valkey") as port:
        one = limiter(redis_url(port), per_second=0.01, burst=1_000)
        assert asyncio.run(passed(one, 300)) == 300
        assert calls_of(port) < 300


def test_tokens_that_a_client_prefetched_and_did_not_use_are_not_lost(servers: Services, prefix: str) -> None:
    async def spend() -> int:
        one = rates(servers, prefix, 0.01, 50)
        at_once = await passed(one, 12)
        await asyncio.sleep(0.15)  # until prefetched tokens are too old
        return at_once + await passed(one, 80)

    assert asyncio.run(spend()) == 50


def test_a_redis_that_is_full_counts_requests(tmp_path: Path) -> None:
    with lone_valkey(tmp_path / "valkey") as port:
        with redis.Redis.from_url(redis_url(port)) as client:
            client.config_set("maxmemory", 1)
        one = limiter(redis_url(port), per_second=0.01, burst=50)
        assert asyncio.run(passed(one, 80)) == 50


def test_requests_at_the_same_time_are_counted_each(servers: Services, prefix: str) -> None:
    async def at_once() -> int:
        one = rates(servers, prefix, 0.01, 50)
        return sum(await asyncio.gather(*(passed(one, 1) for _ in range(200))))

    assert asyncio.run(at_once()) == 50


def test_the_wait_is_named_and_is_as_long_as_needed(servers: Services, prefix: str) -> None:
    async def spend() -> None:
        one = rates(servers, prefix, 4, 1)
        with pytest.raises(RateExceeded) as refused:  # noqa: PT012
            for _ in range(1000):  # a machine may be busy for so long that the next one is within the rate
                await one.spend("ann")
        assert timedelta(0) < refused.value.wait <= timedelta(seconds=0.25)
        await asyncio.sleep(refused.value.wait.total_seconds())  # as the refusal asks for
        await one.spend("ann")

    asyncio.run(spend())


def test_a_client_that_has_no_token_is_refused_without_redis_until_it_has_one(tmp_path: Path) -> None:
    async def refused(url: str) -> int:
        one = limiter(url, per_second=2, burst=1)
        return 100 - await passed(one, 100)

    with lone_valkey(tmp_path / "valkey") as port:
        count = asyncio.run(refused(redis_url(port)))
        calls = calls_of(port)
    assert count > 90
    assert calls <= 2 * (100 - count) + 2, "a busy machine may get a token meanwhile, and ask again after it"


def test_a_refusal_of_one_client_is_none_of_another(servers: Services, prefix: str) -> None:
    async def spend() -> tuple[int, int]:
        one = rates(servers, prefix, 0.01, 1)
        return await passed(one, 5, "ann"), await passed(one, 5, "bob")

    assert asyncio.run(spend()) == (1, 1)


def test_the_sustained_rate_is_the_one_configured(servers: Services, prefix: str) -> None:
    async def spend() -> None:
        one, began, count = rates(servers, prefix, 50, 1), monotonic(), 0
        while count < 40:
            count += await passed(one, 1)
        assert count <= 50 * (monotonic() - began) + 1

    asyncio.run(spend())


def test_zero_is_no_limit(servers: Services, prefix: str) -> None:
    assert asyncio.run(passed(rates(servers, prefix, 0, 1), 100)) == 100


def test_a_redis_that_hangs_refuses_nobody_and_is_left_alone_for_a_second() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url, began = f"redis://127.0.0.1:{silent.getsockname()[1]}/0", monotonic()
        assert asyncio.run(passed(limiter(url, 1, 1), 100)) == 100
        silent.setblocking(False)
        assert 1 <= connections(silent) <= 1 + monotonic() - began


def test_of_requests_that_wait_together_for_a_redis_that_hangs_one_call_waits() -> None:
    async def at_once(url: str) -> int:
        one = limiter(url, 1, 1)
        return sum(await asyncio.gather(*(passed(one, 1) for _ in range(1_000))))

    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = monotonic()
        assert asyncio.run(at_once(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")) == 1_000
        silent.setblocking(False)
        assert 1 <= connections(silent) <= 1 + monotonic() - began


def connections(server: socket.socket) -> int:
    """How many have been made to a server that accepted none."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_a_bucket_goes_to_no_disk_and_goes_by_itself(tmp_path: Path) -> None:
    with lone_valkey(tmp_path / "valkey") as port:
        url = redis_url(port)
        client = redis.Redis.from_url(url)
        one = limiter(url, per_second=100, burst=5)
        before = client.info("persistence")["aof_current_size"]

        async def spend() -> None:
            assert await passed(one, 5) == 5
            await asyncio.sleep(0.2)  # the bucket is full again, and whoever polls at leisure comes back
            assert await passed(one, 1) == 1

        asyncio.run(spend())
        assert client.info("persistence")["aof_current_size"] == before
        [bucket] = client.scan_iter("*rate:ann")
        assert 0 < client.ttl(bucket) <= 61
