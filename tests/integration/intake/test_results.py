"""A result reads no more than it must, and says something before it has read all of it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.requests import Request
from tests.builders import a_new_job
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import UNSEALED
from carecase_worker.batches.payloads import ChunkOutcomes, pack_done
from carecase_worker.cases.outcomes import CREATED, UPDATED, Kind, Outcome
from carecase_worker.intake.http.requests.paging import Page
from carecase_worker.intake.jobs.results import OutcomeFilter, ResultQuery, Results
from carecase_worker.intake.limits.threads import ClientThreads, Processor, Threads
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.store.job import Job
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.operations.claims import ChunkResult

CHUNKS, SIZE = 30, 10


class WatchedStore(JobStore):
    """A job store that notes which chunks' outcomes were read, in which order."""

    def outcomes(self, job_id: str, chunk_nos: Sequence[int]) -> list[bytes | None]:
        self.read = [*getattr(self, "read", []), list(chunk_nos)]
        return super().outcomes(job_id, chunk_nos)


@pytest.fixture(scope="module")
def results(servers: Services) -> tuple[Results, WatchedStore, Job]:
    return results_of(servers, SIZE)


def results_of(servers: Services, size: int) -> tuple[Results, WatchedStore, Job]:
    """The results of a job of thirty chunks; in chunks 7 and 20 one item failed, and chunk 9 was updated."""
    settings = RedisSettings.model_validate({"url": servers.redis_url, "prefix": "results:"})
    store = Stores(settings, JobSettings())
    watched = WatchedStore(store.client, JobSettings())
    new = a_new_job(total=CHUNKS * size, chunk_firsts=tuple(range(0, CHUNKS * size, size)))
    store.batches.admit(new, dict.fromkeys(range(CHUNKS), b"p"))
    for number in range(CHUNKS):
        outcomes = [UPDATED if number == 9 else CREATED] * size
        if number in (7, 20):
            outcomes[3] = Outcome(Kind.INVALID, "case_Status: must have at most 8 characters")
        packed = pack_done(ChunkOutcomes([number * size + place for place in range(size)], outcomes))
        failed = sum(outcome.kind.failed for outcome in outcomes)
        counts = {"failed": failed, "updated" if number == 9 else "created": size - failed}
        store.leases.complete(ChunkRef(new.job_id, number), ChunkResult(packed, counts))
    threads = ClientThreads(Processor(IntakeSettings()), Threads(1, 1))
    return Results(watched, UNSEALED, threads), watched, store.jobs.job(new.job_id)


def read_result(results: tuple[Results, WatchedStore, Job], wanted: ResultQuery) -> tuple[list[int], list[list[int]]]:
    """The keys of the result, and the chunks that were read for it."""
    answers, store, job = results
    store.read = []
    request = Request({"type": "http", "method": "GET", "headers": []})
    given: list[int] = []
    response: Any = answers.answer(request, job, wanted, {}, given.append)

    async def body() -> bytes:
        return b"".join([piece async for piece in response.body_iterator])

    items = json.loads(asyncio.run(body()))["data"]
    assert given == [len(items)], "it is told beforehand how many are given"
    assert all(item["index"] == item["id"][0]["value"] for item in items if "index" in item)
    return [item["id"][0]["value"] for item in items], store.read


def test_a_page_reads_its_chunks_only(results: tuple[Results, WatchedStore, Job]) -> None:
    assert read_result(results, ResultQuery(page=Page(3, 10))) == (list(range(20, 30)), [[2]])
    assert read_result(results, ResultQuery(page=Page(2, 15))) == (list(range(15, 30)), [[1], [2]])
    assert read_result(results, ResultQuery(page=Page(31, 10))) == ([], [])


def test_an_outcome_reads_the_chunks_that_have_it_only(results: tuple[Results, WatchedStore, Job]) -> None:
    assert read_result(results, ResultQuery(outcome=OutcomeFilter.FAILED)) == ([73, 203], [[7], [20]])
    assert read_result(results, ResultQuery(Page(2, 1), OutcomeFilter.FAILED)) == ([203], [[20]])
    assert read_result(results, ResultQuery(Page(2, 4), OutcomeFilter.UPDATED)) == ([94, 95, 96, 97], [[9]])
    assert read_result(results, ResultQuery(outcome=OutcomeFilter.CANCELLED)) == ([], [])


def test_an_answer_begins_with_what_is_worth_sending(servers: Services) -> None:
    """That is 64 KiB: with a chunk of a thousand items it does not wait for another one."""
    answers, store, job = results_of(servers, 1000)
    store.read = []
    answers.answer(Request({"type": "http", "method": "GET", "headers": []}), job, ResultQuery(), {}, lambda _: None)
    assert store.read == [[0]]
    keys, read = read_result((answers, store, job), ResultQuery())
    assert keys == list(range(CHUNKS * 1000))
    assert max(map(len, read)) <= 8


def test_who_asks_for_the_head_only_has_no_more_of_the_result_read(servers: Services) -> None:
    answers, store, job = results_of(servers, 1000)
    store.read = []
    request, given = Request({"type": "http", "method": "GET", "headers": [], "carecase.head": True}), list[int]()
    response: Any = answers.answer(request, job, ResultQuery(), {}, given.append)

    async def sent() -> None:
        async for _ in response.body_iterator:
            pass

    asyncio.run(sent())
    assert store.read == [[0]]
    assert not given, "nobody is given an outcome"
