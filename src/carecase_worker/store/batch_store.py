"""The store of batches: staged while they are received, then admitted as jobs."""

from collections.abc import Mapping

from carecase_worker.settings.model import JobSettings
from carecase_worker.store.operations.admission import Admission, NewJob, Staging
from carecase_worker.store.operations.calls import admit_call, flat, limits_of, places_of
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.scripts import named

_STAGED_FOR_MS = 900_000


class BatchStore:
    """Batches that are not jobs yet, in Redis. Every method raises StoreUnavailable."""

    def __init__(self, client: StoreClient, jobs: JobSettings) -> None:
        self._client = client
        self._jobs = jobs

    def stage(self, staging: Staging, payloads: Mapping[int, bytes]) -> Admission:
        """Write chunk payloads to the staging hash, if there is room; they expire after 15 minutes unless admitted.

        `staging` has the size of the batch staged so far, including these chunks.
        """
        arguments = named(
            job=staging.job_id,
            database=staging.database,
            client=staging.client,
            staged_for_ms=_STAGED_FOR_MS,
            bytes=staging.size,
            chunks=staging.chunks,
            limits=limits_of(self._jobs),
        )
        names = places_of(self._client.keys, staging.job_id)
        return Admission.of(self._client.run("stage", [arguments, *flat(payloads)], names), staging.job_id)

    def discard(self, staging: Staging) -> None:
        """Drop the staged chunks of a batch that is refused, unless it is already a job."""
        arguments = named(job=staging.job_id, database=staging.database, client=staging.client)
        self._client.run("discard", [arguments], places_of(self._client.keys, staging.job_id))

    def admit(self, new: NewJob, last: Mapping[int, bytes]) -> Admission:
        """Make the batch a job, with its last chunks. With durability fsync, returns once it is on disk."""
        names, args = admit_call(self._client.keys, self._jobs, new, last)
        return Admission.of_new(self._client.run_durably("admit", args, names), new)
