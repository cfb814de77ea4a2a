"""A listener without a right to a stream, or one too many, is refused."""

from typing import Any

import httpx
import pytest
from tests.acceptance.system import eventually
from tests.event_streams import Listening, listening
from tests.integration.intake.events.following import a_job
from tests.integration.intake.intakes import Intake
from tests.plain_http import http_get


@pytest.mark.parametrize("last_id", ["x", "0-9", "3,1", "1-0", "0-2,2", "9" * 7, "end"])
def test_an_id_of_another_stream_is_refused(intake: Intake, last_id: str) -> None:
    with intake.client() as client:
        for path in (f"/jobs/{a_job(intake)}/events", "/jobs/events"):
            response = client.get(path, headers={"last-event-id": last_id})
            assert response.status_code == 400
            assert "Last-Event-ID is not an id of this stream" in response.json()["error"]["detail"]


def test_a_job_of_another_is_as_one_that_never_was(intake: Intake) -> None:
    job_id = a_job(intake)
    with intake.client("bob") as client:
        responses = [
            client.get(f"/jobs/{name}/events") for name in (job_id, "019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77", "x")
        ]
    assert {(response.status_code, response.json()["error"]["detail"]) for response in responses} == {
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
        listenerams = listening(client, where)
        stream: Listening = listenerams.__enter__()
        assert stream.answer.status_code == 200
        return listenerams

    def is_free() -> bool:
        output = http_get(f"{intake.url}/metrics").text
        return all(
            float(line.split()[-1]) == 0 for line in output.splitlines() if line.startswith("carecase_event_streams{")
        )

    eventually(is_free, what="what was heard before is over")
    with intake.client() as ann, intake.client("bob") as bob:
        streams = [opened(ann, path) for _ in range(3)]
        refused = ann.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        streams.append(opened(bob, "/jobs/events"))
        assert bob.get("/jobs/events").status_code == 503

        def is_told() -> bool:  # the page is made anew once a second
            output = http_get(f"{intake.url}/metrics").text
            refused = 'carecase_event_streams_refused_total{bound="client"} 1.0'
            return 'carecase_event_streams{client="ann"} 3.0' in output and refused in output

        eventually(is_told, what="the metrics tell of three streams and a refusal")
        for one in streams:
            one.__exit__(None, None, None)

        def left() -> bool:
            return 'carecase_event_streams{client="ann"} 0.0' in http_get(f"{intake.url}/metrics").text

        eventually(left, what="the places are free again")
