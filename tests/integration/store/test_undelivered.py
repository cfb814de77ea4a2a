"""Events of webhooks between attempts: whose turn it is, what is stored of those given up, and their replay."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.builders import a_new_job
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.settings.model import JobSettings
from carecase_worker.store.operations.claims import ChunkResult
from carecase_worker.store.outbox import DeliveryFailure, DeliveryVerdict, JobEvent, Outbox

WEBHOOKS = Path(__file__).parents[3] / "docs" / "how-to" / "called-back.md"
Elapse = Callable[[timedelta], None]
LEASE = timedelta(seconds=10)
DAY = timedelta(days=1)


@pytest.fixture
def outbox(store: Stores) -> Outbox:
    return Outbox(store.client)


def complete_one(store: Stores) -> None:
    """Have a job end of which a webhook is told."""
    new = a_new_job(webhooks="crm:completed")
    store.batches.admit(new, {0: b"p"})
    store.leases.complete(ChunkRef(new.job_id, 0), ChunkResult(b"o", {"created": 1}))


def taken(outbox: Outbox, holder: str = "p") -> JobEvent:
    found = outbox.next_event("crm", holder, LEASE)
    assert found is not None
    return found[0]


def fail(outbox: Outbox, verdict: DeliveryVerdict, **failure: Any) -> None:
    assert outbox.note("crm", "p", taken(outbox), verdict, DeliveryFailure("status 500", **failure))


def give_up(store: Stores, outbox: Outbox, kept: int = 10) -> None:
    complete_one(store)
    fail(outbox, DeliveryVerdict.GIVEN_UP, kept=kept)


def test_who_had_the_lease_of_a_webhook_for_too_long_notes_nothing(
    store: Stores, outbox: Outbox, elapse: Elapse
) -> None:
    complete_one(store)
    first = taken(outbox)
    elapse(LEASE)
    assert taken(outbox, "q") == first
    assert not outbox.note("crm", "p", first, DeliveryVerdict.DELIVERED, DeliveryFailure())
    assert outbox.note("crm", "q", first, DeliveryVerdict.DELIVERED, DeliveryFailure())
    assert outbox.state("crm").delivered == 1


def test_as_many_undelivered_events_are_stored_as_the_settings_say(store: Stores, outbox: Outbox) -> None:
    for _ in range(3):
        give_up(store, outbox, kept=2)
    state = outbox.state("crm")
    assert (state.undelivered, state.dropped) == (2, 1)


def test_the_newest_undelivered_events_are_listed_first_with_the_time_at_which_they_were_given_up(
    store: Stores, outbox: Outbox, raw_redis: redis.Redis
) -> None:
    members = {f"job-{n}|1|completed|0|demo|1|1|0|0|0|0": 1_000 * n for n in range(4)}
    raw_redis.zadd(store.keys.undelivered("crm"), members)
    assert [(event.job_id, at) for at, event in outbox.undelivered("crm", 2)] == [
        (f"job-{n}", datetime.fromtimestamp(n, UTC)) for n in (3, 2)
    ]


def test_all_that_is_undelivered_is_queued_again_however_much_that_is(
    store: Stores, outbox: Outbox, raw_redis: redis.Redis
) -> None:
    members = {f"job-{n}|1|completed|0|demo|1|1|0|0|0|0": n for n in range(2_001)}
    raw_redis.zadd(store.keys.undelivered("crm"), members)
    assert outbox.replay("crm", DAY) == 2_001
    assert (outbox.state("crm").undelivered, outbox.state("crm").waiting) == (0, 2_001)


def test_an_event_that_is_queued_again_stays_for_the_time_that_is_named(
    store: Stores, outbox: Outbox, elapse: Elapse
) -> None:
    for waited, is_there in ((timedelta(hours=23), True), (timedelta(hours=25), False)):
        give_up(store, outbox)
        assert outbox.replay("crm", DAY) == 1
        elapse(waited)
        assert (outbox.next_event("crm", "p", LEASE) is not None) is is_there
        outbox.replay("crm", DAY)
        while found := outbox.next_event("crm", "p", LEASE):
            outbox.note("crm", "p", found[0], DeliveryVerdict.DELIVERED, DeliveryFailure())


def test_of_a_webhook_that_nobody_delivers_to_there_is_left_what_the_page_of_webhooks_says(
    store: Stores, outbox: Outbox, raw_redis: redis.Redis, elapse: Elapse
) -> None:
    give_up(store, outbox)
    complete_one(store)
    fail(outbox, DeliveryVerdict.AGAIN)
    elapse(2 * JobSettings().retention)
    left = [key.decode().removeprefix(store.keys.prefix) for key in raw_redis.scan_iter(f"{store.keys.prefix}*:crm*")]
    (named,) = re.findall(r'for key in (.*); do valkey-cli unlink "c:\$key:crm"', WEBHOOKS.read_text("utf-8"))
    assert set(left) == {f"{name}:crm" for name in named.split()}


def test_a_pause_ends_after_the_time_that_the_receiver_asked_for(
    store: Stores, outbox: Outbox, raw_redis: redis.Redis
) -> None:
    def now() -> datetime:
        seconds, us = raw_redis.time()
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=us)

    pause, rounding = timedelta(minutes=1), timedelta(milliseconds=2)
    complete_one(store)
    before = now()
    fail(outbox, DeliveryVerdict.AGAIN, pause=pause)
    ends = outbox.state("crm").paused_until
    assert ends is not None
    assert before + pause - rounding <= ends <= now() + pause + rounding
