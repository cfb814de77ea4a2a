"""Streams of events: progress, outcomes as chunks are committed, the end; cut off and gone on with, nothing is lost."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from tests.acceptance.system import eventually
from tests.builders import a_case
from tests.event_streams import Listening, SentEvent, listening
from tests.integration.intake.intakes import Intake, an_intake
from tests.integration.test_audit_log import lines_of
from tests.plain_http import http_get
from tests.services import Services

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.payloads import ChunkOutcomes, pack_done
from carecase_worker.cases.outcomes import CREATED, UPDATED, Outcome
from carecase_worker.client.api import connect, connect_async
from carecase_worker.client.documents import Job
from carecase_worker.client.events import JobEvent
from carecase_worker.errors import JobUnknown
from carecase_worker.store.operations.claims import ChunkResult

CHUNK, CHUNKS = 3, 4


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("events") / "audit"


@pytest.fixture(scope="module")
def intake(servers: Services, place: Path) -> Iterator[Intake]:
    sections: dict[str, Any] = {
        "jobs": {"chunk_items": CHUNK, "width": CHUNKS},
        "intake": {
            "event_heartbeat_seconds": 0.2,
            "max_event_streams": 4,
            "max_event_streams_per_client": 3,
            "max_wait_seconds": 5,
        },
        "audit": {"directory": str(place)},
    }
    with an_intake(servers.redis_url, "events:", **sections) as started:
        yield started


def a_job(intake: Intake) -> str:
    return intake.send(*(a_case(key) for key in range(1, CHUNK * CHUNKS + 1)))


def commit(intake: Intake, job_id: str, number: int, outcome: Outcome = CREATED) -> None:
    """Commit a chunk as a worker would."""
    intake.store.claim(ChunkRef(job_id, number), "tests")
    keys = [CHUNK * number + place + 1 for place in range(CHUNK)]
    packed = pack_done(ChunkOutcomes(keys, [outcome] * CHUNK))
    intake.store.complete(ChunkRef(job_id, number), ChunkResult(packed, {outcome.kind.counted_as: CHUNK}))


def finish(intake: Intake, job_id: str) -> None:
    for number in range(CHUNKS):
        commit(intake, job_id, number)


def runs_of(events: list[SentEvent]) -> list[tuple[int, int, int]]:
    return [
        (run["index"], run["count"], run["status"]) for event in events if event.name == "outcomes"
        for run in event.data["runs"]
    ]  # fmt: skip


def test_a_job_is_followed_from_its_first_chunk_to_its_end(intake: Intake) -> None:
    job_id = a_job(intake)
    with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
        headers = stream.answer.headers
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        assert [event.data["state"] for event in stream.until("progress")] == ["queued"]
        commit(intake, job_id, 2, UPDATED)
        first = stream.until("progress")
        assert runs_of(first) == [(6, 3, 200)]
        assert (first[-1].data["processed"], first[-1].last_id) == (3, "2")
        for number in (0, 1, 3):
            commit(intake, job_id, number)
        rest = stream.until("final")
        assert runs_of(rest) == [(0, 3, 201), (3, 3, 201), (9, 3, 201)]
        assert (rest[-1].data["state"], rest[-1].data["created"], rest[-1].last_id) == ("completed", 9, "end")
        assert list(stream.all()) == [], "the stream ends"
    with intake.client() as client, listening(client, f"/jobs/{job_id}/events", "end") as stream:
        assert stream.answer.status_code == 204, "so a browser does not connect anew"


def test_who_is_cut_off_gets_what_came_meanwhile_and_nothing_twice(intake: Intake) -> None:
    job_id = a_job(intake)
    commit(intake, job_id, 1)
    with intake.client() as client:
        with listening(client, f"/jobs/{job_id}/events") as stream:
            assert runs_of(stream.until("progress")) == [(3, 3, 201)]
        finish(intake, job_id)
        with listening(client, f"/jobs/{job_id}/events", stream.last_id) as stream:
            assert runs_of(stream.until("final")) == [(0, 3, 201), (6, 3, 201), (9, 3, 201)]


def test_without_outcomes_nothing_is_read_and_nothing_recorded(intake: Intake, place: Path) -> None:
    job_id = a_job(intake)
    before = len(lines_of(place))
    with intake.client() as client, listening(client, f"/jobs/{job_id}/events?outcomes=false") as stream:
        finish(intake, job_id)
        assert {event.name for event in stream.until("final")} <= {"progress", "final"}
    assert len(lines_of(place)) == before
    with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
        stream.until("final")
    (read,) = lines_of(place)[before:]
    assert (b'"event":"read"' in read, f'"job":"{job_id}","count":12'.encode() in read) == (True, True)


def test_progress_comes_four_times_a_second_at_most(intake: Intake) -> None:
    job_id = a_job(intake)
    with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
        stream.until("progress")
        finish(intake, job_id)
        assert [event.name for event in stream.until("final")].count("progress") <= 1


def test_a_stream_is_logged_with_the_database_of_its_job(intake: Intake) -> None:
    job_id = a_job(intake)
    finish(intake, job_id)
    with capture_logs() as logs, intake.client() as client:
        client.headers.pop("vbasoftware-database", None)  # of whoever names one, that would be told
        with listening(client, f"/jobs/{job_id}/events") as stream:
            stream.until("final")
        line = eventually(lambda: next((one for one in logs if one["event"] == "request"), None), what="it is logged")
    assert (line["client"], line["database"]) == ("ann", "demo")


def test_a_silent_stream_is_kept_alive(intake: Intake) -> None:
    job_id = a_job(intake)
    with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
        events = stream.all()
        assert [next(events).name for _ in range(3)] == ["progress", "heartbeat", "heartbeat"]
        assert stream.comments == 2


def test_the_jobs_of_a_client_are_followed_and_no_end_is_lost(intake: Intake) -> None:
    old, first, second = a_job(intake), a_job(intake), a_job(intake)
    finish(intake, old)
    with intake.client() as client:
        with listening(client, "/jobs/events") as stream:
            next(stream.all())  # the stream is open
            commit(intake, first, 0)
            assert [event.data["jobId"] for event in stream.until("progress")] == [first]
            finish(intake, second)
            *_, end = stream.until("final")
            assert (end.data["jobId"], end.data["state"]) == (second, "completed")
        third = a_job(intake)
        finish(intake, third)
        finish(intake, first)
        with listening(client, "/jobs/events", stream.last_id) as stream:
            ends = [stream.until("final")[-1].data["jobId"] for _ in range(2)]
            assert ends == [third, first], "in the order of their ends, and none that was told before"
    with intake.client("bob") as other, listening(other, "/jobs/events") as stream:
        events = stream.all()
        next(events)
        finish(intake, a_job(intake))
        assert next(events).name == "heartbeat", "another client's jobs are nothing to it"


def test_a_job_that_is_cancelled_or_waits_says_so(intake: Intake) -> None:
    job_id = a_job(intake)
    with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
        stream.until("progress")
        client.delete(f"/jobs/{job_id}")
        assert stream.until("progress")[-1].data["state"] == "cancelling"


@pytest.mark.parametrize("last_id", ["x", "0-9", "3,1", "1-0", "0-2,2", "9" * 7])
def test_an_id_of_another_stream_is_refused(intake: Intake, last_id: str) -> None:
    with intake.client() as client:
        for path in (f"/jobs/{a_job(intake)}/events", "/jobs/events"):
            answer = client.get(path, headers={"last-event-id": last_id})
            assert answer.status_code == 400
            assert "Last-Event-ID is not an id of this stream" in answer.json()["error"]["detail"]


def test_a_job_of_another_is_as_one_that_never_was(intake: Intake) -> None:
    job_id = a_job(intake)
    with intake.client("bob") as client:
        answers = [client.get(f"/jobs/{name}/events") for name in (job_id, "019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77", "x")]
    assert {(answer.status_code, answer.json()["error"]["detail"]) for answer in answers} == {
        (404, "There is no such job.")
    }


def test_who_accepts_no_events_gets_none(intake: Intake) -> None:
    job_id = a_job(intake)
    with intake.client() as client:
        refused = client.get(f"/jobs/{job_id}/events", headers={"accept": "application/json"})
        assert (refused.status_code, "text/event-stream" in refused.json()["error"]["detail"]) == (406, True)
        head = client.head(f"/jobs/{job_id}/events", headers={"accept": "text/event-stream"})
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("text/event-stream")
        assert client.get(f"/jobs/{job_id}", headers={"accept": "text/event-stream"}).status_code == 406


def test_streams_are_bounded_for_each_client_and_for_all(intake: Intake) -> None:
    job_id = a_job(intake)
    path = f"/jobs/{job_id}/events"

    def opened(client: httpx.Client, where: str) -> Any:
        held = listening(client, where)
        stream: Listening = held.__enter__()
        assert stream.answer.status_code == 200
        return held

    def is_free() -> bool:
        told = http_get(f"{intake.url}/metrics").text
        return all(
            float(line.split()[-1]) == 0 for line in told.splitlines() if line.startswith("carecase_event_streams{")
        )

    eventually(is_free, what="what was heard before is over")
    with intake.client() as ann, intake.client("bob") as bob:
        held = [opened(ann, path) for _ in range(3)]
        refused = ann.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        held.append(opened(bob, "/jobs/events"))
        assert bob.get("/jobs/events").status_code == 503

        def is_told() -> bool:  # the page is made anew once a second
            told = http_get(f"{intake.url}/metrics").text
            refused = 'carecase_event_streams_refused_total{bound="client"} 1.0'
            return 'carecase_event_streams{client="ann"} 3.0' in told and refused in told

        eventually(is_told, what="the metrics tell of three streams and a refusal")
        for one in held:
            one.__exit__(None, None, None)

        def left() -> bool:
            return 'carecase_event_streams{client="ann"} 0.0' in http_get(f"{intake.url}/metrics").text

        eventually(left, what="the places are free again")


def test_a_client_of_http_1_0_reads_until_the_end(intake: Intake) -> None:
    job_id = a_job(intake)
    finish(intake, job_id)
    with intake.client() as client:
        credentials = "".join(f"{name}: {client.headers[name]}\r\n" for name in ("x-api-key", "authorization"))
    host, port = intake.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(f"GET /jobs/{job_id}/events HTTP/1.0\r\n{credentials}\r\n".encode())
        said = b""
        while piece := connection.recv(65536):
            said += piece
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body.startswith(b"retry: 2000\n")
    assert b"event: final\n" in body


def test_a_key_that_is_revoked_ends_the_stream(servers: Services, tmp_path: Path) -> None:
    revoked = tmp_path / "revoked"
    revoked.write_text("")
    sections: dict[str, Any] = {
        "jwt": {"revoked_file": str(revoked), "revoked_refresh_seconds": 0.05},
        "intake": {"event_heartbeat_seconds": 0.2},
    }
    with an_intake(servers.redis_url, "revokedevents:", **sections) as intake:
        job_id = intake.send()
        with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
            stream.until("progress")
            revoked.write_text("client ann\n")
            assert list(stream.events()) == []


def test_a_process_that_stops_ends_its_streams(servers: Services) -> None:
    with an_intake(servers.redis_url, "stoppedevents:") as intake:
        job_id = intake.send()
        seen: list[SentEvent] = []

        def listen() -> None:
            with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
                opened.set()
                seen.extend(stream.events())

        opened = threading.Event()
        thread = threading.Thread(target=listen)
        thread.start()
        assert opened.wait(10)
    thread.join(10)
    assert not thread.is_alive()
    assert [event.name for event in seen] == ["progress"]


def test_what_is_committed_so_far_is_paged(intake: Intake, place: Path) -> None:
    job_id = a_job(intake)
    with intake.client() as client:
        nothing = client.get(f"/jobs/{job_id}/result?partial=true")
        assert (nothing.status_code, nothing.json()["data"]) == (207, [])
        commit(intake, job_id, 2, UPDATED)
        commit(intake, job_id, 1)
        before = len(lines_of(place))
        page = client.get(f"/jobs/{job_id}/result?partial=true&page=2&pageSize=4")
        assert [(item["index"], item["status"]) for item in page.json()["data"]] == [(7, 200), (8, 200)]
        assert page.headers["x-pagination"] == '{"TotalCount":6,"TotalPages":2,"CurrentPage":2,"PageSize":4}'
        assert "retry-after" in page.headers
        assert b'"count":2' in lines_of(place)[before]
        updated = client.get(f"/jobs/{job_id}/result?partial=true&outcome=updated").json()["data"]
        assert [item["id"][0]["value"] for item in updated] == [7, 8, 9]
        assert client.get(f"/jobs/{job_id}/result").status_code == 202
        for number in (0, 3):
            commit(intake, job_id, number)
        whole = client.get(f"/jobs/{job_id}/result?partial=true")
        assert [item["index"] for item in whole.json()["data"]] == list(range(CHUNK * CHUNKS))
        assert "retry-after" not in whole.headers


def test_the_client_follows_a_job_to_its_end(intake: Intake) -> None:
    job_id = a_job(intake)
    names: list[str] = []
    begun = threading.Event()

    def told(event: JobEvent) -> None:
        names.append(event.name)
        begun.set()

    def end() -> None:
        assert begun.wait(10)
        finish(intake, job_id)

    thread = threading.Thread(target=end)
    thread.start()
    with intake.client() as client:
        token = client.headers["authorization"].removeprefix("Bearer ")
        key = client.headers["x-api-key"]
    with connect(intake.url, api_key=key, token=token) as cases:
        assert cases.follow(job_id, told).created == CHUNK * CHUNKS
        with pytest.raises(JobUnknown):
            cases.follow("019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77", told)
    thread.join()
    assert (names[0], names[-1], names.count("outcomes")) == ("progress", "final", CHUNKS)

    async def again() -> Job:
        async with connect_async(intake.url, api_key=key, token=token) as cases:
            return await cases.follow(job_id, told, outcomes=False)

    assert asyncio.run(again()).final
    assert names[-1] == "final"
