"""A stream sends progress four times a second at most, and heartbeats when it has nothing to send."""

from tests.event_streams import listening
from tests.integration.intake.events.following import a_job, finish
from tests.integration.intake.intakes import Intake


def test_progress_comes_four_times_a_second_at_most(intake: Intake) -> None:
    job_id = a_job(intake)
    with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
        stream.until("progress")
        finish(intake, job_id)
        assert [event.name for event in stream.until("final")].count("progress") <= 1


def test_a_silent_stream_is_kept_alive(intake: Intake) -> None:
    job_id = a_job(intake)
    with intake.client() as client, listening(client, f"/jobs/{job_id}/events") as stream:
        events = stream.all()
        assert [next(events).name for _ in range(3)] == ["progress", "heartbeat", "heartbeat"]
        assert stream.comments == 2
