"""A client that ends its side after a whole request gets its answer; one that ends it before is disconnected."""

import json
import signal
import socket
import struct
import time
from uuid import UUID

import pytest
from tests.acceptance.http.by_the_byte import JSON, asked, connected, head, rest_of
from tests.acceptance.system import System, eventually
from tests.builders import a_batch, a_case


def test_who_has_sent_all_and_ends_its_side_gets_the_answer(system: System, first_key: int, final_job: str) -> None:
    sent = a_batch(*(a_case(first_key + n, case_Reason="x" * 30) for n in range(3000)))
    for lines, body in (
        ([JSON, f"Content-Length: {len(sent)}"], sent),
        ([JSON, "Transfer-Encoding: chunked"], b"%x\r\n%b\r\n0\r\n\r\n" % (len(sent), sent)),
    ):
        status, _, response = asked(
            system, head(system, "PUT /care-cases-batch HTTP/1.1", *lines) + body, half_close=True
        )
        assert status == 202
        assert json.loads(response)["job"]["total"] == 3000
    for version in ("1.0", "1.1"):
        request = head(system, f"GET /jobs/{final_job}/result HTTP/{version}")
        status, _, response = asked(system, request, half_close=True)
        assert status == 207
        assert b'"error":null' in response[-200:]
    pipelined = head(system, "GET /jobs HTTP/1.1") * 3
    with connected(system) as connection:
        connection.sendall(pipelined)
        connection.shutdown(socket.SHUT_WR)
        assert rest_of(connection).count(b"HTTP/1.1 200") == 3


def test_a_long_poll_goes_on_when_the_client_ends_its_side(system: System, first_key: int) -> None:
    sent = a_batch(*(a_case(first_key + n) for n in range(20_000)))
    lines = (JSON, f"Content-Length: {len(sent)}", "Prefer: wait=60")
    status, headers, body = asked(
        system, head(system, "PUT /care-cases-batch HTTP/1.1", *lines) + sent, half_close=True
    )
    assert (status, headers["preference-applied"]) == (207, "wait=60")
    assert body.count(b'"Created"') == 20_000


@pytest.mark.parametrize("part", ["", "GET /liv", "GET /livez HTTP/1.1\r\nHost: x\r\nX-"])
def test_who_ends_its_side_before_a_request_is_whole_is_let_go(system: System, part: str) -> None:
    began = time.monotonic()
    with connected(system) as connection:
        connection.sendall(part.encode())
        connection.shutdown(socket.SHUT_WR)
        assert rest_of(connection) == b""
    assert time.monotonic() - began < 9, "not because the time for a head is over"


def test_a_body_that_is_cut_off_by_the_clients_end_is_no_batch(system: System, first_key: int) -> None:
    sent = a_batch(a_case(first_key))
    put = head(system, "PUT /care-cases-batch HTTP/1.1", JSON, "Content-Length: 100000") + sent
    status, headers, body = asked(system, put, half_close=True)
    assert (status, headers["connection"]) == (400, "close")
    assert json.loads(body)["error"]["type"] == "urn:carecase:problem:broken-off"
    with connected(system) as connection:
        connection.sendall(head(system, "GET /jobs?pageSize=1 HTTP/1.1") + put)
        connection.shutdown(socket.SHUT_WR)
        assert rest_of(connection).startswith(b"HTTP/1.1 200 "), "what was whole before it is answered"
    assert system.query(f"SELECT count(*) FROM care_case WHERE case_key = {first_key}") == [(0,)]


def test_a_connection_that_breaks_ends_the_answer_that_waits_for_it(system: System, first_key: int) -> None:
    workers = system.stack["processes"]["worker"]
    for worker in workers:
        system.kill(worker, signal.SIGSTOP)
    try:
        job_id = system.send([a_case(first_key)])
        with connected(system) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
            connection.sendall(head(system, f"GET /jobs/{job_id} HTTP/1.1", "Prefer: wait=59"))
            with system.client() as client:  # until it is held: these came after it
                for _ in range(10):
                    assert client.get(f"/jobs/{UUID(int=5)}").status_code == 404
        eventually(lambda: [line for line in system.logs().splitlines() if job_id in line and '"GET"' in line], 40)
    finally:
        for worker in workers:
            system.kill(worker, signal.SIGCONT)
    system.final(job_id)
