"""HTTP by the byte: clients of HTTP/1.0, clients that end their side, and headers of several lines."""

import gzip
import json
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import zstandard
from tests.acceptance.system import System, eventually
from tests.builders import a_batch, a_case

JSON = "Content-Type: application/json"
DECODE: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


@contextmanager
def connected(system: System) -> Iterator[socket.socket]:
    address = urlsplit(system.stack["intake"]["url"])
    with socket.create_connection((address.hostname, address.port), timeout=30) as opened:
        yield opened


def head(system: System, line: str, *lines: str, without: str = "") -> bytes:
    """A request's line and headers, with credentials and a Host; `without` is a name that is left out."""
    with system.client() as client:
        given = {name: client.headers[name] for name in ("x-api-key", "authorization", "vbasoftware-database")}
    given["host"] = "service.example:8080"
    own = [f"{name}: {value}" for name, value in given.items() if name != without.lower()]
    return "\r\n".join([line, *own, *lines, "", ""]).encode()


def rest_of(connection: socket.socket) -> bytes:
    """Everything until the service closes."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def split(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and whatever follows them."""
    top, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, body


def asked(system: System, request: bytes, half_close: bool = False) -> tuple[int, dict[str, str], bytes]:
    """The answer to a request after which the service closes the connection."""
    with connected(system) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return split(rest_of(connection))


def asked_once(system: System, *lines: str, line: str = "GET /jobs HTTP/1.1", without: str = "") -> Any:
    """Status, headers and document of an answer to a request with these header lines."""
    status, headers, body = asked(system, head(system, line, *lines, "Connection: close", without=without))
    return status, headers, json.loads(body) if body else None


@pytest.fixture(scope="module")
def final_job(system: System) -> str:
    job_id = system.send([a_case(9_100_000 + n) for n in range(2500)])
    system.final(job_id)
    return job_id


@pytest.mark.parametrize("encoding", DECODE)
@pytest.mark.parametrize("keep", ["Connection: close", "Connection: keep-alive", "X-None: of both"])
def test_an_old_client_gets_a_streamed_result_without_chunks(
    system: System, final_job: str, encoding: str, keep: str
) -> None:
    line = f"GET /jobs/{final_job}/result HTTP/1.0"
    status, headers, body = asked(system, head(system, line, f"Accept-Encoding: {encoding}", keep, without="host"))
    assert status == 207
    assert not {"transfer-encoding", "content-length"} & headers.keys()
    assert headers["connection"] == "close"
    assert headers.get("content-encoding", "identity") == encoding
    items = json.loads(DECODE[encoding](body))["data"]
    assert [item["id"][0]["value"] for item in items] == [9_100_000 + n for n in range(2500)]


def test_an_old_client_gets_everything_else_as_anybody_does(system: System, final_job: str) -> None:
    checked = a_batch(a_case(1), a_case(2))
    put = head(system, "PUT /care-cases-batch?validateOnly=true HTTP/1.0", JSON, f"Content-Length: {len(checked)}")
    status, headers, body = asked(system, put + checked)
    assert (status, headers.get("transfer-encoding")) == (207, None)
    assert [item["body"] for item in json.loads(body)["data"]] == ["Valid", "Valid"]

    status, headers, body = asked(system, head(system, f"GET /jobs/{final_job} HTTP/1.0"))
    assert (status, int(headers["content-length"])) == (200, len(body))
    assert json.loads(body)["data"]["jobId"] == final_job
    tag = headers["etag"]

    status, headers, body = asked(system, head(system, f"GET /jobs/{final_job} HTTP/1.0", f"If-None-Match: {tag}"))
    assert (status, body) == (304, b"")
    status, headers, body = asked(system, head(system, f"HEAD /jobs/{final_job}/result HTTP/1.0"))
    assert (status, headers.get("transfer-encoding"), body) == (207, None, b"")
    status, headers, body = asked(system, head(system, "GET /nowhere HTTP/1.0"))
    assert (status, json.loads(body)["error"]["status"]) == (404, 404)


def test_an_old_client_gets_no_interim_answer(system: System, first_key: int) -> None:
    sent = a_batch(a_case(first_key))
    lines = (JSON, f"Content-Length: {len(sent)}", "Expect: 100-continue")
    assert asked(system, head(system, "PUT /care-cases-batch HTTP/1.0", *lines) + sent)[0] == 202
    status, _, _ = asked(system, head(system, "PUT /care-cases-batch HTTP/1.1", *lines, "Connection: close") + sent)
    assert status == 100


@pytest.mark.parametrize("line", ["GET /livez HTTP/0.9", "GET /livez HTTP/2.0", "GET /livez HTTP/1.2", "GET /livez"])
def test_other_versions_of_http_are_refused(system: System, line: str) -> None:
    status, _, body = asked(system, f"{line}\r\nHost: x\r\n\r\n".encode())
    assert (status, json.loads(body)["error"]["status"]) == (400, 400)


def test_a_new_client_still_gets_chunks_and_keeps_its_connection(system: System, final_job: str) -> None:
    with connected(system) as connection:
        for _ in range(2):
            connection.sendall(head(system, f"GET /jobs/{final_job}/result HTTP/1.1", "Accept-Encoding: gzip"))
            received = b""
            while not received.endswith(b"\r\n0\r\n\r\n"):
                received += connection.recv(65536)
            assert split(received)[1]["transfer-encoding"] == "chunked"


def test_who_has_sent_all_and_ends_its_side_gets_the_answer(system: System, first_key: int, final_job: str) -> None:
    sent = a_batch(*(a_case(first_key + n, case_Reason="x" * 30) for n in range(3000)))
    for lines, body in (
        ([JSON, f"Content-Length: {len(sent)}"], sent),
        ([JSON, "Transfer-Encoding: chunked"], b"%x\r\n%b\r\n0\r\n\r\n" % (len(sent), sent)),
    ):
        status, _, answer = asked(
            system, head(system, "PUT /care-cases-batch HTTP/1.1", *lines) + body, half_close=True
        )
        assert status == 202
        assert json.loads(answer)["job"]["total"] == 3000
    for version in ("1.0", "1.1"):
        request = head(system, f"GET /jobs/{final_job}/result HTTP/{version}")
        status, _, answer = asked(system, request, half_close=True)
        assert status == 207
        assert b'"error":null' in answer[-200:]
    pipelined = head(system, "GET /jobs HTTP/1.1") * 3
    with connected(system) as connection:
        connection.sendall(pipelined)
        connection.shutdown(socket.SHUT_WR)
        assert rest_of(connection).count(b"HTTP/1.1 200") == 3


def test_an_answer_that_is_held_is_held_on_when_the_client_ends_its_side(system: System, first_key: int) -> None:
    sent = a_batch(*(a_case(first_key + n) for n in range(20_000)))
    lines = (JSON, f"Content-Length: {len(sent)}", "Prefer: wait=30")
    status, headers, body = asked(
        system, head(system, "PUT /care-cases-batch HTTP/1.1", *lines) + sent, half_close=True
    )
    assert (status, headers["preference-applied"]) == (207, "wait=30")
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


def test_a_connection_that_breaks_ends_what_is_held_for_it(system: System, first_key: int) -> None:
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


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Accept: image/png", "Accept: text/json"], "text/json"),
        (["Accept: text/json;q=0.5", "Accept: text/plain"], "text/plain"),
        (["Accept: ", "Accept: text/plain"], "text/plain"),
        (["Accept: ", "Accept: ,"], "application/json"),
        (["Accept: ,, text/json ,"], "text/json"),
    ],
)
def test_accept_is_one_list_however_many_lines_it_has(system: System, lines: list[str], expected: str) -> None:
    status, headers, _ = asked_once(system, *lines)
    assert (status, headers["content-type"].partition(";")[0]) == (200, expected)


def test_other_lists_are_one_however_many_lines_they_have(system: System, first_key: int, final_job: str) -> None:
    result = f"GET /jobs/{final_job}/result?page=1 HTTP/1.1"
    lines = ("Accept-Encoding: br", "Accept-Encoding: gzip")
    _, headers, _ = asked(system, head(system, result, *lines, "Connection: close"))
    assert headers["content-encoding"] == "gzip"

    job = f"GET /jobs/{final_job} HTTP/1.1"
    _, headers, _ = asked_once(system, line=job)
    status, _, _ = asked_once(system, 'If-None-Match: "other"', f"If-None-Match: {headers['etag']}", line=job)
    assert status == 304

    sent = a_batch(a_case(first_key))
    put = "PUT /care-cases-batch HTTP/1.1"
    length = (JSON, f"Content-Length: {len(sent)}", "Connection: close")
    preferring = head(system, put, *length, "Prefer: handling=strict", "Prefer: wait=20")
    status, headers, _ = asked(system, preferring + sent)
    assert (status, headers["preference-applied"]) == (207, "wait=20, handling=strict")
    encoded = head(system, put, *length, "Content-Encoding: identity", "Content-Encoding: gzip")
    status, _, body = asked(system, encoded + sent)
    assert (status, "not gzip" in json.loads(body)["error"]["detail"]) == (400, True)
    twice = head(system, put, *length, "Content-Encoding: gzip", "Content-Encoding: zstd")
    status, headers, _ = asked(system, twice + sent)
    assert (status, headers["accept-encoding"]) == (415, "zstd, gzip")
    many = head(system, job, "Connection: x-other", "Connection: close")
    assert asked(system, many)[0] == 200


@pytest.mark.parametrize(
    "line",
    [
        "x-api-key: {x-api-key}",
        "Authorization: {authorization}",
        "vbasoftware-database: demo",
        "VBASOFTWARE-DATABASE: demo_sqlite",
        "Host: service.example:8080",
        "User-Agent: one\r\nUser-Agent: two",
        "Idempotency-Key: a\r\nIdempotency-Key: b",
        "Content-Type: application/json\r\nContent-Type: application/x-ndjson",
        "Origin: https://one.example\r\nOrigin: https://two.example",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http",
        "X-Forwarded-Prefix: /one\r\nX-Forwarded-Prefix: /two",
    ],
)
def test_a_header_that_is_no_list_comes_once(system: System, line: str) -> None:
    with system.client() as client:
        for name in ("x-api-key", "authorization"):
            line = line.replace(f"{{{name}}}", client.headers[name])
    status, headers, document = asked_once(system, line)
    assert (status, headers["content-type"]) == (400, "application/json")
    name = line.partition(":")[0].lower()
    assert document["error"]["detail"] == f"The header {name} comes more than once. Send it once."
    assert document["debug"]["activityID"] in eventually(
        lambda: document["debug"]["activityID"] in system.logs() and system.logs()
    )


@pytest.mark.parametrize(
    "line", ["Content-Length: 0\r\nContent-Length: 0", "Content-Length: 2\r\nTransfer-Encoding: chunked"]
)
def test_two_lengths_are_refused(system: System, line: str) -> None:
    status, _, _ = asked(system, head(system, "PUT /care-cases-batch HTTP/1.1", line))
    assert status == 400


def test_a_request_names_one_host(system: System) -> None:
    status, _, document = asked_once(system, without="host")
    assert (status, document["error"]["detail"][:26]) == (400, "The header Host is missing")
    for bad in ("", "a b", "user@host", "host/path", "[::1", "host:port"):
        status, _, document = asked_once(system, f"Host: {bad}", without="host")
        assert (status, "Host is not a host" in document["error"]["detail"]) == (400, True), bad
    for good in ("service", "service.example:", "10.0.0.1:80", "[::1]:8080", "under_score"):
        assert asked_once(system, f"Host: {good}", without="host")[0] == 200, good
    old = head(system, "GET /jobs HTTP/1.0", without="host")
    assert asked(system, old)[0] == 200
