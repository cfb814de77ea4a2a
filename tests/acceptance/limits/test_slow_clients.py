"""A connection that sends or reads too slowly, too much or no HTTP is closed, and others do not wait for it.

integration/intake/connections holds these limits to the moment; here they are in real time.
"""

import socket
import time
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

from tests.acceptance.limits.wire import HEAD, SOON_S, problem_in, rest_of
from tests.acceptance.system import System, eventually
from tests.builders import a_case
from tests.plain_http import http_get


def test_many_slow_clients_keep_nobody_else_waiting(guarded: System) -> None:
    url = urlsplit(guarded.stack["intake"]["url"])
    slow = [socket.create_connection((url.hostname, url.port), timeout=60) for _ in range(500)]
    try:
        for number, one in enumerate(slow):
            with suppress(OSError):  # its time is over already
                one.sendall(HEAD[: number % len(HEAD)])
        assert http_get(f"{url.geturl()}/livez", timeout=SOON_S).status_code == 200
        for one in slow:
            with suppress(ConnectionError):
                rest_of(one)
    finally:
        for one in slow:
            one.close()


def test_a_head_that_does_not_come_is_not_awaited(guarded: System) -> None:
    address = urlsplit(guarded.stack["intake"]["url"])
    parts = (b"", b"GET", HEAD + b"X-Slow: y", b"\r\n\r\n")
    with ExitStack() as opened:
        began = time.monotonic()
        waiting = []
        for part in parts:
            one = socket.create_connection((address.hostname, address.port), timeout=60)
            waiting.append(opened.enter_context(one))
            one.sendall(part)
        responses = [rest_of(one) for one in waiting]
    assert time.monotonic() - began < SOON_S
    assert responses[0] == b""
    assert [problem_in(response) for response in responses[1:]] == [408] * 3


def test_a_head_that_is_too_long_is_refused(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"X-Long: " + b"y" * 20_000)
    assert problem_in(rest_of(connection)) == 431


def test_what_is_no_http_is_refused(connection: socket.socket) -> None:
    connection.sendall(b"what is this\r\n\r\n")
    assert problem_in(rest_of(connection)) == 400


def test_an_idle_connection_is_closed_and_so_is_one_that_only_pretends(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n")
    began = time.monotonic()
    assert rest_of(connection).endswith(b'{"status":"ok"}')
    assert time.monotonic() - began < SOON_S


def answered(system: System, job_id: str) -> bool:
    """Tell if a request for the result of a job has ended."""
    return any(job_id in line and "/result" in line for line in system.logs().splitlines())


def test_an_answer_that_is_not_read_does_not_keep_a_connection_open(guarded: System) -> None:
    job_id = guarded.send([a_case(key) for key in range(100_000)])
    guarded.final(job_id)
    address = urlsplit(guarded.stack["intake"]["url"])
    with guarded.client() as client:
        names = ("x-api-key", "authorization")
        credentials = "".join(f"{name}: {client.headers[name]}\r\n" for name in names).encode()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(15)
        slow.connect((address.hostname, address.port))
        slow.sendall(f"GET /jobs/{job_id}/result HTTP/1.1\r\nHost: x\r\n".encode() + credentials + b"\r\n")
        eventually(lambda: answered(guarded, job_id), what="the service has given it up")
        try:
            received = len(rest_of(slow))
        except ConnectionResetError:
            received = 0
    with guarded.client() as client:
        assert received < len(client.get(f"/jobs/{job_id}/result").content)
