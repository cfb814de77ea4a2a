"""Whatever is asked of a Redis that is away or refuses, the answer is that the job store is unavailable, and why."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from tests.builders import OffClock, a_new_job
from tests.ports import free_port
from tests.stores import JOBS, Stores

from carecase_worker.batches.encryption import Seals
from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.store.queries.job_lists import JobFilter, JobLists
from carecase_worker.store.queries.measures import JobMeasures
from carecase_worker.store.queries.open_jobs import OpenJob, OpenJobs
from carecase_worker.store.queries.overview import Overviews
from carecase_worker.store.redis.checkup import reach, redis_faults
from carecase_worker.store.rewrapping import Rewrapping
from carecase_worker.store.workers.intervals import Intervals
from carecase_worker.store.workers.presence import Presence, Workers
from carecase_worker.store.workers.standstill import Standstill

SECOND = timedelta(seconds=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NOBODY = Workers([], {})


class There:
    """All that asks a Redis."""

    def __init__(self, settings: RedisSettings) -> None:
        jobs = JobSettings.model_validate(JOBS)
        self.settings = settings
        self.store = Stores(settings, jobs)
        client = self.store.client
        self.presence = Presence(client, OffClock(timedelta(0)))
        self.lists = JobLists(settings)
        self.measures = JobMeasures(settings, jobs, ["demo"])
        self.overviews = Overviews(settings, ["demo"], SECOND)
        self.standstill = Standstill(client, jobs)
        self.open_jobs = OpenJobs(client)
        self.intervals = Intervals(client)
        self.rewrapping = Rewrapping(client, self.store.jobs, Seals({}))


Asked = Callable[[There], object]

ASKED: dict[str, Asked] = {
    "holders": lambda there: there.store.leases.holders(),
    "unsettled databases": lambda there: there.store.leases.unsettled(["demo"]),
    "a job": lambda there: there.store.jobs.job("j"),
    "outcomes": lambda there: there.store.jobs.outcomes("j", [0]),
    "payloads": lambda there: there.store.jobs.payloads("j", [0]),
    "committed chunks": lambda there: there.store.jobs.committed("j"),
    "tallies": lambda there: there.store.jobs.tallies("j", 1),
    "a pace": lambda there: there.store.workload.pace("demo"),
    "trouble": lambda there: there.store.workload.trouble("demo"),
    "a backlog": lambda there: there.store.workload.backlog("demo"),
    "due chunks": lambda there: there.store.workload.due_count("demo"),
    "usage": lambda there: there.store.workload.kept("demo"),
    "stats": lambda there: there.store.workload.stats(),
    "a page": lambda there: there.lists.jobs_of("demo", ["demo"], JobFilter(0, 1)),
    "open work": lambda there: there.measures.open_work(),
    "counts": lambda there: there.measures.counted(),
    "an overview": lambda there: there.overviews.read(NOBODY),
    "standstill": lambda there: there.standstill.untaken("demo"),
    "unplaced jobs": lambda there: there.open_jobs.unplaced("demo"),
    "key sets": lambda there: there.open_jobs.key_sets([OpenJob("j", 1, "")]),
    "an interval": lambda there: there.intervals.try_acquire("purge", SECOND),
    "the clock": lambda there: there.presence.ahead(),
    "a heartbeat": lambda there: there.presence.seen("w"),
    "a sign-off": lambda there: there.presence.unseen("w"),
    "workers": lambda there: there.presence.workers(),
    "a test write": lambda there: there.presence.try_write(),
    "databases to rewrap": lambda there: there.rewrapping.databases(),
    "jobs to rewrap": lambda there: list(there.rewrapping.jobs(["demo"])),
    "its faults": lambda there: redis_faults(there.settings),
    "whether it answers": lambda there: reach(there.settings),
}  # fmt: skip

OF_RECORDS: dict[str, Asked] = {
    "a page": ASKED["a page"],
    "jobs that became final": lambda there: there.lists.final_since("demo", ["demo"], LONG_AGO),
    "an overview": ASKED["an overview"],
    "standstill": ASKED["standstill"],
    "open work": ASKED["open work"],
}
"""What reads the records of jobs, and before that other keys."""


@pytest.mark.parametrize("what", ASKED)
def test_a_redis_that_is_away_is_reported_by_whoever_asks_it(what: str) -> None:
    there = There(RedisSettings.model_validate({"url": f"redis://127.0.0.1:{free_port()}/0"}))
    with pytest.raises(StoreUnavailable, match=r"cannot be reached; check that Redis runs, and redis\.url"):
        ASKED[what](there)


@pytest.fixture
def without_records(store: Stores, raw_redis: redis.Redis) -> Iterator[There]:
    """A job store for a user of Redis who may do everything, except to read the records of jobs."""
    prefix, port = store.keys.prefix, raw_redis.get_connection_kwargs()["port"]
    patterns = [f"~{prefix}", f"~{prefix}jobs:*", f"~{prefix}[^j]*"]
    raw_redis.execute_command("ACL", "SETUSER", "lesser", "on", ">lesser", "+@all", *patterns)
    url = f"redis://lesser:lesser@127.0.0.1:{port}/0"
    yield There(RedisSettings.model_validate({"url": url, "prefix": prefix}))
    raw_redis.execute_command("ACL", "DELUSER", "lesser")


@pytest.mark.parametrize("what", OF_RECORDS)
def test_a_redis_that_refuses_halfway_is_reported_too(store: Stores, without_records: There, what: str) -> None:
    store.batches.admit(a_new_job(), {0: b"p"})
    with pytest.raises(StoreUnavailable, match="refuses a command to this user; check its ACL"):
        OF_RECORDS[what](without_records)
