"""Every answer of the intake, whole: status, headers and document as the contract has them, and nothing else."""

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import pytest
import redis
from tests.builders import a_batch, a_case
from tests.elapsing import elapse
from tests.integration.intake.answers import JSON, NEVER, accepted, item, job_of, multi_status, problem, require
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

from carecase_worker.cases.outcomes import (
    CANCELLED,
    CREATED,
    NOT_APPLIED,
    REFUSED,
    SUPERSEDED,
    UNAVAILABLE,
    Kind,
    Outcome,
)

RETENTION = timedelta(days=7)
INVALID = Outcome(Kind.INVALID, "case_Status: must have at most 8 characters")


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    with an_intake(servers.redis_url, "answers:", jobs={"chunk_items": 2}) as started:
        yield started


def test_a_batch_is_accepted_with_its_job_and_where_to_find_it(intake: Intake) -> None:
    with intake.client() as client:
        response = client.put("/care-cases-batch", content=a_batch(a_case()))
        require(response, 202, *accepted(response))
        headers = {"prefer": "respond-async, handling=strict, wait=0", "accept": "text/plain"}
        response = client.put("/care-cases-batch", content=a_batch(a_case()), headers=headers)
        actual, document = accepted(response, strict=True)
        actual |= {"preference-applied": "respond-async, wait=0, handling=strict"}
        require(response, 202, {**actual, "content-type": "text/plain; charset=utf-8"}, document)
        sent = a_batch(a_case(7), {}, a_case(8, case_Status="x" * 9))
        response = client.put("/care-cases-batch?validateOnly=true", content=sent)
        items = (
            item(7, 200, "Valid"),
            item(None, 422, "case_Key: is required; carePlan_Key: is required; do_Not_Contact: is required"),
            item(8, 422, INVALID.body),
        )
        require(response, 207, JSON, multi_status(response.json()["debug"]["activityID"], *items))


def test_a_batch_for_a_database_that_is_not_settled_yet_is_accepted_without_a_sequence(intake: Intake) -> None:
    with intake.client() as client:
        headers = {"vbasoftware-database": "third"}
        sent = a_batch(a_case(), a_case(2), a_case(3))
        response = client.put("/care-plans/-5/cases-batch", content=sent, headers=headers)
        changes = {"total": 3, "carePlanKey": -5, "database": "third", "sequence": None}
        require(response, 202, *accepted(response, **changes))
        assert response.json()["job"]["bodySha256"] == sha256(sent).hexdigest()


def test_an_open_job_is_shown_with_its_progress(intake: Intake) -> None:
    job_id = intake.send()
    with intake.client() as client:
        response = client.get(f"/jobs/{job_id}")
        document = job_of(response.json()["data"])
        expected = {"etag": f'"queued-0-{document["sequence"]}"', "vary": "Accept"}
        expected["retry-after"] = response.headers["retry-after"]
        envelope = {"data": document, "error": None, "debug": {"activityID": job_id}}
        require(response, 200, {**JSON, **expected}, envelope)
        same = client.get(f"/jobs/{job_id}", headers={"if-none-match": expected["etag"], "prefer": "wait=0"})
        require(same, 304, {**expected, "preference-applied": "wait=0"}, None)
        response = client.get(f"/jobs/{job_id}/result")
        require(response, 202, *accepted(response))
        response = client.post(f"/jobs/{job_id}/retry")
        words = "The job is not final yet. Wait for it, or cancel it first."
        require(response, 409, JSON, problem(response, "job-conflict", "Conflict", words, f"/jobs/{job_id}/retry"))
        for _ in range(2):
            response = client.delete(f"/jobs/{job_id}")
            require(response, 202, *accepted(response, state="cancelling"))
        intake.finish(job_id, [CANCELLED])
        response = client.get(f"/jobs/{job_id}")
        document = job_of(response.json()["data"], state="cancelled", processed=1, cancelled=1)
        expected = {"etag": f'"cancelled-1-{document["sequence"]}"', "vary": "Accept"}
        require(response, 200, {**JSON, **expected}, {**envelope, "data": document})


def test_a_final_job_has_its_result_until_it_expires(intake: Intake, servers: Services) -> None:
    job_id = intake.send(a_case(1), a_case(2), a_case(3), a_case(4), a_case(5))
    intake.finish(job_id, [CREATED, INVALID, SUPERSEDED, REFUSED, UNAVAILABLE])
    path = f"/jobs/{job_id}"
    texts = {201: "Created", 422: INVALID.body, 200: "Superseded", 500: REFUSED.body, 503: UNAVAILABLE.body}
    whole = [item(1 + place, status, text) for place, (status, text) in enumerate(texts.items())]
    compressible = {**JSON, "vary": "Accept, Accept-Encoding"}
    with intake.client(**{"accept-encoding": "identity"}) as client:
        response = client.get(path)
        document = job_of(
            response.json()["data"], state="completed", total=5, processed=5, created=1, superseded=1, failed=3
        )
        expected = {"etag": f'"completed-5-{document["sequence"]}"', "vary": "Accept"}
        require(response, 200, {**JSON, **expected}, {"data": document, "error": None, "debug": {"activityID": job_id}})
        response = client.delete(path)
        words = "The job is final: there is nothing left to cancel."
        require(response, 409, JSON, problem(response, "job-conflict", "Conflict", words, path))

        response = client.get(f"{path}/result", headers={"prefer": "wait=5, respond-async"})
        require(response, 207, {**compressible, "preference-applied": "wait=5"}, multi_status(job_id, *whole))
        indexed = [{**one, "index": index} for index, one in enumerate(whole)]
        response = client.get(f"{path}/result?page=2&pageSize=2")
        pages = '{"TotalCount":5,"TotalPages":3,"CurrentPage":2,"PageSize":2}'
        require(response, 207, {**compressible, "x-pagination": pages}, multi_status(job_id, *indexed[2:4]))
        response = client.get(f"{path}/result?outcome=failed&page=1")
        pages = '{"TotalCount":3,"TotalPages":1,"CurrentPage":1,"PageSize":100}'
        failed = [indexed[place] for place in (1, 3, 4)]
        require(response, 207, {**compressible, "x-pagination": pages}, multi_status(job_id, *failed))
        response = client.get(f"{path}/result?outcome=updated")
        require(response, 207, compressible, multi_status(job_id))
        for coding in ("gzip", "zstd"):
            response = client.get(f"{path}/result", headers={"accept-encoding": coding})
            require(response, 207, {**compressible, "content-encoding": coding}, multi_status(job_id, *whole))

        response = client.post(f"{path}/retry")
        require(response, 202, *accepted(response, total=2))
        again = client.post(f"{path}/retry")
        require(again, 202, *accepted(response, total=2))
        again = client.post(f"{path}/retry", headers={"idempotency-key": "another"})
        require(again, 202, *accepted(response, total=2))
        another = client.post(f"/jobs/{another_job(intake)}/retry", headers={"idempotency-key": "another"})
        require(another, 202, *accepted(another, total=1))
        other = client.post(f"/jobs/{another_job(intake, 8)}/retry", headers={"idempotency-key": "another"})
        words = "This Idempotency-Key was used before, with other items, database, care plan or handling. Use another."
        instance = other.json()["error"]["instance"]
        require(other, 422, JSON, problem(other, "key-reused", "Unprocessable Content", words, instance))

        elapse(servers.redis_url, intake.store, RETENTION)
        for method, at in (("GET", path), ("GET", f"{path}/result"), ("DELETE", path), ("POST", f"{path}/retry")):
            response = client.request(method, at)
            words = "The job is final and its result is no longer kept."
            require(response, 410, JSON, problem(response, "job-expired", "Gone", words, at))


def another_job(intake: Intake, key: int = 9) -> str:
    job_id = intake.send(a_case(key))
    intake.finish(job_id, [REFUSED])
    return job_id


@pytest.mark.parametrize(
    ("outcomes", "strict", "sent_again"),
    [
        ([CREATED, CREATED, CREATED], False, None),
        ([CREATED, INVALID, SUPERSEDED], False, None),
        ([INVALID, Outcome(Kind.CONFLICT, "case_ID: conflicts"), INVALID], False, None),
        ([CANCELLED, CREATED, CANCELLED], False, [1, 3]),
        ([REFUSED, UNAVAILABLE, INVALID], False, [1, 2]),
        ([UNAVAILABLE, UNAVAILABLE, UNAVAILABLE], False, [1, 2, 3]),
        ([REFUSED, NOT_APPLIED], True, [1, 2]),
        ([INVALID, NOT_APPLIED], True, None),
        ([CANCELLED, CANCELLED], True, [1, 2]),
    ],
)
def test_only_what_failed_for_a_reason_outside_itself_is_sent_again(
    intake: Intake, outcomes: list[Outcome], strict: bool, sent_again: list[int] | None
) -> None:
    cases = [a_case(key + 1, case_Reason=f"of {len(outcomes)}") for key in range(len(outcomes))]
    job_id = intake.send(*cases, **({"prefer": "handling=strict"} if strict else {}))
    intake.finish(job_id, outcomes)
    path = f"/jobs/{job_id}/retry"
    with intake.client() as client:
        response = client.post(path)
        if sent_again is None:
            words = "No item of the job failed for a reason other than its content: there is nothing to retry."
            require(response, 409, JSON, problem(response, "job-conflict", "Conflict", words, path))
            return
        members = {"strict": True} if strict else {}
        require(response, 202, *accepted(response, total=len(sent_again), **members))
        same = a_batch(*(cases[key - 1] for key in sent_again)).replace(b"}, {", b"},{")
        assert response.json()["job"]["bodySha256"] == sha256(same).hexdigest()


@pytest.mark.parametrize(
    ("path", "prefer", "expected"),
    [
        ("/care-cases-batch", "wait=0", (None, False, False)),
        ("/care-cases-batch", "handling=strict", (None, True, False)),
        ("/care-cases-batch?dryRun=true", "wait=0", (None, False, True)),
        ("/care-plans/7/cases-batch", "wait=0", (7, False, False)),
    ],
)
def test_what_is_sent_again_is_applied_as_it_would_have_been(
    intake: Intake, path: str, prefer: str, expected: tuple[int | None, bool, bool]
) -> None:
    job_id = intake.send(path=path, prefer=prefer)
    intake.finish(job_id, [UNAVAILABLE])
    with intake.client() as client:
        document = client.post(f"/jobs/{job_id}/retry").json()["job"]
    again = document["jobId"]
    assert (document.get("strict", False), document.get("dryRun", False)) == expected[1:]
    for job in (intake.store.jobs.job(job_id), intake.store.jobs.job(again)):
        assert (job.care_plan, job.strict, job.dry_run) == expected


@pytest.mark.parametrize(
    ("method", "at"),
    [("GET", "/jobs/{}"), ("DELETE", "/jobs/{}"), ("GET", "/jobs/{}/result"), ("POST", "/jobs/{}/retry")],
)
def test_a_job_of_somebody_else_is_answered_as_one_that_never_was(intake: Intake, method: str, at: str) -> None:
    theirs = intake.send()
    with intake.client("bob") as client:
        for job_id in (str(NEVER), theirs, "no-id", "0", theirs + "0"):
            path = at.format(job_id)
            response = client.request(method, path)
            require(response, 404, JSON, problem(response, "job-not-found", "Not Found", "There is no such job.", path))


def test_the_list_of_jobs_is_a_page_of_their_documents(intake: Intake) -> None:
    with intake.client("bob", **{"vbasoftware-database": "second"}) as client:
        response = client.get("/jobs")
        pages = '{"TotalCount":0,"TotalPages":0,"CurrentPage":1,"PageSize":100}'
        envelope = {"data": [], "error": None, "debug": response.json()["debug"]}
        require(response, 200, {**JSON, "x-pagination": pages}, envelope)
        job_ids = [client.put("/care-cases-batch", content=a_batch(a_case())).json()["job"]["jobId"] for _ in range(3)]
        intake.finish(job_ids[0])
        response = client.get("/jobs?page=2&pageSize=2")
        (first,) = response.json()["data"]
        pages = '{"TotalCount":3,"TotalPages":2,"CurrentPage":2,"PageSize":2}'
        document = job_of(first, jobId=job_ids[0], database="second", state="completed", processed=1, created=1)
        envelope = {"data": [document], "error": None, "debug": response.json()["debug"]}
        require(response, 200, {**JSON, "x-pagination": pages}, envelope)
        assert UUID(envelope["debug"]["activityID"]).version == 7
        response = client.get("/jobs?state=queued&database=second&pageSize=1")
        pages = '{"TotalCount":2,"TotalPages":2,"CurrentPage":1,"PageSize":1}'
        document = job_of(response.json()["data"][0], jobId=job_ids[2], database="second")
        require(
            response,
            200,
            {**JSON, "x-pagination": pages},
            {**envelope, "data": [document], "debug": response.json()["debug"]},
        )


def test_what_nobody_expected_is_a_failure_of_ours_and_shows_nothing(intake: Intake, servers: Services) -> None:
    job_id = intake.send()
    with redis.Redis.from_url(servers.redis_url) as server:
        server.hset(intake.store.keys.job(job_id), "state", "a secret")
    with intake.client() as client:
        response = client.get(f"/jobs/{job_id}")
    words = "The service failed. Try again; if it fails again, report the activityID to the operator of the service."
    require(response, 500, JSON, problem(response, "internal", "Internal Server Error", words, f"/jobs/{job_id}"))
