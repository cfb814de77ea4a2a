"""A stream ends with the job, with the key of its listener, or with the process."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.event_streams import SentEvent, listening
from tests.integration.intake.events.following import CHUNK, CHUNKS, a_job, finish
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

from carecase_worker.client.api import connect, connect_async
from carecase_worker.client.documents import Job
from carecase_worker.client.events import JobEvent
from carecase_worker.errors import JobUnknown


def test_a_client_of_http_1_0_reads_until_the_end(intake: Intake) -> None:
    job_id = a_job(intake)
    finish(intake, job_id)
    with intake.client() as client:
        credentials = "".join(f"{name}: {client.headers[name]}\r\n" for name in ("x-api-key", "authorization"))
    host, port = intake.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(f"GET /jobs/{job_id}/events HTTP/1.0\r\n{credentials}\r\n".encode())
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
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


def test_the_client_follows_a_job_to_its_end(intake: Intake) -> None:
    job_id = a_job(intake)
    names: list[str] = []
    begun = threading.Event()

    def on_event(event: JobEvent) -> None:
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
        assert cases.follow(job_id, on_event).created == CHUNK * CHUNKS
        with pytest.raises(JobUnknown):
            cases.follow("019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77", on_event)
    thread.join()
    assert (names[0], names[-1], names.count("outcomes")) == ("progress", "final", CHUNKS)

    async def again() -> Job:
        async with connect_async(intake.url, api_key=key, token=token) as cases:
            return await cases.follow(job_id, on_event, outcomes=False)

    assert asyncio.run(again()).final
    assert names[-1] == "final"
