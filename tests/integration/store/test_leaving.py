"""What has gone by itself is off the counts before anybody is refused, and is taken off once."""

from datetime import timedelta
from uuid import uuid4

from tests.builders import a_new_job
from tests.elapsing import elapse
from tests.services import Services

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.store.job import COUNTS
from carecase_worker.store.operations.admission import Admitted, Staging
from carecase_worker.store.operations.claims import ChunkResult

RECORD_BYTES, CHUNK_BYTES = 4096, 256
"""What is counted for each job and each chunk, beside their bytes."""
UPLOADS, UPLOAD_BYTES, JOB_BYTES, MOST_BYTES = 150, 1000, 200_000, 250_000


def test_however_many_uploads_were_left_they_keep_nobody_out_once_they_have_gone(servers: Services) -> None:
    """Most calls look at a hundred of what has gone; the fifty that are left here would leave no room for the job."""
    store = servers.store("uploads-left:", max_client_bytes=MOST_BYTES)
    for _ in range(UPLOADS):
        staged = store.batches.stage(Staging(str(uuid4()), "demo", "demo", UPLOAD_BYTES, 1), {0: b"items"})
        assert staged.verdict is Admitted.STAGED
    assert store.workload.kept("demo")["demo"].size == UPLOADS * (UPLOAD_BYTES + CHUNK_BYTES)
    elapse(servers.redis_url, store, timedelta(hours=1))
    assert store.batches.admit(a_new_job(payload_bytes=JOB_BYTES), {0: b"items"}).verdict is Admitted.ADMITTED
    assert store.workload.kept("demo")["demo"].size == RECORD_BYTES + JOB_BYTES + CHUNK_BYTES
    store.client.close()


def test_what_is_sent_again_of_a_job_that_is_off_the_counts_by_then_is_counted_once(servers: Services) -> None:
    store, new = servers.store("sent-again-late:", retention_seconds=3600), a_new_job()
    store.batches.admit(new, {0: b"items"})
    store.leases.claim(ChunkRef(new.job_id, 0), "tests")
    store.leases.complete(
        ChunkRef(new.job_id, 0), ChunkResult(b"o", dict.fromkeys(COUNTS, 0) | {"failed": 1}, retryable=True)
    )
    elapse(servers.redis_url, store, timedelta(hours=1, minutes=1))
    store.batches.admit(a_new_job(payload_bytes=0), {0: b"items"})  # whoever admits takes off what has gone
    before = store.workload.kept("demo")["demo"]
    again = a_new_job(payload_bytes=0, retry_of=new.job_id)
    assert store.batches.admit(again, {0: b"items"}).verdict is Admitted.ADMITTED
    after = store.workload.kept("demo")["demo"]
    assert (after.jobs - before.jobs, after.size - before.size) == (1, RECORD_BYTES + CHUNK_BYTES)
    assert store.jobs.job(new.job_id).retried_as == again.job_id
    store.client.close()
