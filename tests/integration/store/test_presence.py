"""Heartbeats of workers tell by how much their hosts' clocks are ahead of Redis's."""

from datetime import UTC, datetime, timedelta

from tests.acceptance.system import eventually
from tests.stores import Stores

from carecase_worker.store.workers.presence import Presence

SECOND = timedelta(seconds=1)


class OffClock:
    """The clock of a host, which is ahead or behind by some time."""

    def __init__(self, offset: timedelta) -> None:
        self._offset = offset

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset


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
