"""Sweeps of a worker: they notify for what is overdue and take chunks back from the dead. Heartbeats report it."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from structlog.testing import capture_logs
from tests.builders import a_new_job
from tests.ports import free_port
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.broker.celery_app import celery_app, queue_name
from carecase_worker.broker.notifier import Notifier
from carecase_worker.clock import SystemClock
from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import JobSettings, Settings
from carecase_worker.store.operations.admission import Kept
from carecase_worker.store.operations.claims import ChunkResult, Claimed, RetryLater
from carecase_worker.store.workers.clock_watch import ClockWatch
from carecase_worker.store.workers.presence import Presence
from carecase_worker.worker.health.signs import Signs
from carecase_worker.worker.housekeeping import Heartbeat, Sweep

Elapse = Callable[[timedelta], None]
TENANTS = Path(__file__).parents[3] / "docs" / "how-to" / "tenant.md"
MINUTE = timedelta(minutes=1)
RETENTION = JobSettings().retention


def settings_at(redis_url: str) -> Settings:
    """Those of a worker of two databases, with a broker that has nothing in it."""
    return load(
        environment={
            "CARECASE_REDIS_URL": redis_url,
            "CARECASE_BROKER_PREFIX": f"{uuid4()}:",
            "CARECASE_DATABASES_DEMO_URL": "sqlite:///nowhere",
            "CARECASE_DATABASES_OTHER_URL": "sqlite:///nowhere",
        }
    )


@pytest.fixture
def settings(servers: Services) -> Settings:
    return settings_at(servers.redis_url)


@pytest.fixture
def notifier(settings: Settings) -> Notifier:
    return Notifier(celery_app(settings))


@pytest.fixture
def away() -> Settings:
    """Settings of a Redis that nobody reaches."""
    return settings_at(f"redis://127.0.0.1:{free_port()}/0")


@pytest.fixture
def presence(store: Stores) -> Presence:
    return Presence(store.client, SystemClock())


@pytest.fixture
def sweep(store: Stores, notifier: Notifier) -> Sweep:
    """The sweep of a worker that takes the holder `dead` for dead."""
    return Sweep(
        store.leases,
        store.workload,
        notifier,
        ("demo", "other"),
        lambda name: name == "dead",
    )


@pytest.fixture
def heartbeat(presence: Presence) -> Heartbeat:
    return Heartbeat(presence, ClockWatch(), "me", Signs())


def admit(store: Stores, database: str = "demo") -> ChunkRef:
    (ref,) = store.batches.admit(a_new_job(database=database), {0: b"payload"}).to_notify
    return ref


def test_a_sweep_notifies_for_what_is_overdue_and_for_nothing_else(
    store: Stores, notifier: Notifier, sweep: Sweep, elapse: Elapse
) -> None:
    for database in ("demo", "demo", "other"):
        admit(store, database)
    sweep.once()
    assert [notifier.waiting(name) for name in ("demo", "other")] == [0, 0], "they have been notified for just now"
    elapse(MINUTE)
    for has_found_any in (False, True):
        sweep.once()
        assert [notifier.waiting(name) for name in ("demo", "other")] == [2, 1]
        assert sweep.signs.waiting is has_found_any, "a broker that is not polled is asked for what it should bring"


def test_chunks_whose_notifications_still_wait_are_notified_for_again_a_few_at_a_time(
    store: Stores, notifier: Notifier, sweep: Sweep, elapse: Elapse
) -> None:
    """Of a few the notification may be lost; if all were notified for, a stuck consumer would find ever more."""
    for _ in range(30):
        admit(store)
    for waiting in (30, 40):
        elapse(MINUTE)
        sweep.once()
        assert notifier.waiting("demo") == waiting


def test_what_waits_of_one_database_does_not_hold_up_the_notifications_for_another(
    store: Stores, notifier: Notifier, sweep: Sweep, elapse: Elapse
) -> None:
    for _ in range(40):
        admit(store, "demo")
    elapse(MINUTE)
    sweep.once()
    for _ in range(30):
        admit(store, "other")
    elapse(MINUTE)
    sweep.once()
    assert [notifier.waiting(name) for name in ("demo", "other")] == [50, 30]


def test_a_database_with_nothing_to_do_keeps_no_other_from_being_notified_for(
    store: Stores, notifier: Notifier, sweep: Sweep, elapse: Elapse
) -> None:
    admit(store, "other")
    elapse(MINUTE)
    sweep.once()
    assert [notifier.waiting(name) for name in ("demo", "other")] == [0, 1]


def test_of_expired_jobs_in_a_database_that_gets_no_others_there_is_left_what_the_page_of_tenants_says(
    store: Stores, sweep: Sweep, elapse: Elapse, raw_redis: redis.Redis
) -> None:
    store.leases.settle("demo", 0)
    ref = admit(store)
    store.leases.claim(ref, "alive")
    store.leases.release([ref], "alive", RetryLater(timedelta(0)))  # the database was away
    store.leases.claim(ref, "alive")
    store.leases.complete(ref, ChunkResult(b"outcomes", {"created": 1}))
    for kept in (Kept(0, 4096), Kept(0, 0)):  # the record outlives the result
        elapse(RETENTION)
        sweep.once()
        assert store.workload.kept("demo") == {"demo": kept}
    left = [key.decode().removeprefix(store.keys.prefix) for key in raw_redis.scan_iter(f"{store.keys.prefix}*")]
    (named,) = re.findall(r'for key in (.*); do valkey-cli unlink "c:\$key:north"', TENANTS.read_text("utf-8"))
    assert {key for key in left if ":" in key} == {f"{name}:demo" for name in named.split()}


def test_a_notification_that_waits_is_seen_although_the_next_database_has_none(
    store: Stores, sweep: Sweep, elapse: Elapse
) -> None:
    admit(store, "demo")
    elapse(MINUTE)
    sweep.once()
    admit(store, "other")
    sweep.once()
    assert sweep.signs.waiting


@pytest.mark.parametrize("failing", ["job store", "broker"])
def test_a_database_whose_keys_are_no_lists_keeps_no_later_one_from_being_notified_for(
    store: Stores, notifier: Notifier, sweep: Sweep, settings: Settings, elapse: Elapse, failing: str
) -> None:
    for database in ("demo", "other"):
        admit(store, database)
    elapse(MINUTE)
    keys = {"job store": store.keys.due("demo"), "broker": f"{settings.broker.prefix}{queue_name('demo')}"}
    store.client.redis.set(keys[failing], "no list")
    with pytest.raises(StoreUnavailable, match=f"the {failing}"):
        sweep.once()
    assert notifier.waiting("other") == 1
    assert not sweep.signs.waiting


def test_notifications_are_taken_to_wait_still_while_a_sweep_cannot_see_them(
    store: Stores, sweep: Sweep, away: Settings, elapse: Elapse
) -> None:
    admit(store)
    elapse(MINUTE)
    sweep.once()
    sweep.once()
    with pytest.raises(StoreUnavailable, match=r"broker\.url"):
        replace(sweep, notifier=Notifier(celery_app(away))).once()
    assert sweep.signs.waiting


def test_a_job_store_that_is_away_has_not_answered(heartbeat: Heartbeat, away: Settings) -> None:
    absent = Stores(away.redis, away.jobs)
    with pytest.raises(StoreUnavailable, match=r"redis\.url"):
        replace(heartbeat, presence=Presence(absent.client, SystemClock())).once()
    absent.client.close()
    assert heartbeat.signs.reached == 0, "or else a worker without Redis is ready"


def test_a_sweep_takes_the_chunks_of_a_dead_process_back_at_once(
    store: Stores, notifier: Notifier, sweep: Sweep
) -> None:
    lost, taken = admit(store), admit(store, "other")
    store.leases.claim(lost, "dead")
    store.leases.claim(taken, "alive")
    sweep.once()
    assert notifier.waiting("demo") >= 1
    assert notifier.waiting("other") == 0
    assert store.leases.claim(taken, "another").verdict is Claimed.BUSY


def test_of_two_sweeps_that_find_a_dead_process_one_takes_its_chunk_back(store: Stores, notifier: Notifier) -> None:
    lost = admit(store)
    store.leases.claim(lost, "dead")

    def is_found_by_another_sweep(name: str) -> bool:
        if name == "dead":
            assert store.leases.reclaim(name) == [("demo", lost)]
        return name == "dead"

    with capture_logs() as logs:
        Sweep(store.leases, store.workload, notifier, (), is_found_by_another_sweep).once()
    assert notifier.waiting("demo") == 0
    assert logs == []
    claim = store.leases.claim(lost, "another")
    assert claim.lease is not None
    assert claim.lease.history.deaths == 1


def test_a_worker_is_seen_from_its_first_heartbeat_until_it_signs_off(heartbeat: Heartbeat, presence: Presence) -> None:
    heartbeat.once()
    assert presence.workers().names == ["me"]
    assert heartbeat.signs.reached > 0, "or else nobody takes it for ready"
    heartbeat.sign_off()
    assert presence.workers().names == []


def test_a_database_that_is_left_alone_is_not_notified_for(
    store: Stores, notifier: Notifier, sweep: Sweep, elapse: Elapse
) -> None:
    ref = admit(store)
    store.leases.claim(ref, "alive")
    store.leases.release([ref], "alive", RetryLater(timedelta(0), open_circuit=MINUTE))
    sweep.once()
    assert notifier.waiting("demo") == 0
    elapse(MINUTE)
    sweep.once()
    assert notifier.waiting("demo") == 1
