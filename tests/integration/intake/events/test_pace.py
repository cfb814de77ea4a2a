"""A stream sends progress four times a second at most, and heartbeats when it has nothing to send."""

import time

from structlog.testing import capture_logs
from tests.acceptance.system import eventually
from tests.event_streams import listening
from tests.integration.intake.events.following import CHUNK, CHUNKS, a_job, commit, finish
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services


def test_progress_comes_four_times_a_second_at_most(intake: Intake) -> None:
    job_id, began = a_job(intake), time.monotonic()
    with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
        stream.until("progress")
        for number in range(CHUNKS - 1):
            commit(intake, job_id, number)
            time.sleep(0.08)  # more often than that
        seen = [stream.until("progress")[-1].data]
        while seen[-1]["processed"] < CHUNK * (CHUNKS - 1):
            seen.append(stream.until("progress")[-1].data)
    assert len(seen) <= (time.monotonic() - began) / 0.25


def test_progress_at_the_end_of_a_job_comes_with_it(intake: Intake) -> None:
    job_id = a_job(intake)
    with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
        stream.until("progress")
        began = time.monotonic()
        finish(intake, job_id)
        names = [event.name for event in stream.until("final")]
        assert names.count("progress") <= 1 + (time.monotonic() - began) // 0.25


def test_a_stream_is_logged_with_the_database_of_its_job(intake: Intake) -> None:
    job_id = a_job(intake)
    finish(intake, job_id)
    with capture_logs() as logs, intake.client() as client:
        client.headers.pop("vbasoftware-database", None)  # it would be logged for whoever names one
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


def test_a_stream_is_one_request_of_its_clients_rate_however_long_it_lasts(servers: Services) -> None:
    """Before each event it is looked at whether the credentials are still good, which is no request of the client."""
    jobs = {"chunk_items": CHUNK, "width": CHUNKS}
    settings = {"rate_per_second": 0.001, "rate_burst": 3, "event_heartbeat_seconds": 0.02}
    with an_intake(servers.redis_url, "onerequest:", jobs=jobs, intake=settings) as intake:
        job_id = a_job(intake)
        with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
            events = stream.all()
            assert [next(events).name for _ in range(10)] == ["progress", *["heartbeat"] * 9]
            finish(intake, job_id)
            stream.until("final")
