"""An overview shows open work, circuit breakers and chunks in hand."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.builders import a_new_job
from tests.services import Services
from tests.stores import Stores

from carecase_worker.clock import epoch_ms
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.operations.claims import RetryLater
from carecase_worker.store.queries.overview import Breaker, Overview, Overviews
from carecase_worker.store.redis.connection import moment_of
from carecase_worker.store.workers.presence import Workers

HOLDER = "node-1/boot/4026531836:88:123456"
NOBODY = Workers([], {})


@pytest.fixture
def overviews(servers: Services, store: Stores) -> Overviews:
    settings = RedisSettings.model_validate({"url": servers.redis_url, "prefix": store.keys.prefix})
    return Overviews(settings, ["other", "demo"], timedelta(seconds=5))


def test_nothing_is_there_at_first(overviews: Overviews) -> None:
    overview = overviews.read(NOBODY)
    assert [work.database for work in overview.databases] == ["demo", "other"]
    assert {work.breaker for work in overview.databases} == {Breaker.CLOSED}
    assert [(work.open_jobs, work.oldest_job) for work in overview.databases] == [(0, None), (0, None)]
    assert overview.in_hand == []


def test_open_work_and_the_chunk_in_hand_are_shown(store: Stores, overviews: Overviews) -> None:
    first, second = a_new_job(total=7), a_new_job(total=5)
    (chunk,) = store.batches.admit(first, {0: b"payload"}).to_notify
    store.batches.admit(second, {0: b"payload"})
    assert store.leases.claim(chunk, HOLDER).lease is not None
    overview = overviews.read(NOBODY)
    demo, other = overview.databases
    assert (demo.open_jobs, demo.open_items, demo.oldest_job) == (2, 12, first.job_id)
    assert demo.open_chunks >= 1
    assert timedelta(0) <= demo.oldest < timedelta(minutes=5)
    assert (other.open_jobs, other.open_items) == (0, 0)
    (in_hand,) = overview.in_hand
    assert (in_hand.host, in_hand.process, in_hand.chunk, in_hand.database) == ("node-1", "88", chunk, "demo")


def test_the_breaker_opens_with_a_database_that_is_away_and_half_opens_with_a_probe(
    store: Stores, overviews: Overviews
) -> None:
    (chunk,) = store.batches.admit(a_new_job(), {0: b"payload"}).to_notify

    def demo(overview: Overview) -> tuple[Breaker, str]:
        work = overview.databases[0]
        return work.breaker, work.trouble.reason if work.trouble else ""

    store.leases.claim(chunk, HOLDER)
    assert demo(overviews.read(NOBODY)) == (Breaker.CLOSED, "")
    store.leases.release(
        [chunk], HOLDER, RetryLater(timedelta(0), open_circuit=timedelta(milliseconds=1), reason="refused")
    )
    while store.leases.claim(chunk, HOLDER).lease is None:
        assert demo(overviews.read(NOBODY)) == (Breaker.OPEN, "refused")
    assert demo(overviews.read(NOBODY)) == (Breaker.HALF_OPEN, "refused")


def test_a_breaker_that_is_open_is_not_shown_as_half_open(
    store: Stores, overviews: Overviews, elapse: Callable[[timedelta], None]
) -> None:
    """Half-open says that an attempt is under way: nobody is to wait for one that comes in a minute."""
    (chunk,) = store.batches.admit(a_new_job(), {0: b"payload"}).to_notify
    store.leases.claim(chunk, HOLDER)
    store.leases.release([chunk], HOLDER, RetryLater(timedelta(0), open_circuit=timedelta(minutes=1), reason="refused"))
    assert overviews.read(NOBODY).databases[0].breaker is Breaker.OPEN
    elapse(timedelta(minutes=1))
    assert overviews.read(NOBODY).databases[0].breaker is Breaker.OPEN, "nobody has tried the database yet"


@pytest.mark.parametrize(("ago", "rate"), [(timedelta(seconds=1), 5), (timedelta(minutes=1), 0)])
def test_the_rate_is_that_of_now(store: Stores, overviews: Overviews, ago: timedelta, rate: int) -> None:
    redis = store.client.redis
    completed_ms = epoch_ms(moment_of(redis.time()) - ago)
    redis.hset(store.keys.pace("demo"), mapping={"items_per_second": 5, "completed_ms": completed_ms})
    assert overviews.read(NOBODY).databases[0].items_per_second == rate
