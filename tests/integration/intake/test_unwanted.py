"""Bodies that nobody asked for, and bodies in crumbs: they cost what their bytes cost, and do not stay in memory."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from tests.acceptance.system import eventually
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

JOB = "/jobs/019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77"
MIB = 1 << 20


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    with an_intake(servers.redis_url, "unwanted:") as started:
        yield started


def connected(intake: Intake, stack: ExitStack) -> socket.socket:
    address = urlsplit(intake.url)
    return stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=60))


def head(intake: Intake, method: str, path: str, *lines: str) -> bytes:
    with intake.client() as client:
        given = [f"{name}: {client.headers[name]}" for name in ("x-api-key", "authorization", "vbasoftware-database")]
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *given, *lines, "", ""]).encode()


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """The status and the body of one answer with Content-Length."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(1 << 16) or pytest.fail("no answer")
    top, _, body = received.partition(b"\r\n\r\n")
    (length,) = (line for line in top.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < int(length.partition(b":")[2]):
        body += connection.recv(1 << 16) or pytest.fail("half an answer")
    return int(top.split()[1]), body


def open_bytes(intake: Intake) -> float:
    """The memory of the bodies of `ann`, as the intake's metrics show it; 0 if they never had any."""
    with intake.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith('carecase_open_bytes{client="ann"}')), 0)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/jobs", 200),
        ("GET", JOB, 404),
        ("DELETE", JOB, 404),
        ("POST", f"{JOB}/retry", 404),
        ("GET", "/livez", 200),
        ("PUT", "/care-cases-batch", 415),
        ("PUT", "/nowhere", 404),
        ("TRACE", "/jobs", 405),
    ],
)
def test_a_body_that_nobody_wants_costs_its_bytes_and_the_next_request_is_answered(
    intake: Intake, method: str, path: str, status: int
) -> None:
    """The processor time is that of this process, which sends as well."""
    size, piece = 16 * MIB, b" " * MIB
    with ExitStack() as stack:
        connection = connected(intake, stack)
        began = time.process_time_ns()
        lines = ("content-type: multipart/form-data; boundary=b", f"content-length: {size}")
        connection.sendall(head(intake, method, path, *lines))
        for _ in range(size // len(piece)):
            connection.sendall(piece)
        assert answer(connection)[0] == status
        connection.sendall(head(intake, "GET", "/jobs"))
        assert answer(connection)[0] == 200
        assert (time.process_time_ns() - began) / size < 100
    assert open_bytes(intake) == 0


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_body_in_crumbs_costs_its_bytes(intake: Intake, size: int) -> None:
    sent = b"%x\r\n%b\r\n" % (size, b" " * size) * (600_000 // (size + 5))
    with ExitStack() as stack:
        connection = connected(intake, stack)
        lines = ("content-type: application/json", "transfer-encoding: chunked")
        began = time.process_time_ns()
        connection.sendall(head(intake, "PUT", "/care-cases-batch", *lines) + sent + b"3\r\n[1]\r\n0\r\n\r\n")
        assert answer(connection)[0] == 202
        assert (time.process_time_ns() - began) / len(sent) < 1500


@pytest.mark.parametrize("ends_by", ["reading", "leaving"])
def test_the_answer_to_a_body_is_counted_until_it_is_read_or_nobody_reads(intake: Intake, ends_by: str) -> None:
    names = ("case_Key", "carePlan_Key", "appointment_Date", "case_ID", "case_Status", "entry_User", "case_Score")
    sent = json.dumps([dict.fromkeys(names, True)] * 20_000).encode()
    with ExitStack() as stack:
        connection = connected(intake, stack)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        lines = ("content-type: application/json", f"content-length: {len(sent)}", "connection: close")
        connection.sendall(head(intake, "PUT", "/care-cases-batch?validateOnly=true", *lines) + sent)
        assert connection.recv(12) == b"HTTP/1.1 207"
        eventually(lambda: open_bytes(intake) > 4 * MIB, what="it is told, which is done once a second")
        counted, size = open_bytes(intake), 12
        if ends_by == "leaving":
            connection.close()
        else:
            while piece := connection.recv(1 << 16):
                size += len(piece)
            assert size - 64 * 1024 < counted < size + MIB
        eventually(lambda: open_bytes(intake) == 0, what="it is let go")
