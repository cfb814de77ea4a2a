"""The job store of a test: all its parts, over one client."""

from carecase_worker.batches.encryption import UNSEALED, Seals
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.store.batch_store import BatchStore
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.lease_store import LeaseStore
from carecase_worker.store.queries.workload import Workload
from carecase_worker.store.redis.client import StoreClient

JOBS = {"renotify_after_seconds": 10, "lease_seconds": 15}
"""The settings of the fixture `store`: however busy the machine, nothing is due between two requests of a test."""


class Stores:
    """The stores of batches, jobs and leases, and the work of each database."""

    def __init__(self, redis: RedisSettings, jobs: JobSettings, seals: Seals = UNSEALED) -> None:
        self.client = StoreClient(redis)
        self.keys = self.client.keys
        self.batches = BatchStore(self.client, jobs)
        self.jobs = JobStore(self.client, jobs, seals)
        self.leases = LeaseStore(self.client, jobs)
        self.workload = Workload(self.client)
