"""Heartbeats of workers tell by how much their hosts' clocks are ahead of Redis's."""

from datetime import timedelta

from tests.acceptance.system import eventually
from tests.builders import OffClock
from tests.stores import Stores

from carecase_worker.clock import epoch_ms
from carecase_worker.store.redis.connection import moment_of
from carecase_worker.store.workers.presence import Presence, Workers

SECOND = timedelta(seconds=1)


def test_the_offset_of_each_hosts_clock_is_reported_by_the_worst_of_its_workers(store: Stores) -> None:
    offsets = {"north/1": timedelta(hours=1), "north/2": -timedelta(hours=2), "south/1": timedelta(minutes=5)}
    workers = {name: Presence(store.client, OffClock(offset)) for name, offset in offsets.items()}

    def all_report() -> bool:
        """A heartbeat reports what the one before has measured, unless its response was slow."""
        for name, presence in workers.items():
            presence.seen(name)
        return set(workers["north/1"].workers().ahead) == set(offsets)

    eventually(all_report, what="each worker has reported an offset")
    reported = workers["south/1"].workers().by_host()
    expected = {"north": offsets["north/2"], "south": offsets["south/1"]}
    assert reported.keys() == expected.keys()
    for host, offset in reported.items():
        assert abs(offset - expected[host]) < SECOND


def test_a_worker_that_has_stopped_leaves_nothing_behind(store: Stores) -> None:
    presence = Presence(store.client, OffClock(timedelta(hours=1)))

    def reports() -> bool:
        presence.seen("north/1")
        return set(presence.workers().ahead) == {"north/1"}

    eventually(reports, what="it has reported an offset")
    presence.unseen("north/1")
    assert presence.workers() == Workers([], {})
    assert store.client.redis.exists(store.keys.workers, store.keys.clocks) == 0


def test_a_heartbeat_that_lies_in_the_future_counts_no_longer_than_one_of_the_past(store: Stores) -> None:
    """The clock of Redis was set back: nobody knows if that worker still lives."""
    presence = Presence(store.client, OffClock(timedelta(0)))
    now_ms = epoch_ms(moment_of(store.client.redis.time()))
    offsets_ms = {"then": -60_000, "now": 0, "to come": 60_000}
    store.client.redis.zadd(store.keys.workers, {name: now_ms + offset for name, offset in offsets_ms.items()})
    assert presence.workers().names == ["now"]
