"""A listener gets progress, outcomes and the end, also if it was cut off meanwhile: nothing is lost or comes twice."""

from itertools import islice
from pathlib import Path

from tests.event_streams import listening
from tests.integration.audit.logs import lines_of
from tests.integration.intake.events.following import CHUNK, CHUNKS, a_job, commit, finish, runs_of
from tests.integration.intake.intakes import Intake

from carecase_worker.cases.outcomes import UPDATED

ENOUGH = 100
"""Events of which a few come before the end; the others are heartbeats, five a second."""


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


def test_a_job_is_followed_by_any_spelling_of_its_id(intake: Intake) -> None:
    job_id = a_job(intake)
    with (
        intake.client() as client,
        listening(client, f"/jobs/{job_id}/events") as usual,
        intake.client() as other,
        listening(other, f"/jobs/{job_id.upper()}/events") as stream,
    ):
        usual.until("progress")
        commit(intake, job_id, 0)
        usual.until("outcomes")
        events = stream.all()
        assert "heartbeat" in {event.name for event in islice(events, 4)}, "it has nothing more to look at"
        finish(intake, job_id)
        assert "final" in {event.name for event in islice(events, ENOUGH)}


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
