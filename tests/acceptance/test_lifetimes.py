"""What time does: a job expires, a body does not arrive, waiting is bounded, a stop ends it."""

import signal
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from tests.acceptance.system import System, eventually, running
from tests.builders import a_case
from tests.pausing import paused_workers

CONFIG = """
[intake]
max_wait_seconds = 5
body_timeout_seconds = 3
[jobs]
retention_seconds = 12
"""


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that keeps results for seconds and waits for nobody."""
    place = tmp_path_factory.mktemp("hasty")
    (place / "hasty.toml").write_text(CONFIG)
    with running(place, "--workers", "1", "--config", "hasty.toml") as started:
        yield started


def test_a_job_that_has_expired_is_gone_for_as_long_again_and_then_was_never(hasty: System) -> None:
    key = {"Idempotency-Key": "once"}
    with hasty.client() as client:
        sent = client.put("/care-cases-batch", json=[a_case(1)], headers={**key, "Prefer": "wait=2"})
        job_id = sent.json()["debug"]["activityID"]
        hasty.final(job_id)
        assert job_id in client.get("/jobs").text
        paths = [f"/jobs/{job_id}", f"/jobs/{job_id}/result"]
        eventually(lambda: client.get(paths[0]).status_code != 200)
        for path in paths:
            gone = client.get(path)
            assert gone.status_code == gone.json()["error"]["status"] == 410
            assert client.get(path, headers={"Prefer": "wait=2"}).status_code == 410
        assert client.delete(paths[0]).status_code == client.post(f"{paths[0]}/retry").status_code == 410
        assert job_id not in client.get("/jobs").text
        with hasty.client("other") as stranger:
            assert stranger.get(paths[0]).status_code == 404
        eventually(lambda: client.get(paths[0]).status_code != 410)
        absent = client.get(f"/jobs/{UUID(int=5)}").json()["error"]
        for path in paths:
            never = client.get(path)
            assert never.status_code == 404
            assert never.json()["error"]["detail"] == absent["detail"]
        again = client.put("/care-cases-batch", json=[a_case(1)], headers=key)
        assert again.json()["job"]["jobId"] != job_id, "a key is kept as long as the result"


def test_nobody_waits_longer_than_is_configured(hasty: System) -> None:
    with paused_workers(hasty), hasty.client() as client:
        began = time.monotonic()
        response = client.put("/care-cases-batch", json=[a_case(2)], headers={"Prefer": "wait=40"})
        assert 5 <= time.monotonic() - began < 30
    assert (response.status_code, response.headers["preference-applied"]) == (202, "wait=5")


def test_a_body_that_does_not_arrive_is_not_waited_for(hasty: System) -> None:
    address = urlsplit(hasty.stack["intake"]["url"])
    with hasty.client() as client:
        headers = "\r\n".join(f"{name}: {value}" for name, value in client.headers.items())
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        head = f"PUT /care-cases-batch HTTP/1.1\r\nHost: x\r\n{headers}\r\nContent-Type: text/json\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\n[{{".encode())
        response = b""
        while piece := connection.recv(65536):
            response += piece
    assert response.startswith(b"HTTP/1.1 408 ")
    assert b'"status":408' in response
    assert b"connection: close" in response.lower()


def test_a_stop_answers_those_who_wait(hasty: System) -> None:
    with (
        paused_workers(hasty),
        hasty.client() as client,
        socket.create_connection((client.base_url.host, client.base_url.port)) as c,
    ):
        job_id = client.put("/care-cases-batch", json=[a_case(3)]).json()["job"]["jobId"]
        headers = "\r\n".join(f"{name}: {value}" for name, value in client.headers.items())
        c.sendall(f"GET /jobs/{job_id} HTTP/1.1\r\nHost: x\r\n{headers}\r\nPrefer: wait=5\r\n\r\n".encode())
        for _ in range(10):  # until it is held: these came after it
            assert client.get(f"/jobs/{UUID(int=5)}").status_code == 404
        began = time.monotonic()
        hasty.kill(hasty.pid("intake"), signal.SIGTERM)
        assert c.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - began < 4
