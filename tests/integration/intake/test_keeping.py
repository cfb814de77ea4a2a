"""What a client can have the service keep is bounded, and what it does not need any more it can have removed."""

from collections.abc import Iterator
from hashlib import sha512
from itertools import count
from typing import Any

import httpx
import pytest
import redis
from structlog.testing import capture_logs
from tests.builders import a_batch, a_case
from tests.integration.intake.intakes import Intake, an_intake
from tests.plain_http import http_get
from tests.services import Services

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.cases.outcomes import CANCELLED, CREATED, REFUSED
from carecase_worker.store.operations.claims import ChunkResult

LIMITS = {"max_client_jobs": 3, "max_client_bytes": 30_000, "max_database_jobs": 5, "max_database_bytes": 50_000}
_prefixes = count()


@pytest.fixture
def intake(servers: Services) -> Iterator[Intake]:
    with an_intake(servers.redis_url, f"keeping{next(_prefixes)}:", jobs=LIMITS) as started:
        yield started


def hash_of(number: int) -> str:
    """Noise that does not compress, of 128 letters."""
    return sha512(b"%d" % number).hexdigest()


def put(intake: Intake, *cases: Any, name: str = "ann", database: str = "demo") -> httpx.Response:
    with intake.client(name, **{"vbasoftware-database": database}) as client:
        return client.put("/care-cases-batch", content=a_batch(*(cases or (a_case(),))))


def require_problem(response: httpx.Response, status: int, kind: str, *words: str) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (status, f"urn:carecase:problem:{kind}"), response.text
    assert all(word in error["detail"] for word in words), error["detail"]
    assert ("retry-after" in response.headers) == (status == 503)


def test_a_client_has_so_many_jobs_kept_and_purging_makes_room(intake: Intake) -> None:
    """Of a database: others have shares of their own, and the share of all is the sum's bound."""
    jobs = [intake.send() for _ in range(3)]
    for job_id in jobs:
        intake.finish(job_id)
    require_problem(put(intake), 507, "storage-full", "this client's share", "DELETE /jobs/{jobId}?purge=true")
    output = http_get(f"{intake.url}/metrics").text
    size = intake.store.workload.kept("demo")["ann"].size
    assert 3 * 4096 < size < 4 * 4096
    for line in ('jobs{client="ann",database="demo"} 3.0', f'bytes{{client="ann",database="demo"}} {size}.0'):
        assert f"carecase_kept_{line}" in output
    assert put(intake, name="bob").status_code == put(intake, database="second").status_code == 202
    with intake.client() as client:
        assert client.delete(f"/jobs/{jobs[1]}?purge=true").status_code == 204
    assert put(intake).status_code == 202
    require_problem(put(intake), 507, "storage-full", "this client's share")
    assert put(intake, name="bob").status_code == 202
    require_problem(put(intake, name="bob"), 507, "storage-full", "the share of all clients", "purge")


def test_open_work_in_the_way_is_503_and_results_are_507(intake: Intake) -> None:
    many = [a_case(n, case_Reason=hash_of(n)) for n in range(200)]
    first = put(intake, *many).json()["job"]["jobId"]
    assert 15_000 < intake.store.workload.kept("demo")["ann"].size < 25_000, "there is room for one, and for no other"
    require_problem(put(intake, *many), 503, "backlog-full", "this client's share", "once some of them have ended")
    intake.store.leases.complete(ChunkRef(first, 0), ChunkResult(b"o" * 20_000, {"created": 200}))
    require_problem(put(intake, *many), 507, "storage-full", "this client's share")


def test_what_is_uploaded_counts_before_it_is_a_job_and_goes_when_it_is_refused(intake: Intake) -> None:
    """A body of several megabytes of noise, of which the first is refused already: nothing of it stays."""
    noise = [a_case(n, case_Reason=hash_of(n)) for n in range(30_000)]
    require_problem(put(intake, *noise), 507, "storage-full", "this client's share")
    assert {client: kept.size for client, kept in intake.store.workload.kept("demo").items()} in ({}, {"ann": 0})


def test_a_retry_and_a_cancel_again_and_again_keep_one_copy(servers: Services, intake: Intake) -> None:
    """Two requests without a body would else keep as much as the first batch, for a week."""
    job_id = put(intake, *(a_case(n, case_Reason=str(n * 7919)) for n in range(100))).json()["job"]["jobId"]
    intake.finish(job_id, [REFUSED] * 100)
    sizes = []
    with intake.client() as client, redis.Redis.from_url(servers.redis_url) as server:
        for number in range(2):
            responses = [
                client.post(f"/jobs/{job_id}/retry", headers={"idempotency-key": f"{number} {n}"}) for n in range(3)
            ]
            assert [response.status_code for response in responses] == [202] * 3
            (job_id,) = {response.json()["job"]["jobId"] for response in responses}
            assert client.delete(f"/jobs/{job_id}").status_code == 202
            intake.finish(job_id, [CANCELLED] * 100)
            payloads = set(server.scan_iter(f"{intake.settings.redis.prefix}payload:*", count=10_000))
            sizes.append([sum(map(len, server.hvals(payload))) for payload in payloads])
    assert [len(each) for each in sizes] == [1, 1]


@pytest.mark.parametrize("outcome", [CREATED, REFUSED])
def test_a_job_that_is_purged_has_expired(servers: Services, intake: Intake, outcome: Any) -> None:
    job_id = intake.send(**{"idempotency-key": "k"})
    with intake.client() as client, intake.client("bob") as stranger:
        early = client.delete(f"/jobs/{job_id}?purge=true")
        require_problem(early, 409, "job-conflict", "not final yet", "cancel it first")
        intake.finish(job_id, [outcome])
        assert stranger.delete(f"/jobs/{job_id}?purge=true").status_code == 404
        assert client.delete(f"/jobs/{job_id}?purge=false").status_code == 409, "it is final, and kept"
        purged = client.delete(f"/jobs/{job_id}?purge=true")
        assert (purged.status_code, purged.content) == (204, b"")
        for method, path in (("GET", ""), ("GET", "/result"), ("POST", "/retry"), ("DELETE", "?purge=true")):
            response = client.request(method, f"/jobs/{job_id}{path}")
            require_problem(response, 410, "job-expired", "no longer kept")
        assert client.get("/jobs").json()["data"] == []
    with redis.Redis.from_url(servers.redis_url) as server:
        left = [key for key in server.scan_iter(f"{intake.settings.redis.prefix}*", count=10_000) if job_id in str(key)]
        assert [key.decode().partition(":")[2].partition(":")[0] for key in left] == ["job"]
        assert server.hget(left[0], "sha256") == b""
    assert intake.send(**{"idempotency-key": "k"}) != job_id


def test_a_job_that_is_purged_leaves_a_line_in_the_log(intake: Intake) -> None:
    job_id = intake.send()
    intake.finish(job_id)
    with capture_logs() as logs, intake.client() as client:
        client.delete(f"/jobs/{job_id}?purge=true")
    (line,) = [line for line in logs if line["event"] == "job purged"]
    assert (line["job_id"], line["client"], line["database"], line["items"]) == (job_id, "ann", "demo", 1)
